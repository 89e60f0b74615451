"""Whether the vCPU has just taken an exception, and what it was before."""

from __future__ import annotations

from guestdbg.kvm import Vcpu
from guestdbg.kvm.regs import core_reg, sys_reg

__all__ = ["SYNCHRONOUS", "ExceptionVectors"]

_PC = core_reg("pc")
_PSTATE = core_reg("pstate")
_SP_EL0 = core_reg("sp")
_SP_EL1 = core_reg("sp_el1")
_ELR_EL1 = core_reg("elr_el1")
_SPSR_EL1 = core_reg("spsr[0]")
_VBAR_EL1 = sys_reg("VBAR_EL1")
_U64 = (1 << 64) - 1

SYNCHRONOUS = 0


class ExceptionVectors:
    """The exception vectors of EL1 (DDI 0487, D1.3, "Exception vectors") as one vCPU has them."""

    def __init__(self, vcpu: Vcpu) -> None:
        self._get = vcpu.get_one_reg

    def taken_at(self, pc: int) -> int | None:
        """If the vCPU stands at a vector, come from ``pc``: 0 synchronous, 1 IRQ, 2 FIQ, 3 SError.

        None where it does not.
        """
        offset = self._get(_PC) - self._get(_VBAR_EL1)
        if not 0 <= offset < 0x800 or offset & 0x7F or self._get(_ELR_EL1) != pc:
            return None
        return offset >> 7 & 3

    def taken_instead(self, pc: int) -> bool:
        """Whether an interrupt was taken instead of the instruction at ``pc``."""
        if self._get(_PC) == pc + 4:
            return False
        return self.taken_at(pc) not in (None, SYNCHRONOUS)

    def sp_before(self) -> int:
        """The stack pointer in use before the exception that the vCPU has just taken."""
        spsr = self._get(_SPSR_EL1)
        return self._get(_SP_EL1 if spsr >> 2 & 3 and spsr & 1 else _SP_EL0)

    def returns_to(self) -> int:
        """Where the exception was taken from: ELR_EL1."""
        return self._get(_ELR_EL1)

    def addresses(self) -> list[int]:
        """The vectors that exceptions from here would go to: IRQ first, as likeliest."""
        pstate = self._get(_PSTATE)
        base = self._get(_VBAR_EL1) + (
            0x400 if pstate >> 2 & 3 == 0 else 0x200 if pstate & 1 else 0
        )
        return [base + offset & _U64 for offset in (0x80, 0, 0x100, 0x180)]
