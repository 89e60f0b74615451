"""Debug exceptions that are not ours, given to the guest as it would have had them.

While userspace debugs a guest, every debug exception of it comes to userspace (MDCR_EL2.TDE).
A guest with a BRK of its own, or with breakpoints of its own, still wants its exception: this
module does what the processor would have done on taking it to EL1 (DDI 0487, D1.3, "Exception
entry"), through one-reg.
"""

from __future__ import annotations

from guestdbg.kvm import Vcpu
from guestdbg.kvm.regs import core_reg, sys_reg

__all__ = ["hand_back", "would_take"]

_PC = core_reg("pc")
_PSTATE = core_reg("pstate")
_ELR_EL1 = core_reg("elr_el1")
_SPSR_EL1 = core_reg("spsr[0]")
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
_EL1H, _SPSEL = 0b0101, 1
_SCTLR_SPAN, _SCTLR_DSSBS = 1 << 23, 1 << 44

# Classes that have a twin for "from the current exception level": the lower bit says which.
_TWINS = (0x30, 0x32, 0x34)
_EC_SHIFT = 26
_WATCHPOINT = 0x34


_MDSCR_KDE = 1 << 13
_PSTATE_D = 1 << 9


def would_take(vcpu: Vcpu, hsr: int) -> bool:
    """Whether the guest, on its own, would have had this debug exception at its present PC.

    To EL1 itself, breakpoints, watchpoints and steps come only with MDSCR_EL1.KDE set and PSTATE.D
    clear (DDI 0487, D2.4, "Enabling debug exceptions"); routed to EL2, neither counts. BRK always
    comes.
    """
    if hsr >> _EC_SHIFT & ~1 not in _TWINS:
        return True
    pstate = vcpu.get_one_reg(_PSTATE)
    if pstate >> 2 & 3 == 0:
        return True
    return bool(vcpu.get_one_reg(_MDSCR_EL1) & _MDSCR_KDE) and not pstate & _PSTATE_D


def hand_back(vcpu: Vcpu, hsr: int, far: int | None) -> int:
    """Make the guest take the debug exception with syndrome ``hsr`` at its present PC.

    ``hsr`` is ESR_EL2 as KVM reported it; ``far`` the address of a watchpoint. Returns the address
    of the vector that the guest goes on at.
    """
    get, put = vcpu.get_one_reg, vcpu.set_one_reg
    pc, pstate = get(_PC), get(_PSTATE)
    from_el0 = pstate >> 2 & 3 == 0
    ec = hsr >> _EC_SHIFT & ~1 if hsr >> _EC_SHIFT & ~1 in _TWINS else hsr >> _EC_SHIFT
    if ec in _TWINS and not from_el0:
        ec += 1
    put(_ESR_EL1, ec << _EC_SHIFT | hsr & (1 << _EC_SHIFT) - 1)
    if ec & ~1 == _WATCHPOINT and far is not None:
        put(_FAR_EL1, far)
    put(_ELR_EL1, pc)
    put(_SPSR_EL1, pstate)
    put(_PSTATE, _entered(pstate, get(_SCTLR_EL1), get(_ID_AA64MMFR1)))
    offset = 0x400 if from_el0 else 0x200 if pstate & _SPSEL else 0
    vector = get(_VBAR_EL1) + offset & (1 << 64) - 1
    put(_PC, vector)
    return vector


def _entered(pstate: int, sctlr: int, mmfr1: int) -> int:
    """PSTATE on entry to EL1: handler mode, everything masked, no step, no BTYPE, no IL."""
    new = pstate & (_NZCV | _DIT | _PAN | _TCO) | _DAIF | _EL1H
    if mmfr1 >> 20 & 0xF and not sctlr & _SCTLR_SPAN:
        new |= _PAN
    if sctlr & _SCTLR_DSSBS:
        new |= _SSBS
    return new
