"""Finding load-exclusive/store-exclusive sequences in code."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.arm64 import exclusive_sequence
from guestdbg.check.assembler import NOP, RET, add, b, br, cbz, svc
from tests.debugger.assembled import cbnz, cbnz_w, ldaxr, stlxr

AT = 0x4008_0000


def cbz_w(register: int, offset: int) -> int:
    return cbz(register, offset) & ~(1 << 31)


BL = 0x94000400


def find(code: list[int], index: int) -> exclusive_sequence.ExclusiveSequence | None:
    def word(address: int) -> int | None:
        n, rest = divmod(address - AT, 4)
        return code[n] if 0 <= n < len(code) and not rest else None

    return exclusive_sequence.find(AT + 4 * index, word)


def test_a_counter() -> None:
    code = [NOP, ldaxr(0, 1), add(0, 0, 1), stlxr(2, 0, 1), cbnz_w(2, -12), NOP]
    for index in range(1, 4):
        found = find(code, index)
        assert found is not None
        assert (found.load, found.store, found.last) == (AT + 4, AT + 12, AT + 16)
        assert found.exits == (AT + 20,)
        assert found.status == 2
    assert find(code, 0) is None
    assert find(code, 4) is None
    assert find(code, 5) is None


def test_a_lock_that_gives_up() -> None:
    """Branches out of the sequence are exits, and a retry may begin before the load."""
    code = [NOP, ldaxr(0, 1), cbnz(0, 16), stlxr(2, 3, 1), cbnz_w(2, -16), NOP, NOP]
    found = find(code, 1)
    assert found is not None
    assert found.start == AT
    assert found.exits == (AT + 20, AT + 24)


def test_spinning_within() -> None:
    code = [ldaxr(0, 1), cbnz(0, -4), stlxr(2, 3, 1), cbnz_w(2, -12), NOP]
    found = find(code, 0)
    assert found is not None
    assert found.exits == (AT + 16,)


def test_an_endless_loop_around_it_is_no_retry() -> None:
    """Run as a whole, it would never be left."""
    code = [NOP, ldaxr(0, 1), stlxr(2, 0, 1), NOP, b(-16), NOP]
    found = find(code, 1)
    assert found is not None
    assert (found.start, found.last, found.exits) == (AT + 4, AT + 8, (AT + 12,))
    retries = [NOP, ldaxr(0, 1), stlxr(2, 0, 1), cbz_w(2, 8), b(-12), NOP]
    found = find(retries, 1)
    assert found is not None
    assert (found.last, found.exits) == (AT + 16, (AT + 20,))


@pytest.mark.parametrize("inside", [RET, br(3), svc(), BL])
def test_code_that_leaves_otherwise_is_no_sequence(inside: int) -> None:
    assert find([ldaxr(0, 1), inside, stlxr(2, 3, 1), NOP], 0) is None
    assert find([ldaxr(0, 1), inside, stlxr(2, 3, 1), NOP], 2) is None


def test_a_load_without_a_store_and_the_other_way_round() -> None:
    assert find([ldaxr(0, 1), NOP, NOP], 0) is None
    assert find([NOP, stlxr(2, 3, 1), NOP], 1) is None
    # Two loads: the first belongs to nothing.
    assert find([ldaxr(0, 1), ldaxr(0, 2), stlxr(2, 3, 1), NOP], 0) is None


@given(st.lists(st.integers(0, 0xFFFF_FFFF), max_size=40), st.integers(0, 39))
def test_any_code_at_all(code: list[int], index: int) -> None:
    found = find(code, index)
    if found is not None:
        assert found.start <= found.load <= found.store <= found.last
        assert found.exits
        assert not any(found.start <= e <= found.last for e in found.exits)
