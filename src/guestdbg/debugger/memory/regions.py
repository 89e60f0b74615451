"""Which virtual addresses are mapped, and how far around one of them the same is true."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.translate import Permissions, TranslationFault, walk
from guestdbg.kvm.regs import sys_reg
from guestdbg.machine import MachineError

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["Area", "area_at"]

_SCTLR = sys_reg("SCTLR_EL1")
_TCR = sys_reg("TCR_EL1")
_TTBR0 = sys_reg("TTBR0_EL1")
_TTBR1 = sys_reg("TTBR1_EL1")

_TOP = 1 << 64
#: log2 of the granule, by TCR_EL1.TG0 and TG1.
_GRAIN0 = (12, 16, 14, 12)
_GRAIN1 = (12, 14, 12, 16)
#: Walks for one answer at most: a guest may map a gigabyte in pages, each with other permissions
#: than the one before it.
_MOST_WALKS = 512


@dataclass(frozen=True, slots=True)
class Area:
    """Virtual addresses from ``start`` up to ``end``, which is not one of them.

    ``permissions`` are those of the Exception level that the vCPU is at; None where no memory
    answers: nothing is mapped there, or a device, or what is mapped does not exist. ``name`` is
    the board's word for the memory behind it, or "".
    """

    start: int
    end: int
    permissions: Permissions | None
    name: str = ""


def area_at(core: VcpuContext, address: int) -> Area:
    """The area around a virtual address, as the vCPU's page tables have it now.

    It may go on beyond what is given, where the tables are finely divided. An address with a tag
    in its top byte is taken for one of a hole: what it means depends on who uses it.
    """
    get = core.get
    sctlr, tcr = get(_SCTLR), get(_TCR)
    if not sctlr & 1:
        return _physical(core, address, 0, _TOP, Permissions(True, True, True))
    low_end, high_start = _bounds(tcr)
    if low_end <= address < high_start:
        return Area(low_end, high_start, None)
    limit = low_end if address < low_end else _TOP
    found = _piece(core, address, sctlr, tcr)
    for _ in range(_MOST_WALKS):
        if found.end >= limit:
            break
        more = _piece(core, found.end, sctlr, tcr)
        if (more.permissions, more.name) != (found.permissions, found.name):
            break
        found = Area(found.start, more.end, found.permissions, found.name)
    return found


def _bounds(tcr: int) -> tuple[int, int]:
    """Where the lower half of the address space ends, and the upper one begins."""
    low, high = 64 - (tcr & 63), 64 - (tcr >> 16 & 63)
    return 1 << min(low, 52), _TOP - (1 << min(high, 52))


def _piece(core: VcpuContext, address: int, sctlr: int, tcr: int) -> Area:
    """What one descriptor says, or the lack of one."""

    def read_u64(pa: int) -> int:
        try:
            return int.from_bytes(core.guest.board.read_phys(pa, 8), "little")
        except MachineError as error:
            raise LookupError(str(error)) from error

    try:
        found = walk(
            read_u64, address, tcr=tcr, ttbr0=core.get(_TTBR0), ttbr1=core.get(_TTBR1), sctlr=sctlr
        )
    except TranslationFault as fault:
        size = _span(address, fault.level, tcr)
        start = address & -size
        return Area(start, min(start + size, _TOP), None)
    permissions = found.el1 if core.cpu.el else found.el0
    start = address & -found.block_size
    shift = found.pa - address
    inside = _physical(core, found.pa, start + shift, start + shift + found.block_size, permissions)
    return Area(inside.start - shift, inside.end - shift, inside.permissions, inside.name)


def _span(address: int, level: int, tcr: int) -> int:
    """How many bytes an entry at that level of the tables stands for."""
    upper = bool(address >> 55 & 1)
    grain = _GRAIN1[tcr >> 30 & 3] if upper else _GRAIN0[tcr >> 14 & 3]
    input_bits = 64 - (tcr >> 16 & 63 if upper else tcr & 63)
    return 1 << min(grain + (3 - level) * (grain - 3), input_bits)


def _physical(core: VcpuContext, pa: int, start: int, end: int, permissions: Permissions) -> Area:
    """The part of ``start`` to ``end`` around ``pa`` that is one memory, or has none."""
    for region in core.guest.board.memory:
        if region.base <= pa < region.end:
            start, end = max(start, region.base), min(end, region.end)
            return Area(start, end, permissions, region.name)
        if region.end <= pa:
            start = max(start, region.end)
        else:
            end = min(end, region.base)
    return Area(start, end, None)
