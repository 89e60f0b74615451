"""The exclusive monitor: when a store-exclusive succeeds, and what it does when not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cpu.mem_guest import (
    ALIGNMENT,
    DEVICE,
    EC_DABT,
    EC_WATCHPT_LOWER,
    HOLE,
    READ_ONLY,
    USER,
    Guest,
)

# X0 is the address; X2, X3 are loaded, X4, X5 stored; X6 is the status.
SIZES = (1, 2, 4, 8)


def load(size: int, *, pair: bool = False, acquire: bool = False, rn: int = 0) -> int:
    """LDXR of size bytes, or LDXP of two registers of size bytes each."""
    raw = 0x0840_7C00 | SIZES.index(size) << 30 | acquire << 15 | rn << 5 | 2
    return raw & ~(31 << 10) | 1 << 21 | 3 << 10 | 31 << 16 if pair else raw | 31 << 16


def store(size: int, *, pair: bool = False, release: bool = False, rn: int = 0) -> int:
    raw = 0x0800_7C00 | SIZES.index(size) << 30 | 6 << 16 | release << 15 | rn << 5 | 4
    return raw & ~(31 << 10) | 1 << 21 | 5 << 10 if pair else raw


FORMS = [(size, False) for size in SIZES] + [(4, True), (8, True)]
FORM_IDS = [f"{'pair' if pair else 'one'}{size}" for size, pair in FORMS]
CLREX = 0xD503_3F5F
NOP = 0xD503_201F
STR_X7_AT_X1 = 0xF900_0027
STR_X2_AT_X1 = 0xF900_0022
LDR_X7_AT_X1 = 0xF940_0027


@pytest.fixture(params=["page", "line", "slow"])
def guest(request: pytest.FixtureRequest) -> Guest:
    """By the TLB's page, by its line (something else on the page is watched), or neither (something
    else in the line is)."""
    guest = Guest()
    if request.param != "page":
        guest.watch(USER + (0x138 if request.param == "slow" else 0x800), 3)
    guest.cpu.set_x(0, USER + 0x100)
    guest.cpu.set_x(1, USER + 0x100)
    guest.cpu.set_x(4, 0x1122_3344_5566_7788)
    guest.cpu.set_x(5, 0x99AA_BBCC_DDEE_FF00)
    guest.cpu.set_x(6, 0xDEAD)
    guest.cpu.set_x(7, 0x7777_7777_7777_7777)
    guest.write(USER + 0x100, bytes(range(0x40, 0x60)))
    return guest


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("rn", [0, 31])
def test_succeeds(guest: Guest, size: int, pair: bool, ordered: bool, rn: int) -> None:
    guest.cpu.sp_el1 = guest.cpu.get_x(0)
    old = guest.read(USER + 0x100, 32)
    for _ in range(2):  # by the slow path, and by the TLB
        guest.write(USER + 0x100, old)
        words = (load(size, pair=pair, acquire=ordered, rn=rn),
                 store(size, pair=pair, release=ordered, rn=rn))  # fmt: skip
        assert guest.run(*words) is None
        assert guest.cpu.get_x(6) == 0
        new = guest.cpu.get_x(4).to_bytes(8, "little")[:size]
        if pair:
            new += guest.cpu.get_x(5).to_bytes(8, "little")[:size]
        assert guest.read(USER + 0x100, 32) == new + old[len(new) :]
        assert guest.cpu.get_x(2) == int.from_bytes(old[:size], "little")
        if pair:
            assert guest.cpu.get_x(3) == int.from_bytes(old[size : 2 * size], "little")


def fails(guest: Guest, *words: int) -> None:
    """The store-exclusive at the end: status 1, no access."""
    assert guest.run(*words[:-1], NOP) is None
    before = guest.read(USER, 0x2000)
    assert guest.run(*words) is None
    assert guest.cpu.get_x(6) == 1
    assert guest.read(USER, 0x2000) == before


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
def test_fails_without_a_load(guest: Guest, size: int, pair: bool) -> None:
    fails(guest, NOP, store(size, pair=pair))


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
def test_fails_the_second_time(guest: Guest, size: int, pair: bool) -> None:
    fails(guest, load(size, pair=pair), store(size, pair=pair), store(size, pair=pair))


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
def test_fails_after_clrex(guest: Guest, size: int, pair: bool) -> None:
    fails(guest, load(size, pair=pair), CLREX, store(size, pair=pair))


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (4, 8), (8, 4), (8, 1)])
def test_fails_for_another_size(guest: Guest, first: int, second: int) -> None:
    guest.write(USER + 0x100, bytes(16))  # the bytes alone do not decide
    fails(guest, load(first), store(second))


def test_fails_for_a_pair_of_the_double_size(guest: Guest) -> None:
    guest.write(USER + 0x100, bytes(16))
    fails(guest, load(8), store(8, pair=True))


def test_one_doubleword_and_a_pair_of_words_are_the_same_size(guest: Guest) -> None:
    """Arm leaves it open; as QEMU, it is the bytes that count."""
    assert guest.run(load(8), store(4, pair=True)) is None
    assert guest.cpu.get_x(6) == 0


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
def test_fails_elsewhere(guest: Guest, size: int, pair: bool) -> None:
    guest.write(USER + 0x100, bytes(64))  # the same bytes are everywhere
    guest.cpu.set_x(1, USER + 0x110)
    fails(guest, load(size, pair=pair), store(size, pair=pair, rn=1))


@pytest.mark.parametrize(("size", "pair"), FORMS, ids=FORM_IDS)
def test_fails_when_memory_was_written_between(guest: Guest, size: int, pair: bool) -> None:
    """By any processor: here by the same one, for which Arm permits both outcomes."""
    assert guest.run(load(size, pair=pair), STR_X7_AT_X1, store(size, pair=pair)) is None
    assert guest.cpu.get_x(6) == 1
    assert guest.read(USER + 0x100, 8) == b"\x77" * 8


def test_fails_when_only_the_second_of_a_pair_was_written(guest: Guest) -> None:
    guest.cpu.set_x(1, USER + 0x108)
    assert guest.run(load(8, pair=True), STR_X7_AT_X1, store(8, pair=True)) is None
    assert guest.cpu.get_x(6) == 1


def test_a_store_that_fails_ends_it(guest: Guest) -> None:
    """Even if memory is again as the load saw it."""
    fails(guest, load(8), STR_X7_AT_X1, store(8), STR_X2_AT_X1, store(8))


def test_loads_between_do_not_matter(guest: Guest) -> None:
    assert guest.run(load(8), LDR_X7_AT_X1, store(8)) is None
    assert guest.cpu.get_x(6) == 0


def test_the_last_load_counts(guest: Guest) -> None:
    guest.cpu.set_x(1, USER + 0x200)
    assert guest.run(load(8), load(8, rn=1), store(8, rn=1)) is None
    assert guest.cpu.get_x(6) == 0
    fails(guest, load(8), load(8, rn=1), store(8))


def test_entering_again_clears_it(guest: Guest) -> None:
    """After an exception to EL2, here HVC, run() is the exception return."""
    taken = guest.run(load(8), 0xD4000002)
    assert taken is not None
    assert taken.el == 2
    assert guest.run(store(8)) is None
    assert guest.cpu.get_x(6) == 1


def test_a_limit_reached_does_not_clear_it(guest: Guest) -> None:
    """No exception was taken: how a run is cut into pieces is not for the guest to see."""
    assert guest.run(load(8)) is None
    assert guest.run(store(8)) is None
    assert guest.cpu.get_x(6) == 0


@given(
    old=st.binary(min_size=16, max_size=16),
    new=st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)),
    form=st.sampled_from(FORMS),
)
def test_any_values(old: bytes, new: tuple[int, int], form: tuple[int, bool]) -> None:
    guest = test_any_values.guest  # type: ignore[attr-defined]
    size, pair = form
    guest.write(USER + 0x100, old)
    guest.cpu.set_x(0, USER + 0x100)
    guest.cpu.set_x(4, new[0])
    guest.cpu.set_x(5, new[1])
    assert guest.run(load(size, pair=pair), store(size, pair=pair)) is None
    assert guest.cpu.get_x(6) == 0
    want = new[0].to_bytes(8, "little")[:size]
    want += new[1].to_bytes(8, "little")[:size] if pair else b""
    assert guest.read(USER + 0x100, 16) == want + old[len(want) :]


test_any_values.guest = Guest()  # type: ignore[attr-defined]


# ---- faults -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "pair"), [form for form in FORMS if form != (1, False)])
@pytest.mark.parametrize("what", [load, store])
def test_unaligned(guest: Guest, size: int, pair: bool, what: Callable[..., int]) -> None:
    """An alignment fault whatever SCTLR_EL1.A and the monitor."""
    for off in {1, size // 2, size if pair else 1} - {0}:
        guest.cpu.set_x(0, USER + 0x100 + off)
        before = guest.registers()
        taken = guest.run(what(size, pair=pair))
        assert taken is not None
        assert (taken.el, taken.ec, taken.fsc) == (1, EC_DABT, ALIGNMENT)
        assert taken.far == USER + 0x100 + off
        assert taken.wnr == (what is store)
        assert guest.registers() == before


def test_with_the_monitor_closed_nothing_is_looked_at(guest: Guest) -> None:
    """Arm leaves it open; QEMU does the same."""
    guest.cpu.set_x(0, HOLE)
    assert guest.run(store(8)) is None
    assert guest.cpu.get_x(6) == 1


@pytest.mark.parametrize("address", [HOLE, READ_ONLY])
def test_with_the_monitor_open_faults_come_first(guest: Guest, address: int) -> None:
    guest.cpu.set_x(1, address)
    taken = guest.run(load(8), store(8, rn=1))
    assert taken is not None
    assert (taken.el, taken.ec, taken.far, taken.wnr) == (1, EC_DABT, address, True)
    assert guest.cpu.get_x(6) == 0xDEAD


def test_read_only_memory_can_be_loaded(guest: Guest) -> None:
    guest.cpu.set_x(0, READ_ONLY)
    taken = guest.run(load(8), store(8))
    assert taken is not None
    assert (taken.ec, taken.fsc) == (EC_DABT, 0xF)


def test_a_watched_store_that_succeeds(guest: Guest) -> None:
    guest.watch(USER + 0x100, 2)
    before = guest.read(USER + 0x100, 16)
    taken = guest.run(load(8), store(8))
    assert taken is not None
    assert (taken.el, taken.ec, taken.far, taken.wnr) == (2, EC_WATCHPT_LOWER, USER + 0x100, True)
    assert guest.cpu.get_x(6) == 0xDEAD
    assert guest.read(USER + 0x100, 16) == before


def test_a_watched_load(guest: Guest) -> None:
    guest.watch(USER + 0x108, 1)
    guest.cpu.set_x(2, 0)
    taken = guest.run(load(8, pair=True))
    assert taken is not None
    assert (taken.el, taken.ec, taken.wnr) == (2, EC_WATCHPT_LOWER, False)
    assert USER + 0x100 <= taken.far <= USER + 0x10F
    assert guest.cpu.get_x(2) == 0


def test_a_watched_store_that_fails(guest: Guest) -> None:
    """Closed monitor: no exception, as in QEMU. Open, but memory has changed: an exception."""
    guest.watch(USER + 0x100, 2)
    assert guest.run(store(8)) is None
    assert guest.cpu.get_x(6) == 1
    guest.cpu.set_x(6, 0xDEAD)
    guest.cpu.set_x(1, USER + 0x200)
    guest.watch(USER + 0x200, 2)
    taken = guest.run(load(8), store(8, rn=1))
    assert taken is not None
    assert taken.ec == EC_WATCHPT_LOWER
    assert guest.cpu.get_x(6) == 0xDEAD


def test_watched_page_but_another_place(guest: Guest) -> None:
    """Both take the slow path, and work."""
    guest.watch(USER + 0x800, 3)
    for size, pair in FORMS:
        guest.write(USER + 0x100, bytes(range(0x40, 0x60)))
        assert guest.run(load(size, pair=pair), store(size, pair=pair)) is None
        assert guest.cpu.get_x(6) == 0
        fails(guest, NOP, store(size, pair=pair))


def test_device_memory(guest: Guest) -> None:
    guest.cpu.set_x(0, DEVICE)
    assert guest.run(load(8), store(8)) is None
    assert guest.cpu.get_x(6) == 0
