"""Memory regions agree with the page tables, address by address."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.arm64.translate import Permissions
from guestdbg.debugger.memory.regions import MemoryRegion, region_at
from guestdbg.errors import GuestdbgError
from tests.machine.guests import EXAMPLES

TOP = 1 << 64
RAM = 0x4000_0000


@pytest.fixture(scope="module")
def mapped() -> guestdbg.Guest:
    """The small kernel at its first system call, with both halves mapped."""
    guest = guestdbg.load(EXAMPLES / "mmu.elf", console=lambda data: None)
    guest.break_("serve")
    assert guest.run().reason == "hit"
    return guest


def region_of(guest: guestdbg.Guest, address: int) -> MemoryRegion:
    return region_at(guest.vcpus[0].vcpu.get_one_reg, guest.board, address)


def everything(guest: guestdbg.Guest) -> list[MemoryRegion]:
    found: list[MemoryRegion] = []
    at = 0
    while at < TOP and len(found) < 1000:
        found.append(region_of(guest, at))
        at = found[-1].end
    return found


def test_regions_cover_the_address_space_without_a_gap(mapped: guestdbg.Guest) -> None:
    regions = everything(mapped)
    assert regions[0].start == 0
    assert regions[-1].end == TOP
    for region, next_ in pairwise(regions):
        assert region.end == next_.start
        # Unmapped addresses may be reported in several parts.
        if region.permissions is not None:
            assert (region.permissions, region.name) != (next_.permissions, next_.name)
    code = [a for a in regions if a.start <= 0x400000 < a.end]
    assert code[0].permissions == Permissions(True, False, False), "EL0's code is not EL1's to run"
    data = [a for a in regions if a.start <= 0x401000 < a.end]
    assert data[0].permissions == Permissions(True, True, False)
    assert (data[0].start, data[0].end) == (0x401000, 0x402000)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(0, TOP - 1), st.integers(0x3FF000, 0x403FFF)), st.data())
def test_a_region_is_readable_everywhere_or_nowhere(
    mapped: guestdbg.Guest, address: int, data: st.DataObject
) -> None:
    region = region_of(mapped, address)
    assert region.start <= address < region.end
    for at in (region.start, region.end - 1, data.draw(st.integers(region.start, region.end - 1))):
        assert region_of(mapped, at).permissions == region.permissions
        try:
            mapped.read(at, 1)
        except GuestdbgError:
            assert region.permissions is None
        else:
            assert region.permissions is not None


def test_without_mmu_memory_is_where_the_board_has_it() -> None:
    with guestdbg.load(EXAMPLES / "hello.elf", console=lambda data: None) as guest:
        below, ram, above = everything(guest)
        assert (below.permissions, above.permissions) == (None, None)
        assert (ram.start, ram.end, ram.name) == (RAM, RAM + guest.board.memory_size, "RAM")
        assert ram.permissions == Permissions(True, True, True)


def test_tables_outside_memory_map_nothing() -> None:
    with guestdbg.load(EXAMPLES / "hello.elf", console=lambda data: None) as guest:
        vcpu = guest.vcpus[0]
        vcpu.set_reg("tcr_el1", 25 | 25 << 16 | 2 << 30)
        vcpu.set_reg("ttbr0_el1", 0x7F_0000_0000)
        vcpu.set_reg("sctlr_el1", vcpu.reg("sctlr_el1") | 1)
        region = region_of(guest, RAM)
        assert region.permissions is None
        assert region.start <= RAM < region.end
