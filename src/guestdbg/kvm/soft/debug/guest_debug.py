"""KVM_SET_GUEST_DEBUG (guest.c). What the flags do in a run is in linux_6_1 and linux_6_14."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_VALID_MASK,
)
from guestdbg.kvm.errors import KvmError

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState
    from guestdbg.kvm.structures import GuestDebug


def set_guest_debug(vcpu: VcpuState, debug: GuestDebug) -> None:
    """KVM_SET_GUEST_DEBUG.

    Raises:
        KvmError: EINVAL for a flag that does not exist on arm64; nothing has changed then.
    """
    control = debug.control
    if control & ~KVM_GUESTDBG_VALID_MASK:
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_GUEST_DEBUG",
            f"control {control:#x} has flags that do not exist on arm64; the valid ones are "
            f"{KVM_GUESTDBG_VALID_MASK:#x} (KVM_CAP_SET_GUEST_DEBUG2)",
        )
    if control & KVM_GUESTDBG_ENABLE:
        vcpu.guest_debug = control
        # Without USE_HW the external set stays as it was.
        if control & KVM_GUESTDBG_USE_HW:
            vcpu.external_debug_state = debug.registers
    else:
        # Without ENABLE the other flags mean nothing: the host does not debug any more, and a step
        # that it requested is not pending any more.
        vcpu.guest_debug = 0
        vcpu.active_pending = False
    if vcpu.hit_programs is not None:
        # Hit programs decide hits of the external set only, which is in use with USE_HW.
        vcpu.cpu.set_programs(vcpu.hit_programs if control & KVM_GUESTDBG_USE_HW else None)
