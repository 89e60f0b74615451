"""Interrupts that are active or pending, and their way to the vCPUs (vgic.c).

Each vCPU has a list of the interrupts that are active or pending for it (``ap_list``). Before an
entry they go into its list registers (``flush_hwstate``), and what the guest made of them comes
back later (``sync_hwstate``), before anything looks at them. Only who holds the machine's run lock
may do either, for then no vCPU is in the guest; everything else needs the lock of ``VgicDist``.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.vgic import vgic_v3
from guestdbg.kvm.soft.vgic.arm_vgic import VGIC_NR_LR

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState
    from guestdbg.kvm.soft.vgic.arm_vgic import VgicCpu, VgicDist, VgicIrq


def get_dist(vm: VmState) -> VgicDist:
    """The interrupt controller of a machine that has one."""
    dist = vm.vgic
    assert dist is not None
    return dist


def kick_vcpu(vcpu: VcpuState) -> None:
    """Make a vCPU look at its interrupts before its next entry.

    If it may be in the guest, in another thread, ``cpu.kick()`` must follow.
    """
    vcpu.request_pending = True
    if vcpu.vm.clock == "host":
        # All of them: one that sleeps may have its turns in the same thread as this one.
        for other in vcpu.vm.soft_vcpus:
            other.wake.set()


def target_oracle(dist: VgicDist, irq: VgicIrq) -> int | None:
    """The vCPU that an interrupt belongs to as it is now; None: to none (vgic_target_oracle)."""
    if irq.active:
        # It must stay where it is active.
        return irq.vcpu if irq.vcpu is not None else irq.target_vcpu
    if irq.enabled and dist.enabled and irq.is_pending():
        return irq.target_vcpu
    return None


def queue_irq(vm: VmState, irq: VgicIrq) -> None:
    """Put an interrupt on the list of the vCPU it belongs to, if there is one that it is not on.

    The kernel's vgic_queue_irq_unlock().
    """
    dist = get_dist(vm)
    target = target_oracle(dist, irq)
    if target is None:
        return
    if irq.vcpu is None:
        irq.vcpu = target
        dist.cpus[target].ap_list.append(irq)
    elif irq.vcpu != target:
        # It is on another vCPU's list, which must give it away.
        kick_vcpu(vm.soft_vcpus[irq.vcpu])
    # Also if it is on the list already: it may be an edge after the guest has acknowledged the one
    # before, which no maintenance interrupt announces.
    kick_vcpu(vm.soft_vcpus[target])


def set_level(vm: VmState, irq: VgicIrq, level: bool) -> None:
    """The input of an interrupt changes; an edge-triggered one becomes pending as it rises."""
    if irq.edge:
        if not level:
            return
        irq.pending_latch = True
    elif irq.line_level == level:
        return
    else:
        irq.line_level = level
        if not level and irq.vcpu is not None:
            # If it is pending in a list register, it must be taken out.
            kick_vcpu(vm.soft_vcpus[irq.vcpu])
    get_dist(vm).touched.add(irq)
    queue_irq(vm, irq)


def inject_irq(vm: VmState, index: int | None, intid: int, level: bool) -> None:
    """KVM_IRQ_LINE of a PPI of the vCPU ``index``, or of an SPI (kvm_vgic_inject_irq).

    From any thread. Raises KvmError: EINVAL: there is no such SPI.
    """
    dist = get_dist(vm)
    with dist.lock:
        irq = dist.irq(dist.cpus[index] if index is not None else None, intid)
        if irq is None:
            raise KvmError(
                errno.EINVAL,
                "KVM_IRQ_LINE",
                f"INTID {intid}: this interrupt controller has SPIs 32 to {dist.nr_irqs - 1}",
            )
        if irq.owned:
            return
        held_by = irq.vcpu
        set_level(vm, irq, level)
        for found in {held_by, irq.vcpu} - {None}:
            assert found is not None
            vcpu = vm.soft_vcpus[found]
            if vcpu.running:
                vcpu.cpu.kick()


# -- into the list registers, and back -------------------------------------------------------------


def flush_hwstate(vcpu: VcpuState, gic: VgicCpu) -> None:
    """Load the list registers from the vCPU's list (kvm_vgic_flush_hwstate).

    They are empty before (``sync_hwstate``).
    """
    if not gic.ap_list:
        if gic.hcr != gic.base_hcr:
            vgic_v3.write_hcr(vcpu, gic, gic.base_hcr)
        return
    dist = get_dist(vcpu.vm)
    counts = [irq.lr_count() for irq in gic.ap_list]
    several = max(counts) > 1
    if several or sum(counts) > VGIC_NR_LR:
        _sort_ap_list(vcpu, gic, dist)
    values: list[int] = []
    outside: list[VgicIrq] = []
    last_priority = 0xFF
    closed = False
    for irq in gic.ap_list:
        # An SGI with several senders goes in one after the other. All of them come before any
        # interrupt of lower priority, so nothing of that may go in yet.
        closed = closed or len(values) == VGIC_NR_LR or (several and irq.priority > last_priority)
        if closed:
            outside.append(irq)
        elif target_oracle(dist, irq) == gic.index:
            values.append(vgic_v3.populate_lr(irq, dist.model))
            gic.lr_irqs.append(irq)
            if irq.source:
                last_priority = irq.priority
    hcr = _needed_hcr(vcpu, gic, dist, outside)
    if hcr != gic.hcr:
        vgic_v3.write_hcr(vcpu, gic, hcr)
    if values:
        vcpu.cpu.load_list_registers(values)


def _sort_ap_list(vcpu: VcpuState, gic: VgicCpu, dist: VgicDist) -> None:
    """Sort so that what can be delivered comes first (vgic_sort_ap_list).

    Pending interrupts of enabled groups come first, by priority, and then what is active. The
    guest's deactivation of an active interrupt that is in no list register is counted or trapped,
    but it cannot acknowledge an interrupt that is in none.
    """
    groups = vgic_v3.enabled_groups(vcpu)

    def key(irq: VgicIrq) -> tuple[bool, bool, bool, int]:
        return (
            target_oracle(dist, irq) != gic.index,
            not groups[irq.group],
            irq.active or not (irq.enabled and irq.is_pending()),
            irq.priority,
        )

    gic.ap_list.sort(key=key)


def _needed_hcr(vcpu: VcpuState, gic: VgicCpu, dist: VgicDist, outside: list[VgicIrq]) -> int:
    """ICH_HCR_EL2: what must end the run so that the interrupts ``outside`` get their turn."""
    hcr = gic.base_hcr
    if outside:
        groups = vgic_v3.enabled_groups(vcpu)
        full = len(gic.lr_irqs) == VGIC_NR_LR
        for irq in outside:
            if irq.active:
                hcr |= vgic_v3.ICH_HCR_LRENPIE | vgic_v3.ICH_HCR_TDIR
            elif target_oracle(dist, irq) != gic.index:
                continue
            elif not groups[irq.group]:
                hcr |= vgic_v3.ICH_HCR_VGRP1EIE if irq.group else vgic_v3.ICH_HCR_VGRP0EIE
            elif full:
                # All registers are pending. Without these, the last EOI would end the guest's
                # interrupts for good.
                hcr |= vgic_v3.ICH_HCR_UIE | vgic_v3.ICH_HCR_NPIE
    return hcr


def sync_hwstate(vcpu: VcpuState, gic: VgicCpu) -> None:
    """Bring the interrupts up to date from the list registers (kvm_vgic_sync_hwstate).

    The list registers are empty afterwards; the next entry must load them again.
    """
    if gic.lr_irqs:
        _fold_lr_state(vcpu, gic)
    if gic.ap_list:
        _prune_ap_list(vcpu, gic)


def _fold_lr_state(vcpu: VcpuState, gic: VgicCpu) -> None:
    model = get_dist(vcpu.vm).model
    held = gic.lr_irqs
    for irq, value in zip(held, vcpu.cpu.save_list_registers(), strict=False):
        vgic_v3.fold_lr(irq, value, model)
    if gic.hcr & vgic_v3.ICH_HCR_LRENPIE:
        # What is active and in no list register is deactivated in the order of activation, from
        # the last one: by priority, as they are sorted.
        count = vgic_v3.eoi_count(vcpu)
        for irq in gic.ap_list:
            if not count:
                break
            if irq.active and irq not in held:
                vgic_v3.deactivate(irq)
                count -= 1
        vgic_v3.write_hcr(vcpu, gic, gic.base_hcr)
    gic.lr_irqs = []
    vcpu.cpu.load_list_registers(())


def _prune_ap_list(vcpu: VcpuState, gic: VgicCpu) -> None:
    """Take interrupts off the list that do not belong there any more (vgic_prune_ap_list)."""
    vm = vcpu.vm
    dist = get_dist(vm)
    kept = []
    for irq in gic.ap_list:
        target = target_oracle(dist, irq)
        if target == gic.index:
            kept.append(irq)
        else:
            irq.vcpu = target
            if target is not None:
                dist.cpus[target].ap_list.append(irq)
                kick_vcpu(vm.soft_vcpus[target])
    gic.ap_list = kept


def refresh(vcpu: VcpuState, gic: VgicCpu) -> None:
    """Before an entry, after something has changed: the interrupts as they are now."""
    with get_dist(vcpu.vm).lock:
        vcpu.request_pending = False
        sync_hwstate(vcpu, gic)
        flush_hwstate(vcpu, gic)


def sync_all(vm: VmState) -> None:
    """Bring the interrupts of all vCPUs up to date (kvm_arm_halt_guest)."""
    for vcpu, gic in zip(vm.soft_vcpus, get_dist(vm).cpus, strict=True):
        if gic.lr_irqs:
            sync_hwstate(vcpu, gic)
            vcpu.request_pending = True


def deactivate_irq(vcpu: VcpuState, intid: int) -> None:
    """The guest's ICC_DIR_EL1, trapped because the interrupt may be in no list register.

    It may also be active on another vCPU.
    """
    vm = vcpu.vm
    dist = get_dist(vm)
    with dist.lock:
        irq = dist.irq(vcpu.vgic_cpu, intid & 0xFF_FFFF)
        if irq is None or not vgic_v3.get_vmcr(vcpu).eoim:
            return
        sync_all(vm)
        if irq.active:
            holder = irq.vcpu
            vgic_v3.deactivate(irq)
            if holder is not None:
                kick_vcpu(vm.soft_vcpus[holder])
            queue_irq(vm, irq)


# -- questions -------------------------------------------------------------------------------------


def vcpu_pending_irq(vcpu: VcpuState) -> bool:
    """Whether an interrupt is pending that ends a WFI (kvm_vgic_vcpu_pending_irq)."""
    gic = vcpu.vgic_cpu
    if gic is None or not gic.ap_list:
        return False
    dist = get_dist(vcpu.vm)
    with dist.lock:
        if gic.lr_irqs:
            sync_hwstate(vcpu, gic)
            vcpu.request_pending = True
        if not dist.enabled:
            return False
        mask = vgic_v3.priority_mask(vcpu)
        return any(
            irq.enabled and not irq.active and irq.priority < mask and irq.is_pending()
            for irq in gic.ap_list
        )


def kick_vcpus(vm: VmState) -> None:
    """The distributor has been enabled: kick who has something pending (vgic_kick_vcpus)."""
    for vcpu in vm.soft_vcpus:
        if vcpu_pending_irq(vcpu):
            kick_vcpu(vcpu)
