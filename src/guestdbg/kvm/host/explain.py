"""What the errors of a vCPU's calls mean: the kernel gives a number, the user needs the reason.

Each function is an ``Explain`` (see ``calls``), or makes one.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.constants import (
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_GUESTDBG_VALID_MASK,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.structures import control_names

if TYPE_CHECKING:
    from guestdbg.kvm.host.calls import Explain
    from guestdbg.kvm.interface import Vm
    from guestdbg.kvm.structures import VcpuEvents, VcpuInit


def init_of(vm: Vm, init: VcpuInit) -> Explain:
    """KVM_ARM_VCPU_INIT."""

    def explain(number: int) -> str | None:
        if number == errno.ENOENT:
            return f"features {init.features} has bits that this kernel does not know"
        if number == errno.EINVAL:
            preferred = vm.preferred_target().target
            if init.target != preferred:
                return (
                    f"target {init.target} is not this processor's, {preferred} "
                    "(KVM_ARM_PREFERRED_TARGET)"
                )
            return (
                f"features {init.features[0]:#x}: one of them is not offered here, or the vCPU "
                "was initialised with other features before, or the machine's other vCPUs were"
            )
        return None

    return explain


def finalize_of(feature: int) -> Explain:
    """KVM_ARM_VCPU_FINALIZE."""
    return {
        errno.EINVAL: f"feature {feature} cannot be finalized, or the vCPU was not "
        "initialised with it",
        errno.EPERM: f"feature {feature} has been finalized already",
    }.get


def events_of(events: VcpuEvents) -> Explain:
    """KVM_SET_VCPU_EVENTS."""
    if events.serror_has_esr:
        text = (
            "serror_has_esr: the processor has no RAS extension to report a syndrome with, "
            "or serror_esr is more than 24 bits"
        )
    else:
        text = "this kernel does not take these events (KVM_CAP_ARM_INJECT_EXT_DABT)"
    return {errno.EINVAL: text}.get


def mp_state_of(state: int) -> Explain:
    """KVM_SET_MP_STATE."""
    return {
        errno.EINVAL: f"state {state}: arm64 has RUNNABLE ({KVM_MP_STATE_RUNNABLE}) and "
        f"STOPPED ({KVM_MP_STATE_STOPPED})"
    }.get


def guest_debug_of(vm: Vm, control: int) -> Explain:
    """KVM_SET_GUEST_DEBUG."""

    def explain(number: int) -> str | None:
        if number != errno.EINVAL:
            return None
        if not vm.check_extension(KVM_CAP_SET_GUEST_DEBUG):
            return "this kernel cannot debug guests (no KVM_CAP_SET_GUEST_DEBUG)"
        valid = vm.check_extension(KVM_CAP_SET_GUEST_DEBUG2) or KVM_GUESTDBG_VALID_MASK
        return (
            f"control {control:#x} ({control_names(control)}) has flags that this kernel does not "
            f"know; it knows {valid:#x} ({control_names(valid)})"
        )

    return explain


def cannot_run(number: int) -> str | None:
    """KVM_RUN."""
    return {
        errno.ENOSYS: "the guest accessed an address without memory, with an instruction that the "
        "syndrome does not describe (a pair, write-back, SIMD): enable KVM_CAP_ARM_NISV_TO_USER to "
        "get ExitArmNisv instead",
        errno.EFAULT: "the kernel could not access the guest's memory: is the buffer of every slot "
        "still mapped?",
        errno.EPERM: "the vCPU is not allowed to run: a feature that it was initialised with has "
        "not been finalized",
        errno.ENODEV: "the interrupt controller or the timer is not set up, or KVM has gone",
        errno.EINVAL: "the kernel cannot run the machine as it is configured: every timer needs an "
        "interrupt number of its own, the same on all vCPUs; in protected mode (pKVM) all vCPUs "
        "must be created before the first one runs",
    }.get(number)
