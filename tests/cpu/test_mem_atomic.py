"""LSE atomics against the manual (C6.2: LDADD and the like, SWP, CAS, CASP).

Signed minimum and maximum above all: Unicorn 2.1.4 has them wrong for less than 64 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cpu.mem_guest import USER, Guest

SIZES = (1, 2, 4, 8)
AT = USER + 0x200
AROUND = 32
#: What is watched: nothing on the page (the TLB's page allows the access); something else on the
#: page (the TLB's line does); something else in the line (the slow path).
WATCHED = [0, USER + 0x800, AT + 0x38]


def signed(value: int, size: int) -> int:
    return value - (1 << 8 * size) if value >> 8 * size - 1 else value


OPERATIONS: dict[int, Callable[[int, int, int], int]] = {
    0: lambda old, operand, size: old + operand,  # LDADD
    1: lambda old, operand, size: old & ~operand,  # LDCLR
    2: lambda old, operand, size: old ^ operand,  # LDEOR
    3: lambda old, operand, size: old | operand,  # LDSET
    4: lambda old, operand, size: max(old, operand, key=lambda v: signed(v, size)),  # LDSMAX
    5: lambda old, operand, size: min(old, operand, key=lambda v: signed(v, size)),  # LDSMIN
    6: lambda old, operand, size: max(old, operand),  # LDUMAX
    7: lambda old, operand, size: min(old, operand),  # LDUMIN
    8: lambda old, operand, size: operand,  # SWP
}
NAMES = ["ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp"]


def near(bits: int) -> st.SearchStrategy[int]:
    """Any value, and those at the ends of the signed and unsigned ranges."""
    ends = [e + d & (1 << bits) - 1 for e in (0, 1 << bits - 1) for d in (-2, -1, 0, 1)]
    return st.one_of(st.integers(0, (1 << bits) - 1), st.sampled_from(ends))


@pytest.fixture(scope="module")
def guest(tier: str) -> Guest:
    return Guest(lse=True)


def around(guest: Guest, data: bytes) -> None:
    """Memory at AT, and other bytes on both sides."""
    guest.write(AT - AROUND, b"\xa5" * (2 * AROUND + len(data)))
    guest.write(AT, data)


def check_around(guest: Guest, data: bytes) -> None:
    whole = b"\xa5" * AROUND + data + b"\xa5" * AROUND
    assert guest.read(AT - AROUND, len(whole)) == whole


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", OPERATIONS, ids=NAMES)
@pytest.mark.parametrize("watched", WATCHED)
@settings(max_examples=40)
@given(data=st.data())
def test_modify(guest: Guest, size: int, what: int, watched: int, data: st.DataObject) -> None:
    old = data.draw(near(8 * size))
    operand = data.draw(near(64))
    raw = 0x3820_0000 | SIZES.index(size) << 30 | data.draw(st.integers(0, 3)) << 22
    raw |= 1 << 16 | what << 12 | 0 << 5 | 2
    guest.watch(watched, 3)
    guest.cpu.set_x(0, AT)
    guest.cpu.set_x(1, operand)
    around(guest, old.to_bytes(size, "little"))
    assert guest.run(raw) is None
    mask = (1 << 8 * size) - 1
    assert guest.cpu.get_x(2) == old
    assert guest.cpu.get_x(1) == operand
    new = OPERATIONS[what](old, operand & mask, size) & mask
    check_around(guest, new.to_bytes(size, "little"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("watched", WATCHED)
@settings(max_examples=40)
@given(data=st.data())
def test_compare_and_swap(guest: Guest, size: int, watched: int, data: st.DataObject) -> None:
    old = data.draw(near(8 * size))
    high = data.draw(st.integers(0, (1 << 64 - 8 * size) - 1)) << 8 * size
    same = data.draw(st.booleans())
    compare = (old if same else data.draw(near(8 * size))) | high
    new = data.draw(near(64))
    guest.watch(watched, 3)
    guest.cpu.set_x(0, AT)
    guest.cpu.set_x(1, compare)
    guest.cpu.set_x(2, new)
    around(guest, old.to_bytes(size, "little"))
    assert guest.run(0x08A1_7C02 | SIZES.index(size) << 30) is None
    mask = (1 << 8 * size) - 1
    assert guest.cpu.get_x(1) == old
    assert guest.cpu.get_x(2) == new
    stored = new & mask if compare & mask == old else old
    check_around(guest, stored.to_bytes(size, "little"))


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("watched", WATCHED)
@settings(max_examples=40)
@given(data=st.data())
def test_compare_and_swap_pair(guest: Guest, size: int, watched: int, data: st.DataObject) -> None:
    mask = (1 << 8 * size) - 1
    old = data.draw(st.tuples(near(8 * size), near(8 * size)))
    change = data.draw(st.sampled_from([(0, 0), (0, 0), (1, 0), (0, 1)]))
    compare = [o ^ c for o, c in zip(old, change, strict=True)]
    new = data.draw(st.tuples(near(64), near(64)))
    guest.watch(watched, 3)
    guest.cpu.set_x(0, AT)
    for n in range(2):
        guest.cpu.set_x(2 + n, compare[n])
        guest.cpu.set_x(4 + n, new[n])
    around(guest, b"".join(o.to_bytes(size, "little") for o in old))
    assert guest.run(0x0822_7C04 | (size == 8) << 30) is None
    assert (guest.cpu.get_x(2), guest.cpu.get_x(3)) == old
    stored = [n & mask for n in new] if change == (0, 0) else old
    check_around(guest, b"".join(o.to_bytes(size, "little") for o in stored))


@pytest.mark.parametrize("raw", [0x0823_7C04, 0x0822_7C05, 0x4823_7C05])
def test_odd_pairs_are_undefined(guest: Guest, raw: int) -> None:
    taken = guest.run(raw)
    assert taken is not None
    assert (taken.el, taken.esr) == (1, 1 << 25)
