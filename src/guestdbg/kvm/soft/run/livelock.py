"""Livelocked guests: an exception vector whose first instruction raises the same exception again.

The kernel lets such a guest run. Here it retires no instruction, so it would never reach an
instruction limit; it gets an exit instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_INTERNAL_ERROR_DELIVERY_EV
from guestdbg.kvm.exits import ExitInternalError

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState

_ESR_EL1: Final = SYSREGS["ESR_EL1"].encoding
_ELR_EL1: Final = SYSREGS["ELR_EL1"].encoding


def injected_again(vcpu: VcpuState) -> Exit | None:
    """The exit if the exception to inject is the last one again and nothing retired between."""
    here = (vcpu.cpu.pc, vcpu.pc_adjustment, vcpu.cpu.instructions)
    if here == vcpu.last_injected:
        return livelock_exit(vcpu)
    vcpu.last_injected = here
    return None


def livelock_exit(vcpu: VcpuState) -> Exit:
    """The exit for a livelocked guest."""
    cpu = vcpu.cpu
    pc = cpu.pc
    return ExitInternalError(
        KVM_INTERNAL_ERROR_DELIVERY_EV,
        (pc, cpu.get_sysreg(_ESR_EL1), cpu.get_sysreg(_ELR_EL1)),
        f"the guest cannot go on: its exception vector at {pc:#x} raises an exception itself, "
        "again and again (is VBAR_EL1 set, and is there code at it?)",
    )
