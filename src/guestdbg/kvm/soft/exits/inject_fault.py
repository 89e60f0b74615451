"""Exceptions that the hypervisor brings into the guest, and the adjustment of its PC.

As in the kernel (inject_fault.c, hyp/exception.c) a handler only notes what is to happen: the PC
moves behind an emulated instruction, or the guest takes an exception, at the next entry, after the
debug set-up (so that a step over it ends where it must), or before userspace sees the registers.
"""

from __future__ import annotations

from typing import Final

from guestdbg.arm64.exception_class import EC, EC_SHIFT
from guestdbg.kvm.soft.register_fields import (
    ESR_IL,
    FSC_EXTABT,
    PSTATE_EL0T,
    PSTATE_M,
)
from guestdbg.kvm.soft.state import INCREMENT_PC, VcpuState

#: A syndrome that says nothing but "UNDEFINED".
_UNDEFINED: Final = (EC.UNKNOWN << EC_SHIFT | ESR_IL, None)


def skip_instr(vcpu: VcpuState) -> None:
    """The instruction at the PC has been emulated."""
    vcpu.pc_adjustment = INCREMENT_PC


def inject_undef(vcpu: VcpuState) -> None:
    """The instruction at the PC is UNDEFINED to the guest."""
    vcpu.pc_adjustment = _UNDEFINED


def inject_dabt(vcpu: VcpuState, far: int) -> None:
    """A synchronous external data abort at the virtual address ``far``."""
    _inject_abort(vcpu, EC.DABT_CUR, EC.DABT_LOW, far, FSC_EXTABT)


def inject_pabt(vcpu: VcpuState, far: int) -> None:
    """A synchronous external instruction abort at the virtual address ``far``."""
    _inject_abort(vcpu, EC.IABT_CUR, EC.IABT_LOW, far, FSC_EXTABT)


def inject_size_fault(vcpu: VcpuState, far: int, *, instruction: bool) -> None:
    """An address size fault, level 0: the address is beyond what the machine has."""
    if instruction:
        _inject_abort(vcpu, EC.IABT_CUR, EC.IABT_LOW, far, 0)
    else:
        _inject_abort(vcpu, EC.DABT_CUR, EC.DABT_LOW, far, 0)


def _inject_abort(vcpu: VcpuState, current: int, lower: int, far: int, fsc: int) -> None:
    from_el0 = vcpu.cpu.pstate & PSTATE_M == PSTATE_EL0T
    vcpu.pc_adjustment = ((lower if from_el0 else current) << EC_SHIFT | ESR_IL | fsc, far)


def adjust_pc(vcpu: VcpuState) -> None:
    """Do what was noted: move the PC, or enter the guest's exception handler."""
    pending = vcpu.pc_adjustment
    if pending is None:
        return
    vcpu.pc_adjustment = None
    cpu = vcpu.cpu
    # Either way PSTATE.SS is 0 after it: the software step, if one is on, becomes pending.
    if pending is INCREMENT_PC:
        cpu.skip_instruction()
    else:
        esr, far = pending
        cpu.take_exception(esr, far)
