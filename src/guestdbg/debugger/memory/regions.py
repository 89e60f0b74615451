"""Which virtual addresses are mapped, and how large the region around an address is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.pstate import exception_level
from guestdbg.arm64.translate import (
    SCTLR_M,
    Permissions,
    TranslationFault,
    entry_span,
    translated_bounds,
    walk,
)
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm.regs import PSTATE, sys_reg
from guestdbg.machine import MachineError

if TYPE_CHECKING:
    from guestdbg.machine import Board

__all__ = ["MemoryRegion", "region_at"]

ReadRegister = Callable[[int], int]

_SCTLR = sys_reg("SCTLR_EL1")
_TCR = sys_reg("TCR_EL1")
_TTBR0 = sys_reg("TTBR0_EL1")
_TTBR1 = sys_reg("TTBR1_EL1")

_ADDRESS_SPACE_END = 1 << 64
#: Walks for one answer at most. A guest may map a gigabyte in pages, each with other permissions
#: than the page before it.
_MOST_WALKS = 512


@hexadecimal("start", "end")
@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """The virtual addresses from ``start`` up to, but not including, ``end``.

    ``permissions`` are those of the Exception level that the vCPU is at. They are None where there
    is no memory to access: nothing is mapped, a device is, or the physical address does not exist.
    ``name`` is the board's name for the memory that is mapped, or "".
    """

    start: int
    end: int
    permissions: Permissions | None
    name: str = ""


def region_at(get_reg: ReadRegister, board: Board, address: int) -> MemoryRegion:
    """The region around a virtual address, by the vCPU's page tables as they are now.

    The region may end too early where the tables are finely divided: the addresses from ``end`` on
    may have the same permissions. An address with a tag in its top byte counts as not mapped,
    because what it means depends on who uses it.

    Args:
        get_reg: reads a register of the vCPU by its one-reg id.
        board: has the memory.
        address: a virtual address of 64 bits.
    """
    if not get_reg(_SCTLR) & SCTLR_M:
        everything = Permissions(True, True, True)
        return _physical(board, address, 0, _ADDRESS_SPACE_END, everything)
    lower_end, upper_start = translated_bounds(get_reg(_TCR))
    if lower_end <= address < upper_start:
        return MemoryRegion(lower_end, upper_start, None)
    limit = lower_end if address < lower_end else _ADDRESS_SPACE_END
    found = _mapped_by_one_entry(get_reg, board, address)
    for _ in range(_MOST_WALKS):
        if found.end >= limit:
            break
        more = _mapped_by_one_entry(get_reg, board, found.end)
        if (more.permissions, more.name) != (found.permissions, found.name):
            break
        found = MemoryRegion(found.start, more.end, found.permissions, found.name)
    return found


def _mapped_by_one_entry(get_reg: ReadRegister, board: Board, address: int) -> MemoryRegion:
    """What one table entry maps, or leaves unmapped, around the address."""

    def read_u64(pa: int) -> int:
        try:
            return int.from_bytes(board.read_phys(pa, 8), "little")
        except MachineError as error:
            raise LookupError(str(error)) from error

    tcr = get_reg(_TCR)
    try:
        found = walk(
            read_u64,
            address,
            tcr=tcr,
            ttbr0=get_reg(_TTBR0),
            ttbr1=get_reg(_TTBR1),
            sctlr=get_reg(_SCTLR),
        )
    except TranslationFault as fault:
        size = entry_span(address, fault.level, tcr)
        start = address & -size
        return MemoryRegion(start, min(start + size, _ADDRESS_SPACE_END), None)
    permissions = found.el1 if exception_level(get_reg(PSTATE)) else found.el0
    shift = found.pa - address
    start = (address & -found.block_size) + shift
    part = _physical(board, found.pa, start, start + found.block_size, permissions)
    return MemoryRegion(part.start - shift, part.end - shift, part.permissions, part.name)


def _physical(
    board: Board, pa: int, start: int, end: int, permissions: Permissions
) -> MemoryRegion:
    """The part of ``start`` to ``end`` around ``pa`` that is in one memory, or in none."""
    for region in board.memory:
        if region.base <= pa < region.end:
            start, end = max(start, region.base), min(end, region.end)
            return MemoryRegion(start, end, permissions, region.name)
        if region.end <= pa:
            start = max(start, region.end)
        else:
            end = min(end, region.base)
    return MemoryRegion(start, end, None)
