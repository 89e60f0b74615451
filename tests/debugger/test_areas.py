"""Areas of memory against the page tables, address by address."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import guestdbg
from guestdbg.arm64.translate import Permissions
from guestdbg.debugger.memory.regions import Area, area_at
from guestdbg.errors import GuestdbgError
from tests.machine.guests import EXAMPLES

TOP = 1 << 64
RAM = 0x4000_0000


@pytest.fixture(scope="module")
def mapped() -> guestdbg.Guest:
    """The kernel in small at its first system call: both halves are mapped."""
    guest = guestdbg.load(EXAMPLES / "mmu.elf", console=lambda data: None)
    guest.break_("serve")
    assert guest.run().reason == "hit"
    return guest


def everything(guest: guestdbg.Guest) -> list[Area]:
    found: list[Area] = []
    at = 0
    while at < TOP and len(found) < 1000:
        found.append(area_at(guest.cores[0], at))
        at = found[-1].end
    return found


def test_areas_cover_the_address_space_without_a_gap(mapped: guestdbg.Guest) -> None:
    areas = everything(mapped)
    assert areas[0].start == 0
    assert areas[-1].end == TOP
    for one, next_ in pairwise(areas):
        assert one.end == next_.start
        # Holes may be told in parts.
        if one.permissions is not None:
            assert (one.permissions, one.name) != (next_.permissions, next_.name)
    code = [a for a in areas if a.start <= 0x400000 < a.end]
    assert code[0].permissions == Permissions(True, False, False), "EL0's code is not EL1's to run"
    data = [a for a in areas if a.start <= 0x401000 < a.end]
    assert data[0].permissions == Permissions(True, True, False)
    assert (data[0].start, data[0].end) == (0x401000, 0x402000)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(0, TOP - 1), st.integers(0x3FF000, 0x403FFF)), st.data())
def test_an_area_can_be_read_or_not_everywhere(
    mapped: guestdbg.Guest, address: int, data: st.DataObject
) -> None:
    area = area_at(mapped.cores[0], address)
    assert area.start <= address < area.end
    for at in (area.start, area.end - 1, data.draw(st.integers(area.start, area.end - 1))):
        assert area_at(mapped.cores[0], at).permissions == area.permissions
        try:
            mapped.read(at, 1)
        except GuestdbgError:
            assert area.permissions is None
        else:
            assert area.permissions is not None


def test_without_mmu_memory_is_where_the_board_has_it() -> None:
    with guestdbg.load(EXAMPLES / "hello.elf", console=lambda data: None) as guest:
        below, ram, above = everything(guest)
        assert (below.permissions, above.permissions) == (None, None)
        assert (ram.start, ram.end, ram.name) == (RAM, RAM + guest.board.memory_size, "RAM")
        assert ram.permissions == Permissions(True, True, True)


def test_tables_outside_memory_are_a_hole() -> None:
    with guestdbg.load(EXAMPLES / "hello.elf", console=lambda data: None) as guest:
        vcpu = guest.vcpus[0]
        vcpu.set_reg("tcr_el1", 25 | 25 << 16 | 2 << 30)
        vcpu.set_reg("ttbr0_el1", 0x7F_0000_0000)
        vcpu.set_reg("sctlr_el1", vcpu.reg("sctlr_el1") | 1)
        area = area_at(guest.cores[0], RAM)
        assert area.permissions is None
        assert area.start <= RAM < area.end
