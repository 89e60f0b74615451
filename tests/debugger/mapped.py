"""Page tables for assembled guests: normal memory, in which unaligned accesses are allowed."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

from guestdbg.debugger import Guest

from .assembled import RAM

#: Virtual pages that are neighbours are mapped here, to physical pages that are not.
SCATTERED = 0x8000_0000
PAGE = 0x1000

_TABLES = RAM + 0x1_0000
_FRAMES = RAM + 0x10_0000
_MAIR = 0xFF00  # 0: Device-nGnRnE; 1: Normal, write-back
_TABLE, _PAGE, _BLOCK = 3, 3, 1
_NORMAL = 1 << 10 | 3 << 8 | 1 << 2  # AF, inner shareable, attributes 1
_DEVICE = 1 << 10 | 3 << 53  # AF, execute-never, attributes 0
_TCR = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32  # 39 bits, 4 KB, no TTBR1, 40 bits


def frame(number: int) -> int:
    """The physical page that virtual page ``number`` at SCATTERED is mapped to."""
    return _FRAMES + (7 - number * 3 % 8) * 2 * PAGE


def map_memory(
    guest: Guest, pages: Sequence[int] = range(8), attributes: Mapping[int, int] | None = None
) -> None:
    """Switch the MMU of all vCPUs on: RAM as it is, devices, and ``pages`` at SCATTERED.

    ``attributes`` are more bits of the descriptors, by the number of the page.
    """
    more = attributes or {}
    level1, level2, level3 = _TABLES, _TABLES + PAGE, _TABLES + 2 * PAGE
    tables = {
        level1: _DEVICE | _BLOCK,
        level1 + 8: RAM | _NORMAL | _BLOCK,
        level1 + 16: level2 | _TABLE,
        level2: level3 | _TABLE,
    }
    tables |= {level3 + 8 * n: frame(n) | _NORMAL | _PAGE | more.get(n, 0) for n in pages}
    for address, descriptor in tables.items():
        guest.board.write_phys(address, struct.pack("<Q", descriptor))
    for cpu in guest.vcpus:
        cpu.set_reg("MAIR_EL1", _MAIR)
        cpu.set_reg("TCR_EL1", _TCR)
        cpu.set_reg("TTBR0_EL1", level1)
        cpu.set_reg("CPACR_EL1", 3 << 20)  # FP and SIMD are not trapped
        cpu.set_reg("SCTLR_EL1", cpu.reg("SCTLR_EL1") | 1 << 12 | 1 << 2 | 1)
