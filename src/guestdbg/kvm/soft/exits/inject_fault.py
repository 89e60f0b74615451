"""Exceptions that the hypervisor brings into the guest, and the adjustment of its PC.

As in the kernel (inject_fault.c, hyp/exception.c) a handler only notes what is to happen: the PC
moves behind an emulated instruction, or the guest takes an exception, at the next entry, after the
debug set-up (so that a step over it ends where it must), or before userspace sees the registers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.kvm.soft.bits import (
    EC_DABT_CUR,
    EC_DABT_LOW,
    EC_IABT_CUR,
    EC_IABT_LOW,
    EC_SHIFT,
    EC_UNKNOWN,
    ESR_IL,
    FSC_EXTABT,
    PSTATE_EL0T,
    PSTATE_M,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vcpu import SoftVcpu

#: ``vcpu.pending``: the PC is to move behind the emulated instruction.
INCREMENT_PC: Final = (0, None)


def skip_instr(vcpu: SoftVcpu) -> None:
    """The instruction at the PC has been emulated."""
    vcpu.pending = INCREMENT_PC


def inject_undef(vcpu: SoftVcpu) -> None:
    """The instruction at the PC is UNDEFINED to the guest."""
    vcpu.pending = (EC_UNKNOWN << EC_SHIFT | ESR_IL, None)


def inject_dabt(vcpu: SoftVcpu, far: int) -> None:
    """A synchronous external data abort at the virtual address ``far``."""
    _inject_abort(vcpu, EC_DABT_CUR, EC_DABT_LOW, far, FSC_EXTABT)


def inject_pabt(vcpu: SoftVcpu, far: int) -> None:
    """A synchronous external instruction abort at the virtual address ``far``."""
    _inject_abort(vcpu, EC_IABT_CUR, EC_IABT_LOW, far, FSC_EXTABT)


def inject_size_fault(vcpu: SoftVcpu, far: int, *, instruction: bool) -> None:
    """An address size fault, level 0: the address is beyond what the machine has."""
    if instruction:
        _inject_abort(vcpu, EC_IABT_CUR, EC_IABT_LOW, far, 0)
    else:
        _inject_abort(vcpu, EC_DABT_CUR, EC_DABT_LOW, far, 0)


def _inject_abort(vcpu: SoftVcpu, current: int, lower: int, far: int, fsc: int) -> None:
    from_el0 = vcpu.cpu.pstate & PSTATE_M == PSTATE_EL0T
    vcpu.pending = ((lower if from_el0 else current) << EC_SHIFT | ESR_IL | fsc, far)


def adjust_pc(vcpu: SoftVcpu) -> None:
    """Do what was noted: move the PC, or enter the guest's exception handler."""
    pending = vcpu.pending
    if pending is None:
        return
    vcpu.pending = None
    cpu = vcpu.cpu
    # Either way PSTATE.SS is 0 after it: the software step, if one is on, becomes pending.
    if pending is INCREMENT_PC:
        cpu.skip_instruction()
    else:
        esr, far = pending
        cpu.take_exception(esr, far)
