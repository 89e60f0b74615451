"""Requests to a vCPU, from any thread: power, reset, interrupt lines (arm.c: check_vcpu_requests).

They are handled before the vCPU's next entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.kvm.soft.register_fields import HCR_VF, HCR_VI
from guestdbg.kvm.soft.registers import timer
from guestdbg.kvm.soft.registers.reset import reset_vcpu, update_lines
from guestdbg.kvm.soft.run.waiting import sleep
from guestdbg.kvm.soft.vgic import vgic, vgic_init

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.soft.state import VcpuState


def request(vcpu: VcpuState) -> None:
    """Make the vCPU handle its requests; if it is in the guest, it leaves it for that."""
    vcpu.request_pending = True
    vcpu.wake.set()
    vcpu.cpu.kick()


def power_off(vcpu: VcpuState) -> None:
    """PSCI CPU_OFF, or the machine stops: nothing runs on the vCPU until it is powered on."""
    vcpu.stopped = True
    vcpu.reset_state = None
    vcpu.request_pending = True


def power_on(vcpu: VcpuState, entry: int, context: int) -> None:
    """PSCI CPU_ON: at its next entry the vCPU starts at ``entry`` with ``context`` in X0."""
    vcpu.reset_state = (entry, context)
    vcpu.request_pending = True
    vcpu.stopped = False
    vcpu.wake.set()


def set_line(vcpu: VcpuState, line: int, level: bool) -> None:
    """Raise or lower the IRQ (0) or FIQ (1) line."""
    bit = HCR_VF if line else HCR_VI
    lines = vcpu.irq_lines | bit if level else vcpu.irq_lines & ~bit
    if lines != vcpu.irq_lines:
        vcpu.irq_lines = lines
        request(vcpu)


def handle(vcpu: VcpuState) -> Exit | None:
    """Handle the requests since the last entry. Returns the exit that ends a sleep, or None."""
    vm = vcpu.vm
    if not vcpu.timer_enabled:
        _first_run(vcpu)
    vm.has_run = True
    while vcpu.stopped:
        exit_ = sleep(vcpu, None)
        if exit_ is not None:
            return exit_
    vcpu.request_pending = False
    if vcpu.reset_state is not None:
        entry, context = vcpu.reset_state
        vcpu.reset_state = None
        linux = vm.linux
        if linux.put is not None:
            linux.put(vcpu)
        reset_vcpu(vcpu)
        vcpu.cpu.pc = entry
        vcpu.cpu.set_x(0, context)
        if linux.load is not None:
            linux.load(vcpu)
    update_lines(vcpu)
    if vcpu.vgic_cpu is not None:
        timer.update_irqs(vcpu)
        vgic.refresh(vcpu, vcpu.vgic_cpu)
    return None


def _first_run(vcpu: VcpuState) -> None:
    """What the machine has is in place from here on (kvm_arch_vcpu_run_pid_change).

    Raises:
        KvmError: ENXIO, EINVAL, EBUSY: the interrupt controller is not complete.
    """
    if vcpu.vm.vgic is not None:
        vgic_init.map_resources(vcpu.vm)
    timer.enable(vcpu)
