"""Whether a vCPU has just taken an exception to EL1, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.pstate import SP_SEL, exception_level, uses_sp_elx
from guestdbg.kvm.regs import ELR_EL1, PC, PSTATE, SP_EL0, SP_EL1, SPSR_EL1, sys_reg

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu

__all__ = ["SYNCHRONOUS", "ExceptionVectors", "vector_offset"]

_VBAR_EL1 = sys_reg("VBAR_EL1")
_U64 = (1 << 64) - 1

#: The kinds of exceptions in the order of their vectors: synchronous, IRQ, FIQ, SError.
SYNCHRONOUS = 0
_FROM_LOWER_EL, _FROM_SAME_EL_SP_ELX, _FROM_SAME_EL_SP_EL0 = 0x400, 0x200, 0
_TABLE_BYTES, _VECTOR_BYTES, _VECTOR_SHIFT = 0x800, 0x80, 7


class ExceptionVectors:
    """The exception vectors of EL1 (DDI 0487, D1.3, "Exception vectors") as one vCPU has them."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._get = vcpu.get_one_reg

    def taken_at(self, pc: int) -> int | None:
        """The kind of the exception that was just taken from ``pc``: 0 synchronous, 1 IRQ, 2 FIQ,
        3 SError.

        None if the PC is not at a vector, or the exception came from elsewhere.
        """
        offset = self._get(PC) - self._get(_VBAR_EL1)
        at_vector = 0 <= offset < _TABLE_BYTES and not offset % _VECTOR_BYTES
        if not at_vector or self._get(ELR_EL1) != pc:
            return None
        return offset >> _VECTOR_SHIFT & 3

    def taken_instead(self, pc: int) -> bool:
        """Whether an interrupt was taken instead of the instruction at ``pc``."""
        if self._get(PC) == pc + 4:
            return False
        return self.taken_at(pc) not in (None, SYNCHRONOUS)

    def sp_before(self) -> int:
        """The stack pointer in use before the exception that the vCPU has just taken."""
        return self._get(SP_EL1 if uses_sp_elx(self._get(SPSR_EL1)) else SP_EL0)

    def returns_to(self) -> int:
        """The address at which the exception was taken: ELR_EL1."""
        return self._get(ELR_EL1)

    def addresses(self) -> list[int]:
        """The vectors of exceptions from here: IRQ first, which is most likely to come."""
        base = self._get(_VBAR_EL1) + vector_offset(self._get(PSTATE))
        return [base + offset & _U64 for offset in (0x80, 0, 0x100, 0x180)]


def vector_offset(pstate: int) -> int:
    """From VBAR_EL1 to the vectors of exceptions that are taken to EL1 with this PSTATE."""
    if exception_level(pstate) == 0:
        return _FROM_LOWER_EL
    return _FROM_SAME_EL_SP_ELX if pstate & SP_SEL else _FROM_SAME_EL_SP_EL0
