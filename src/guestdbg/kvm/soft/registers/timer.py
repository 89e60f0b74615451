"""The generic timer: counter offset, one-reg ids, interrupts, device attributes (arch_timer.c)."""

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
from guestdbg.kvm.soft.vgic import vgic
from guestdbg.kvm.soft.vgic.arm_vgic import VGIC_NR_PRIVATE_IRQS, VGIC_NR_SGIS

Get = Callable[[VcpuState], int]
Set = Callable[[VcpuState, int], None]

#: Frequency of the counters in Hz (CNTFRQ_EL0).
COUNTER_HZ: Final = 62_500_000

#: The device attributes of the timers, in the order of ``VmState.timer_ppis``.
_TIMERS: Final = (KVM_ARM_VCPU_TIMER_IRQ_VTIMER, KVM_ARM_VCPU_TIMER_IRQ_PTIMER)

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


# -- interrupts ------------------------------------------------------------------------------------


def enable(vcpu: VcpuState) -> None:
    """The vCPU's first run: its timers get their interrupts (kvm_timer_enable).

    Raises:
        KvmError: EINVAL: both timers have the same interrupt.
    """
    gic = vcpu.vgic_cpu
    virtual, physical = vcpu.vm.timer_ppis
    if gic is not None:
        dist = vgic.get_dist(vcpu.vm)
        if virtual == physical:
            raise KvmError(
                errno.EINVAL, "KVM_RUN", f"both timers have interrupt {virtual} (TIMER_CTRL)"
            )
        for ppi in vcpu.vm.timer_ppis:
            dist.private_irq(gic, ppi).owned = True
        # The virtual timer's physical interrupt is the processor's own.
        dist.private_irq(gic, virtual).mapped = True
    vcpu.timer_enabled = True


def update_irqs(vcpu: VcpuState) -> None:
    """Give the outputs of the timers to their interrupts (kvm_timer_update_irq)."""
    vm, gic = vcpu.vm, vcpu.vgic_cpu
    if gic is None or vm.vgic is None or not vcpu.timer_enabled:
        return
    virtual, physical = vm.timer_ppis
    with vm.vgic.lock:
        vgic.set_level(vm, gic.private_irqs[virtual], vcpu.cpu.vtimer_output)
        vgic.set_level(vm, gic.private_irqs[physical], vcpu.cpu.ptimer_output)


def reset(vcpu: VcpuState) -> None:
    """The processor has been reset, and with it the timers (kvm_timer_vcpu_reset)."""
    gic = vcpu.vgic_cpu
    if gic is None or not vcpu.timer_enabled:
        return
    for ppi in vcpu.vm.timer_ppis:
        irq = vgic.get_dist(vcpu.vm).private_irq(gic, ppi)
        if irq.mapped:
            irq.active = irq.pending_latch = False
    update_irqs(vcpu)


# -- device attributes of a vCPU -------------------------------------------------------------------


def has_attr(group: int, attr: int) -> bool:
    """Whether a vCPU has this device attribute: the interrupt numbers of the timers."""
    return group == KVM_ARM_VCPU_TIMER_CTRL and attr in _TIMERS


def get_attr(vcpu: VcpuState, group: int, attr: int, size: int) -> bytes:
    """A timer's interrupt number, as 4 bytes, little-endian."""
    _check(group, attr)
    if size != 4:
        raise KvmError(errno.EFAULT, "KVM_GET_DEVICE_ATTR", f"the attribute is 4 bytes, not {size}")
    return vcpu.vm.timer_ppis[_TIMERS.index(attr)].to_bytes(4, "little")


def set_attr(vcpu: VcpuState, group: int, attr: int, value: bytes) -> None:
    """Set a timer's interrupt number, for all vCPUs.

    Raises:
        KvmError: ENXIO: no such attribute; EINVAL: the machine has no interrupt controller, or the
            number is not a PPI's; EFAULT: it is shorter than 4 bytes; EBUSY: a vCPU has run.
    """
    _check(group, attr)
    call = "KVM_SET_DEVICE_ATTR"
    vm = vcpu.vm
    if vm.vgic is None:
        raise KvmError(
            errno.EINVAL, call, "the machine has no interrupt controller: create one first"
        )
    if len(value) < 4:
        raise KvmError(errno.EFAULT, call, f"the attribute is 4 bytes, not {len(value)}")
    number = int.from_bytes(value[:4], "little")
    if not VGIC_NR_SGIS <= number < VGIC_NR_PRIVATE_IRQS:
        raise KvmError(errno.EINVAL, call, f"interrupt {number} is not a PPI: 16 to 31 are")
    if any(other.timer_enabled for other in vm.soft_vcpus):
        raise KvmError(errno.EBUSY, call, "a vCPU has run: its timers have their interrupts")
    virtual, physical = vm.timer_ppis
    is_virtual = attr == KVM_ARM_VCPU_TIMER_IRQ_VTIMER
    vm.timer_ppis = (number, physical) if is_virtual else (virtual, number)


def _check(group: int, attr: int) -> None:
    if not has_attr(group, attr):
        raise KvmError(
            errno.ENXIO, "KVM_DEVICE_ATTR", f"a vCPU has no attribute {attr} in group {group}"
        )
