"""Watchpoints and breakpoints: exact coverage, compared with a model byte by byte.

The model below follows the manual's description of a match (DDI 0487, D2.10) and shares no code
with guestdbg.arm64.debug.
"""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guestdbg.arm64 import debug
from guestdbg.arm64.errors import ArchitectureError, RangeNeedsMoreRegisters


def matches(control: int, value: int, byte: int, *, write: bool, el: int) -> bool:
    """Would an access of the single byte at `byte` hit this watchpoint?"""
    if not control & 1:
        return False
    loads_stores = control >> 3 & 3
    if not loads_stores & (2 if write else 1):
        return False
    assert control >> 13 & 7 == 0, "HMC and SSC must be 0 for PAC to choose plainly"
    if not (control >> 1 & 3) & (1 if el == 1 else 2):
        return False
    select, mask = control >> 5 & 0xFF, control >> 24 & 31
    assert value & 3 == 0
    if mask:
        assert mask >= 3, "MASK 1 and 2 are reserved"
        assert select == 0xFF, "BAS must be all ones with MASK"
        assert value & ((1 << mask) - 1) == 0, "masked address bits must be zero"
        return byte >> mask == value >> mask
    ones = "".join(str(select >> i & 1) for i in range(8)).strip("0")
    assert "0" not in ones, "BAS must be contiguous"
    if value & 4:
        assert select < 16, "BAS[7:4] must be 0 for a value that is only word-aligned"
        return byte >> 2 == value >> 2 and bool(select >> (byte & 3) & 1)
    return byte >> 3 == value >> 3 and bool(select >> (byte & 7) & 1)


def covered(pairs: list[debug.RegisterPair], low: int, high: int) -> set[int]:
    return {
        byte
        for byte in range(low, high)
        if any(matches(p.control, p.value, byte, write=True, el=1) for p in pairs)
    }


addresses = st.one_of(
    st.integers(0, 1 << 13),
    st.integers(0, (1 << 48) - (1 << 20)),
    st.integers(0xFFFF << 48, (1 << 64) - (1 << 20)),
)


@given(addresses, st.integers(1, 600))
@example(0, 1)
@example(0x1000, 8)
@example(0x1001, 7)
@example(0x1004, 8)
@example(0xFFFF_0000_0000_0FF8, 16)
def test_exactly_the_bytes_asked_for_are_watched(address: int, length: int) -> None:
    pairs = debug.watchpoint(address, length)
    low, high = max(0, address - 40), address + length + 40
    assert covered(pairs, low, high) == set(range(address, address + length))


@given(
    st.integers(0, 1 << 40),
    st.integers(1, 1 << 34),
    st.lists(st.integers(0, (1 << 35)), max_size=20),
)
def test_wide_ranges_hold_at_their_edges_and_everywhere(
    address: int, length: int, probes: list[int]
) -> None:
    pairs = debug.watchpoint(address, length)
    ranges = sorted(r for r in map(debug.watched_range, pairs) if r)
    edges = {start + d for start, size in ranges for d in (-1, 0, size - 1, size)}
    bytes_to_try = {address - 1, address, address + length - 1, address + length, *edges}
    for byte in bytes_to_try | {max(0, address + p - (1 << 34)) for p in probes}:
        if byte < 0:
            continue
        hit = any(matches(p.control, p.value, byte, write=True, el=0) for p in pairs)
        assert hit == (address <= byte < address + length), hex(byte)
    # The pieces lie one after the other without a gap: nothing between the probes is missed.
    assert ranges[0][0] == address
    for (start, size), (following, _) in itertools.pairwise(ranges):
        assert start + size == following
    assert sum(size for _, size in ranges) == length


def fewest(start: int, length: int) -> int:
    """The smallest cover of a short range, by trying every register setting at every byte."""
    end = start + length
    best = {start: 0}
    for at in range(start, end):
        if at not in best:
            continue
        reach = [at + n for n in range(1, 9 - (at & 7))]
        reach += [at + (1 << k) for k in range(3, 13) if at % (1 << k) == 0]
        for to in reach:
            if to <= end:
                best[to] = min(best.get(to, 1 << 30), best[at] + 1)
    return best[end]


@given(st.integers(0, 4096), st.integers(1, 1200))
def test_no_cover_needs_fewer_registers(start: int, length: int) -> None:
    # Blocks are nested or apart, so a smallest cover exists that does not overlap.
    assert len(debug.watchpoint(start, length)) == fewest(start, length)


@given(st.integers(3, 31), st.integers(0, 1 << 10))
def test_aligned_power_of_two_ranges_take_one_register(bits: int, index: int) -> None:
    assert len(debug.watchpoint(index << bits, 1 << bits)) == 1


@given(addresses, st.sampled_from(["read", "write", "any"]), st.sampled_from(["el0", "el1", "any"]))
def test_access_and_exception_level(address: int, access: str, el: str) -> None:
    (pair,) = debug.watchpoint(address, 1, access, el=el)  # type: ignore[arg-type]
    for write in (False, True):
        for level in (0, 1):
            expected = access in ("any", "write" if write else "read") and el in (
                "any",
                f"el{level}",
            )
            assert matches(*pair, address, write=write, el=level) == expected


def test_the_values_a_real_kernel_took() -> None:
    """What the Debian kernel's KVM was given and answered to."""
    assert debug.breakpoint(0x40080000) == (0x1E7, 0x40080000)
    assert debug.watchpoint(0x40090000, 8) == [(0x1FF7, 0x40090000)]
    assert debug.watchpoint(0x40090004, 4) == [(0x1E17, 0x40090000)]
    assert debug.watchpoint(0x40090000, 256) == [(0x1FF7 | 8 << 24, 0x40090000)]


@given(addresses, st.integers(1, 3000))
def test_watched_range_reads_what_watchpoint_wrote(address: int, length: int) -> None:
    ranges = [debug.watched_range(p) for p in debug.watchpoint(address, length)]
    assert all(ranges)
    assert min(r[0] for r in ranges if r) == address
    assert max(r[0] + r[1] for r in ranges if r) == address + length


@given(st.integers(0, 0xFF), st.integers(0, 31), st.integers(0, 1 << 20))
def test_watched_range_agrees_with_the_model_on_any_control(bas: int, mask: int, word: int) -> None:
    pair = debug.RegisterPair(debug.DBGWCR.encode(E=1, LSC=3, PAC=3, BAS=bas, MASK=mask), word << 2)
    found = debug.watched_range(pair)
    if found is None:
        return
    start, size = found
    if mask:
        # The hardware ignores masked address bits; the manual wants them zero.
        pair = pair._replace(value=pair.value >> mask << mask)
    elif pair.value & 4:
        pair = pair._replace(control=pair.control & ~(0xF0 << 5))
    for byte in {start, start + size - 1, start - 1, start + size}:
        if byte >= 0:
            hit = matches(pair.control, pair.value, byte, write=True, el=0)
            assert hit == (start <= byte < start + size)


@pytest.mark.parametrize("linked_to", [None, 0, 5, 15])
def test_linked_breakpoints(linked_to: int | None) -> None:
    breakpoint_pair = debug.breakpoint(0x1000, linked_to=linked_to)
    (watch_pair,) = debug.watchpoint(0x1000, 1, linked_to=linked_to)
    bcr = debug.DBGBCR.decode(breakpoint_pair.control)
    wcr = debug.DBGWCR.decode(watch_pair.control)
    linked = int(linked_to is not None)
    assert (bcr["BT"], bcr["LBN"]) == (linked, linked_to or 0)
    assert (wcr["WT"], wcr["LBN"]) == (linked, linked_to or 0)


def test_context_breakpoints() -> None:
    assert debug.DBGBCR.decode(debug.context_breakpoint(7).control)["BT"] == 2
    assert debug.DBGBCR.decode(debug.context_breakpoint(7, linked=True).control)["BT"] == 3
    assert debug.context_breakpoint(0xFFFF_FFFF).value == 0xFFFF_FFFF
    with pytest.raises(ArchitectureError, match="CONTEXTIDR_EL1"):
        debug.context_breakpoint(1 << 32)


def test_a_tag_does_not_reach_the_value_register() -> None:
    assert debug.breakpoint(0xAB00_0000_0000_1000).value == 0x1000
    assert debug.watchpoint(0xABFF_0000_0000_1000, 4)[0].value == 0xFFFF_0000_0000_1000


@pytest.mark.parametrize(
    ("address", "length", "words"),
    [
        (0x1000, 0, "is empty"),
        (0x1000, -8, "is empty"),
        (1 << 64, 8, "not a 64-bit address"),
        (-8, 8, "not a 64-bit address"),
        ((1 << 64) - 8, 16, "not a 64-bit address"),
        (0x0010_0000_0000_0000, 8, "neither half"),
        (0x000F_FFFF_FFFF_FFF8, 16, "neither half"),
    ],
)
def test_ranges_that_cannot_be_watched(address: int, length: int, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        debug.watchpoint(address, length)


def test_too_few_registers_says_how_many() -> None:
    with pytest.raises(
        RangeNeedsMoreRegisters, match=r"need 10 watchpoint registers, and only 4"
    ) as caught:
        debug.watchpoint(0x1001, 4095, max_registers=4)
    assert (caught.value.needed, caught.value.available) == (10, 4)
    # A range that is much too long is refused at once, not after a million pieces.
    with pytest.raises(RangeNeedsMoreRegisters):
        debug.watchpoint(0, 1 << 51, max_registers=16)


def test_bad_arguments() -> None:
    with pytest.raises(ArchitectureError, match=r"multiple of 4.*0x1000"):
        debug.breakpoint(0x1002)
    with pytest.raises(ArchitectureError, match="one of read, write, any"):
        debug.watchpoint(0x1000, 4, "rw")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="one of el1, el0, any"):
        debug.breakpoint(0x1000, el="el2")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="0 to 15"):
        debug.breakpoint(0x1000, linked_to=16)
