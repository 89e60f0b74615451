"""Register allocation, by properties: exactly what was asked is watched, in few registers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestdbg.arm64.debug import DBGWCR, MAX_MASK_BYTES, RegisterPair, watched_range
from guestdbg.debugger import BadRange, OutOfRegisters
from guestdbg.debugger.hardware.register_allocator import Allocation, allocate
from guestdbg.debugger.hardware.requests import BreakRequest, Hardware, WatchRequest
from guestdbg.debugger.hardware.watched_ranges import covering_range

PLENTY = Hardware(breakpoints=16, watchpoints=16, contexts=2)
BASE = 0x4000_0000

watches = st.builds(
    WatchRequest,
    name=st.sampled_from(["a", "b", "c"]),
    address=st.integers(BASE, BASE + 64),
    length=st.integers(1, 24),
    access=st.sampled_from(["read", "write", "any"]),
)


def watched(allocation: Allocation) -> dict[int, int]:
    """Every byte that the registers watch, with the accesses they watch it for."""
    found: dict[int, int] = {}
    for control, value in zip(allocation.dbg_wcr, allocation.dbg_wvr, strict=True):
        extent = watched_range(RegisterPair(control, value))
        assert extent is not None, "BAS and MASK are as the architecture permits"
        for address in range(extent[0], extent[0] + extent[1]):
            assert address not in found or allocation.over_covered, "no byte is watched twice"
            found[address] = found.get(address, 0) | DBGWCR.decode(control)["LSC"]
    return found


def asked(requests: list[WatchRequest]) -> dict[int, int]:
    bits = {"read": 1, "write": 2, "any": 3}
    found: dict[int, int] = {}
    for request in requests:
        for address in range(request.address, request.address + request.length):
            found[address] = found.get(address, 0) | bits[request.access]
    return found


@settings(deadline=None)
@given(st.lists(watches, max_size=4))
def test_exactly_what_was_asked_is_watched(requests: list[WatchRequest]) -> None:
    try:
        allocation = allocate(PLENTY, requests, [])
    except OutOfRegisters:
        return
    assert watched(allocation) == asked(requests)
    assert allocation.over_covered == ()


@settings(deadline=None)
@given(st.lists(watches, min_size=1, max_size=6), st.integers(1, 4))
def test_with_overwatch_at_least_that_is_watched(
    requests: list[WatchRequest], available: int
) -> None:
    hardware = Hardware(6, available)
    try:
        allocation = allocate(hardware, requests, [], overwatch=256)
    except OutOfRegisters:
        pytest.fail("256 bytes hold any of these requests")
    found = watched(allocation)
    for address, bits in asked(requests).items():
        assert found[address] & bits == bits
    assert allocation.used[1] <= available
    surplus = set(found) - set(asked(requests))
    covered = {a for start, length in allocation.over_covered for a in range(start, start + length)}
    assert surplus <= covered, "what is watched beyond the requests is in over_covered"


@settings(deadline=None)
@given(st.integers(0, 1 << 40), st.integers(1, 1 << 20))
def test_the_covering_range_is_one_register_and_covers(start: int, length: int) -> None:
    address, size = covering_range(start, start + length)
    assert address <= start
    assert start + length <= address + size
    if size <= MAX_MASK_BYTES:
        assert len(allocate(PLENTY, [WatchRequest("x", address, size, "any")], []).dbg_wcr) == 1


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 1 << 30).map(lambda n: 4 * n), max_size=8),
    st.lists(st.integers(0, 3), max_size=3),
)
def test_breakpoints_share_addresses_and_leave_the_context_aware_ones(
    addresses: list[int], contexts: list[int]
) -> None:
    requests = [BreakRequest(f"b{n}", a) for n, a in enumerate(addresses)]
    requests += [BreakRequest(f"c{n}", 4, context=c) for n, c in enumerate(contexts)]
    needed = len(set(addresses)) + 2 * len(set(contexts))
    try:
        allocation = allocate(Hardware(6, 4, 2), [], requests)
    except OutOfRegisters:
        assert needed > 6 or len(set(contexts)) > 2
        return
    assert allocation.used[0] == needed
    pairs = list(zip(allocation.dbg_bcr, allocation.dbg_bvr, strict=True))
    for n in range(len(set(contexts))):
        control, value = pairs[5 - n]
        assert control >> 20 & 15 == 3, "a linked context match, in the highest-numbered"
        assert value in contexts
    for control, _value in pairs[: len(set(addresses))]:
        assert control & 1
        assert control >> 20 & 15 == 0


def test_the_known_encodings() -> None:
    """What real KVM answers to: DBGBCR 0x1e7, DBGWCR 0x1ff7."""
    allocation = allocate(
        Hardware(6, 4),
        [WatchRequest("w", BASE, 8, "write")],
        [BreakRequest("b", BASE)],
    )
    assert allocation.dbg_wcr == (0x1FF7,)
    assert allocation.dbg_bcr[0] == 0x1E7


def test_the_same_bytes_for_different_accesses_take_one_register() -> None:
    allocation = allocate(
        Hardware(6, 1),
        [WatchRequest("r", BASE, 8, "read"), WatchRequest("w", BASE, 8, "write")],
        [],
    )
    assert watched(allocation) == dict.fromkeys(range(BASE, BASE + 8), 3)


def test_neighbours_are_joined() -> None:
    members = [WatchRequest(f"m{n}", BASE + 16 * n, 16, "write") for n in range(4)]
    assert allocate(Hardware(6, 1), members, []).used[1] == 1


def test_a_link_is_written_into_the_watchpoint() -> None:
    allocation = allocate(Hardware(6, 4), [WatchRequest("w", BASE, 8, "write", context=9)], [])
    fields = DBGWCR.decode(allocation.dbg_wcr[0])
    assert (fields["WT"], fields["LBN"]) == (1, 5)
    assert allocation.dbg_bvr[5] == 9


def test_running_out_names_all_watches_and_says_what_is_enough() -> None:
    requests = [WatchRequest(f"watch {n}", BASE + 16 * n, 8, "write") for n in range(5)]
    with pytest.raises(OutOfRegisters) as refused:
        allocate(Hardware(6, 4), requests, [])
    text = str(refused.value)
    assert text.startswith("5 watchpoint registers would be needed, and this guest has 4:")
    for request in requests:
        assert request.name in text
    assert "overwatch=32 bytes would do" in text
    assert allocate(Hardware(6, 4), requests, [], overwatch=32).used[1] <= 4


def test_ranges_that_no_register_holds() -> None:
    with pytest.raises(OutOfRegisters, match="2 GiB each at most, and the range has 1024 GiB"):
        allocate(PLENTY, [WatchRequest("all", 0, 1 << 40, "any")], [])
    with pytest.raises(BadRange):
        allocate(PLENTY, [WatchRequest("hole", 0x0010_0000_0000_0000, 8, "any")], [])
    with pytest.raises(OutOfRegisters, match="3 contexts"):
        allocate(PLENTY, [], [BreakRequest("b", 4 * n, context=n) for n in range(3)])
