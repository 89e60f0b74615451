"""The generic timer: counter offset, one-reg ids, device attributes (arch_timer.c)."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_TIMER_CTRL,
    KVM_ARM_VCPU_TIMER_IRQ_PTIMER,
    KVM_ARM_VCPU_TIMER_IRQ_VTIMER,
    KVM_REG_ARM_PTIMER_CNT,
    KVM_REG_ARM_PTIMER_CTL,
    KVM_REG_ARM_PTIMER_CVAL,
    KVM_REG_ARM_TIMER_CNT,
    KVM_REG_ARM_TIMER_CTL,
    KVM_REG_ARM_TIMER_CVAL,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.register_fields import U64
from guestdbg.kvm.soft.state import VcpuState

Get = Callable[[VcpuState], int]
Set = Callable[[VcpuState, int], None]

#: Frequency of the counters in Hz (CNTFRQ_EL0).
COUNTER_HZ: Final = 62_500_000

#: The interrupt numbers (PPIs) of the timers: KVM's defaults.
TIMER_PPIS: Final = {KVM_ARM_VCPU_TIMER_IRQ_VTIMER: 27, KVM_ARM_VCPU_TIMER_IRQ_PTIMER: 30}


_VIRTUAL_CTL, _VIRTUAL_CVAL = SYSREGS["CNTV_CTL_EL0"].encoding, SYSREGS["CNTV_CVAL_EL0"].encoding
_PHYSICAL_CTL, _PHYSICAL_CVAL = SYSREGS["CNTP_CTL_EL0"].encoding, SYSREGS["CNTP_CVAL_EL0"].encoding


def _set_virtual_counter(vcpu: VcpuState, value: int) -> None:
    """The offset, CNTVOFF_EL2, sets the virtual counter, of all vCPUs together."""
    vcpu.vm.cntvoff = vcpu.cpu.counter - value & U64
    for other in vcpu.vm.soft_vcpus:
        other.cpu.cntvoff_el2 = vcpu.vm.cntvoff


def _ignore(vcpu: VcpuState, value: int) -> None:
    """The physical counter is the host's; KVM ignores the write too."""


#: One-reg ids of the timers: id -> (get, set).
TIMER_REGS: Final[
    dict[int, tuple[Callable[[VcpuState], int], Callable[[VcpuState, int], None]]]
] = {
    KVM_REG_ARM_TIMER_CTL: (
        lambda vcpu: vcpu.cpu.get_sysreg(_VIRTUAL_CTL),
        lambda vcpu, value: vcpu.cpu.set_sysreg(_VIRTUAL_CTL, value),
    ),
    KVM_REG_ARM_TIMER_CVAL: (
        lambda vcpu: vcpu.cpu.get_sysreg(_VIRTUAL_CVAL),
        lambda vcpu, value: vcpu.cpu.set_sysreg(_VIRTUAL_CVAL, value),
    ),
    KVM_REG_ARM_TIMER_CNT: (
        lambda vcpu: vcpu.cpu.counter - vcpu.vm.cntvoff & U64,
        _set_virtual_counter,
    ),
    KVM_REG_ARM_PTIMER_CTL: (
        lambda vcpu: vcpu.cpu.get_sysreg(_PHYSICAL_CTL),
        lambda vcpu, value: vcpu.cpu.set_sysreg(_PHYSICAL_CTL, value),
    ),
    KVM_REG_ARM_PTIMER_CVAL: (
        lambda vcpu: vcpu.cpu.get_sysreg(_PHYSICAL_CVAL),
        lambda vcpu, value: vcpu.cpu.set_sysreg(_PHYSICAL_CVAL, value),
    ),
    KVM_REG_ARM_PTIMER_CNT: (lambda vcpu: vcpu.cpu.counter, _ignore),
}


def has_attr(group: int, attr: int) -> bool:
    """Whether a vCPU has this device attribute: the interrupt numbers of the timers."""
    return group == KVM_ARM_VCPU_TIMER_CTRL and attr in TIMER_PPIS


def get_attr(group: int, attr: int, size: int) -> bytes:
    """A timer's interrupt number, as 4 bytes, little-endian."""
    _check(group, attr)
    if size != 4:
        raise KvmError(errno.EFAULT, "KVM_GET_DEVICE_ATTR", f"the attribute is 4 bytes, not {size}")
    return TIMER_PPIS[attr].to_bytes(4, "little")


def set_attr(group: int, attr: int, value: bytes) -> None:
    """Refused (EINVAL): a timer's interrupt needs an interrupt controller, and there is none."""
    _check(group, attr)
    raise KvmError(
        errno.EINVAL, "KVM_SET_DEVICE_ATTR", "the machine has no interrupt controller yet"
    )


def _check(group: int, attr: int) -> None:
    if not has_attr(group, attr):
        raise KvmError(
            errno.ENXIO, "KVM_DEVICE_ATTR", f"a vCPU has no attribute {attr} in group {group}"
        )
