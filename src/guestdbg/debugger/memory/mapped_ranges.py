"""All that a vCPU's page tables map."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.arm64.mappings import mappings
from guestdbg.arm64.translate import SCTLR_M
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.arm64.mappings import Mappings

__all__ = ["mapped_ranges"]

_SCTLR = sys_reg("SCTLR_EL1")
_TCR = sys_reg("TCR_EL1")
_TTBR = (sys_reg("TTBR0_EL1"), sys_reg("TTBR1_EL1"))


def mapped_ranges(
    get_reg: Callable[[int], int], read_phys: Callable[[int, int], bytes]
) -> tuple[Mappings, Mappings] | None:
    """What the lower and the upper half of the address space map; None while the MMU is off.

    Args:
        get_reg: reads a register of the vCPU by its one-reg id.
        read_phys: reads guest-physical memory, and raises GuestdbgError without memory.
    """
    sctlr = get_reg(_SCTLR)
    if not sctlr & SCTLR_M:
        return None

    def read(address: int, length: int) -> bytes:
        try:
            return read_phys(address, length)
        except GuestdbgError as error:
            raise LookupError(str(error)) from error

    tcr = get_reg(_TCR)
    lower, upper = (
        mappings(read, upper=bool(n), tcr=tcr, ttbr=get_reg(reg), sctlr=sctlr)
        for n, reg in enumerate(_TTBR)
    )
    return lower, upper
