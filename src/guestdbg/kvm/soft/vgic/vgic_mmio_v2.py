"""The GICv2's distributor, and its CPU interface as userspace accesses it (vgic-mmio-v2.c).

The guest's accesses to the CPU interface do not come here: the processor has it (GICV).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.kvm.soft.vgic import vgic, vgic_v3
from guestdbg.kvm.soft.vgic import vgic_mmio as mmio
from guestdbg.kvm.soft.vgic.arm_vgic import (
    KVM_VGIC_IMP_REV_2,
    KVM_VGIC_IMP_REV_3,
    VGIC_NR_PRIVATE_IRQS,
)
from guestdbg.kvm.soft.vgic.vgic_mmio import RegisterTable, region

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState

_GICD_CTLR, _GICD_TYPER, _GICD_IIDR = 0, 4, 8
_GICC_CTLR, _GICC_PMR, _GICC_BPR, _GICC_ABPR, _GICC_IIDR = 0, 4, 8, 0x1C, 0xFC

#: GICD_IIDR: ProductID of KVM, Implementer Arm; the revision is in [15:12].
IIDR_KVM = 0x4B << 24 | 0x43B
IIDR_REVISION_SHIFT = 12
IIDR_REVISION = 0xF << IIDR_REVISION_SHIFT


def _read_misc(vcpu: VcpuState, offset: int, size: int) -> int:
    dist = vgic.get_dist(vcpu.vm)
    if offset == _GICD_CTLR:
        return int(dist.enabled)
    if offset == _GICD_TYPER:
        return (dist.nr_irqs >> 5) - 1 | len(vcpu.vm.soft_vcpus) - 1 << 5
    return IIDR_KVM | dist.implementation_rev << IIDR_REVISION_SHIFT


def _write_misc(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    if offset == _GICD_CTLR:
        enable_dist(vcpu, bool(value & 1))


def enable_dist(vcpu: VcpuState, enabled: bool) -> None:
    """Turn the distributor on or off."""
    dist = vgic.get_dist(vcpu.vm)
    before, dist.enabled = dist.enabled, enabled
    if enabled and not before:
        vgic.kick_vcpus(vcpu.vm)


def _user_write_misc(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    if offset != _GICD_IIDR:
        _write_misc(vcpu, offset, size, value)
        return True
    dist = vgic.get_dist(vcpu.vm)
    revision = value >> IIDR_REVISION_SHIFT & 0xF
    if (value ^ _read_misc(vcpu, offset, size)) & ~IIDR_REVISION:
        return False
    if revision not in (KVM_VGIC_IMP_REV_2, KVM_VGIC_IMP_REV_3):
        return False
    # Userspace that writes GICD_IIDR knows that old kernels had all interrupts in group 1.
    dist.v2_groups_user_writable = True
    dist.implementation_rev = revision
    return True


def _user_write_group(vcpu: VcpuState, offset: int, size: int, value: int) -> bool:
    if vgic.get_dist(vcpu.vm).v2_groups_user_writable:
        mmio.write_group(vcpu, offset, size, value)
    return True


def _write_sgir(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_SGIR: send an SGI."""
    vm = vcpu.vm
    intid, mode = value & 15, value >> 24 & 3
    targets = value >> 16 & 0xFF
    own = 1 << vcpu.id
    if mode == 1:  # all but this one
        targets = (1 << len(vm.soft_vcpus)) - 1 & ~own
    elif mode == 2:
        targets = own
    elif mode == 3:
        return
    dist = vgic.get_dist(vm)
    for cpu in dist.cpus:
        if targets >> cpu.index & 1:
            irq = dist.private_irq(cpu, intid)
            irq.pending_latch = True
            irq.source |= own
            vgic.queue_irq(vm, irq)


def _read_target(vcpu: VcpuState, offset: int, size: int) -> int:
    found = mmio.irqs(vcpu, mmio.first_intid(offset, 8), size)
    return sum(irq.targets << 8 * n for n, irq in found)


def _write_target(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    """GICD_ITARGETSR. Of several targets the lowest gets it; without any, vCPU 0."""
    present = (1 << len(vcpu.vm.soft_vcpus)) - 1
    for n, irq in mmio.irqs(vcpu, mmio.first_intid(offset, 8), size):
        if irq.intid >= VGIC_NR_PRIVATE_IRQS:
            irq.targets = value >> 8 * n & present & 0xFF
            irq.target_vcpu = (irq.targets & -irq.targets).bit_length() - 1 if irq.targets else 0


def _read_sgipend(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICD_CPENDSGIR and GICD_SPENDSGIR: a byte for each SGI, a bit for each sender."""
    return sum(irq.source << 8 * n for n, irq in mmio.irqs(vcpu, offset & 15, size))


def _write_sgipend_clear(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    for n, irq in mmio.irqs(vcpu, offset & 15, size):
        irq.source &= ~(value >> 8 * n & 0xFF)
        if not irq.source:
            irq.pending_latch = False


def _write_sgipend_set(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    for n, irq in mmio.irqs(vcpu, offset & 15, size):
        irq.source |= value >> 8 * n & 0xFF
        if irq.source:
            irq.pending_latch = True
            vgic.queue_irq(vcpu.vm, irq)


DIST_REGISTERS = RegisterTable(
    [
        region(_GICD_CTLR, 12, _read_misc, _write_misc, user_write=_user_write_misc),
        region(
            0x080,
            128,
            mmio.read_group,
            mmio.write_group,
            user_write=_user_write_group,
            bits_per_irq=1,
        ),
        region(0x100, 128, mmio.read_enable, mmio.write_senable, bits_per_irq=1),
        region(0x180, 128, mmio.read_enable, mmio.write_cenable, bits_per_irq=1),
        region(
            0x200,
            128,
            mmio.read_pending,
            mmio.write_spending,
            user_read=mmio.user_read_pending,
            user_write=mmio.user_write_spending,
            bits_per_irq=1,
        ),
        region(
            0x280,
            128,
            mmio.read_pending,
            mmio.write_cpending,
            user_read=mmio.user_read_pending,
            user_write=mmio.user_write_cpending,
            bits_per_irq=1,
        ),
        region(
            0x300,
            128,
            mmio.read_active,
            mmio.write_sactive,
            user_write=mmio.user_write_sactive,
            bits_per_irq=1,
        ),
        region(
            0x380,
            128,
            mmio.read_active,
            mmio.write_cactive,
            user_write=mmio.user_write_cactive,
            bits_per_irq=1,
        ),
        region(
            0x400,
            1024,
            mmio.read_priority,
            mmio.write_priority,
            mmio.BYTE_OR_WORD,
            bits_per_irq=8,
        ),
        region(0x800, 1024, _read_target, _write_target, mmio.BYTE_OR_WORD, bits_per_irq=8),
        region(0xC00, 256, mmio.read_config, mmio.write_config, bits_per_irq=2),
        region(0xF00, 4, mmio.read_raz, _write_sgir),
        region(0xF10, 16, _read_sgipend, _write_sgipend_clear, mmio.BYTE_OR_WORD),
        region(0xF20, 16, _read_sgipend, _write_sgipend_set, mmio.BYTE_OR_WORD),
    ]
)


# -- the CPU interface, for userspace --------------------------------------------------------------


def _read_cpuif(vcpu: VcpuState, offset: int, size: int) -> int:
    vmcr = vgic_v3.get_vmcr(vcpu)
    if offset == _GICC_CTLR:
        return (
            vmcr.grpen0
            | vmcr.grpen1 << 1
            | vmcr.ackctl << 2
            | vmcr.fiqen << 3
            | vmcr.cbpr << 4
            | vmcr.eoim << 9
        )
    if offset == _GICC_PMR:
        # The attribute has been GICH_VMCR's field from the start: the upper 5 bits, at the bottom.
        return vmcr.pmr >> 3
    if offset == _GICC_BPR:
        return vmcr.bpr
    if offset == _GICC_ABPR:
        return vmcr.abpr
    return 0x4B << 20 | 2 << 16 | 0x43B  # GICC_IIDR: KVM, architecture version 2, Arm


def _write_cpuif(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    vmcr = vgic_v3.get_vmcr(vcpu)
    if offset == _GICC_CTLR:
        vmcr = vmcr._replace(
            grpen0=value & 1,
            grpen1=value >> 1 & 1,
            ackctl=value >> 2 & 1,
            fiqen=value >> 3 & 1,
            cbpr=value >> 4 & 1,
            eoim=value >> 9 & 1,
        )
    elif offset == _GICC_PMR:
        vmcr = vmcr._replace(pmr=value << 3 & 0xF8)
    elif offset == _GICC_BPR:
        vmcr = vmcr._replace(bpr=value)
    elif offset == _GICC_ABPR:
        vmcr = vmcr._replace(abpr=value)
    vgic_v3.set_vmcr(vcpu, vmcr)


def _read_apr(vcpu: VcpuState, offset: int, size: int) -> int:
    """GICC_APR<n>. With 5 bits of priority there is one; a GICv3 host has it in ICH_AP1R0_EL2."""
    return vcpu.cpu.get_sysreg(vgic_v3.ICH_AP1R0) if offset == 0xD0 else 0


def _write_apr(vcpu: VcpuState, offset: int, size: int, value: int) -> None:
    if offset == 0xD0:
        vcpu.cpu.set_sysreg(vgic_v3.ICH_AP1R0, value)


CPU_REGISTERS = RegisterTable(
    [
        region(_GICC_CTLR, 4, _read_cpuif, _write_cpuif),
        region(_GICC_PMR, 4, _read_cpuif, _write_cpuif),
        region(_GICC_BPR, 4, _read_cpuif, _write_cpuif),
        region(_GICC_ABPR, 4, _read_cpuif, _write_cpuif),
        region(0xD0, 16, _read_apr, _write_apr),
        region(_GICC_IIDR, 4, _read_cpuif, _write_cpuif),
    ]
)
