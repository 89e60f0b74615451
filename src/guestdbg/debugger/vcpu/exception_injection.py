"""The guest's own debug exceptions, injected as the guest would have taken them.

While userspace debugs a guest, every debug exception is routed to EL2 (MDCR_EL2.TDE) and comes to
userspace. The exceptions of the guest's own BRK instructions and breakpoints are for the guest:
this module does through one-reg what the processor does on taking one to EL1 (DDI 0487, D1.3,
"Exception entry").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.exception_class import BREAKPT, EC_SHIFT, SOFTSTP, WATCHPT
from guestdbg.arm64.pstate import exception_level
from guestdbg.debugger.vcpu.exception_vectors import vector_offset
from guestdbg.kvm.regs import ELR_EL1, PC, PSTATE, SPSR_EL1, sys_reg

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu

__all__ = ["inject", "would_take"]

_ESR_EL1 = sys_reg("ESR_EL1")
_FAR_EL1 = sys_reg("FAR_EL1")
_VBAR_EL1 = sys_reg("VBAR_EL1")
_MDSCR_EL1 = sys_reg("MDSCR_EL1")
_SCTLR_EL1 = sys_reg("SCTLR_EL1")
_ID_AA64MMFR1 = sys_reg("ID_AA64MMFR1_EL1")

# PSTATE as SPSR_EL1 keeps it.
_NZCV = 0xF << 28
_TCO, _DIT, _UAO, _PAN, _SS, _SSBS = 1 << 25, 1 << 24, 1 << 23, 1 << 22, 1 << 21, 1 << 12
_DAIF = 0xF << 6
_EL1H = 0b0101
_SCTLR_SPAN, _SCTLR_DSSBS = 1 << 23, 1 << 44

# The classes whose lowest bit says that the exception came from the current Exception level.
_PAIRED = (BREAKPT, SOFTSTP, WATCHPT)
_MDSCR_KDE = 1 << 13
_PSTATE_D = 1 << 9


def would_take(vcpu: Vcpu, hsr: int) -> bool:
    """Whether the guest would take this debug exception at its present PC if nobody debugged it.

    From EL1 to EL1, breakpoints, watchpoints and steps are taken only if MDSCR_EL1.KDE is set and
    PSTATE.D is clear (DDI 0487, D2.4, "Enabling debug exceptions"). Neither counts when they are
    routed to EL2. BRK is always taken.
    """
    if hsr >> EC_SHIFT & ~1 not in _PAIRED:
        return True
    pstate = vcpu.get_one_reg(PSTATE)
    if exception_level(pstate) == 0:
        return True
    return bool(vcpu.get_one_reg(_MDSCR_EL1) & _MDSCR_KDE) and not pstate & _PSTATE_D


def inject(vcpu: Vcpu, hsr: int, far: int | None) -> int:
    """Make the guest take the debug exception with syndrome ``hsr`` at its present PC.

    ``hsr`` is ESR_EL2 as KVM reported it, ``far`` the FAR_EL2 of a watchpoint. Returns the address
    of the vector at which the guest goes on.
    """
    get, put = vcpu.get_one_reg, vcpu.set_one_reg
    pc, pstate = get(PC), get(PSTATE)
    ec = hsr >> EC_SHIFT
    if ec & ~1 in _PAIRED:
        ec = ec & ~1 if exception_level(pstate) == 0 else ec | 1
    put(_ESR_EL1, ec << EC_SHIFT | hsr & (1 << EC_SHIFT) - 1)
    if ec & ~1 == WATCHPT and far is not None:
        put(_FAR_EL1, far)
    put(ELR_EL1, pc)
    put(SPSR_EL1, pstate)
    put(PSTATE, _pstate_on_entry(pstate, get(_SCTLR_EL1), get(_ID_AA64MMFR1)))
    vector = get(_VBAR_EL1) + vector_offset(pstate) & (1 << 64) - 1
    put(PC, vector)
    return vector


def _pstate_on_entry(pstate: int, sctlr: int, mmfr1: int) -> int:
    """PSTATE on entry to EL1: EL1h, DAIF set; SS, BTYPE and IL clear."""
    new = pstate & (_NZCV | _DIT | _PAN | _TCO) | _DAIF | _EL1H
    if mmfr1 >> 20 & 0xF and not sctlr & _SCTLR_SPAN:
        new |= _PAN
    if sctlr & _SCTLR_DSSBS:
        new |= _SSBS
    return new
