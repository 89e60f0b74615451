"""Exceptions that the hypervisor injects into the guest, and the adjustment of its PC.

As in the kernel (inject_fault.c, hyp/exception.c), a handler only records in ``pc_adjustment`` what
must happen: the PC moves past an emulated instruction, or the guest takes an exception. It happens
at the next entry, after the debug set-up, so that a software step of the emulated instruction
completes; or before ``run()`` returns, so that userspace sees the registers as they are after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.exception_class import EC, EC_SHIFT
from guestdbg.kvm.soft.register_fields import (
    ESR_IL,
    FSC_EXTABT,
    PSTATE_EL0T,
    PSTATE_M,
)
from guestdbg.kvm.soft.state import INCREMENT_PC

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState

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
    """An address size fault, level 0: the address has more bits than any machine's can have."""
    if instruction:
        _inject_abort(vcpu, EC.IABT_CUR, EC.IABT_LOW, far, 0)
    else:
        _inject_abort(vcpu, EC.DABT_CUR, EC.DABT_LOW, far, 0)


def _inject_abort(vcpu: VcpuState, current: int, lower: int, far: int, fsc: int) -> None:
    from_el0 = vcpu.cpu.pstate & PSTATE_M == PSTATE_EL0T
    vcpu.pc_adjustment = ((lower if from_el0 else current) << EC_SHIFT | ESR_IL | fsc, far)


def adjust_pc(vcpu: VcpuState) -> None:
    """Do what was recorded: move the PC, or enter the guest's exception handler."""
    pending = vcpu.pc_adjustment
    if pending is None:
        return
    vcpu.pc_adjustment = None
    cpu = vcpu.cpu
    # Both clear PSTATE.SS: a software step that is enabled becomes active-pending.
    if pending is INCREMENT_PC:
        cpu.skip_instruction()
    else:
        esr, far = pending
        cpu.take_exception(esr, far)
