"""List registers and the virtual CPU interface (vgic-v3.c), for guests of both architectures.

The host is a GICv3, so a GICv2 guest too has list registers in the GICv3's format. The registers of
the virtual CPU interface are in the processor (ICH_*_EL2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.soft.vgic.arm_vgic import (
    V3_DIST_SIZE,
    V3_REDIST_SIZE,
    VGIC_NR_LR,
    VGIC_NR_SGIS,
    VGIC_V2,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicCpu,
        VgicDist,
        VgicIrq,
    )

_ICH_HCR: Final = SYSREGS["ICH_HCR_EL2"].encoding
_ICH_VMCR: Final = SYSREGS["ICH_VMCR_EL2"].encoding
ICH_AP0R0: Final = SYSREGS["ICH_AP0R0_EL2"].encoding
ICH_AP1R0: Final = SYSREGS["ICH_AP1R0_EL2"].encoding

# ICH_HCR_EL2: which events of the virtual CPU interface end a run (Arm IHI 0069, 12.4.5).
ICH_HCR_EN: Final = 1 << 0
ICH_HCR_UIE: Final = 1 << 1
ICH_HCR_LRENPIE: Final = 1 << 2
ICH_HCR_NPIE: Final = 1 << 3
ICH_HCR_VGRP0EIE: Final = 1 << 4
ICH_HCR_VGRP1EIE: Final = 1 << 6
ICH_HCR_TDIR: Final = 1 << 14
_EOI_COUNT_SHIFT: Final = 27

# ICH_LR<n>_EL2 (12.4.7). Without HW, bit 41 asks for a maintenance interrupt at the EOI.
LR_VINTID: Final = 0xFFFF_FFFF
LR_EOI: Final = 1 << 41
LR_PRIORITY_SHIFT: Final = 48
LR_GROUP1: Final = 1 << 60
LR_PENDING: Final = 1 << 62
LR_ACTIVE: Final = 1 << 63
LR_STATE: Final = LR_PENDING | LR_ACTIVE
#: A GICv2's SGI has its source in the vINTID.
LR_SOURCE_SHIFT: Final = 10

_VMCR_ENG0: Final = 1 << 0
_VMCR_ENG1: Final = 1 << 1


class Vmcr(NamedTuple):
    """ICH_VMCR_EL2 by field (struct vgic_vmcr)."""

    grpen0: int
    grpen1: int
    ackctl: int
    fiqen: int
    cbpr: int
    eoim: int
    abpr: int
    bpr: int
    pmr: int


def get_vmcr(vcpu: VcpuState) -> Vmcr:
    """The control registers of the vCPU's CPU interface (vgic_v3_get_vmcr)."""
    value = vcpu.cpu.get_sysreg(_ICH_VMCR)
    v2 = _dist(vcpu).model == VGIC_V2
    return Vmcr(
        grpen0=value & 1,
        grpen1=value >> 1 & 1,
        # With system registers FIQs are always enabled, and there is no AckCtl.
        ackctl=value >> 2 & 1 if v2 else 0,
        fiqen=value >> 3 & 1 if v2 else 1,
        cbpr=value >> 4 & 1,
        eoim=value >> 9 & 1,
        abpr=value >> 18 & 7,
        bpr=value >> 21 & 7,
        pmr=value >> 24 & 0xFF,
    )


def set_vmcr(vcpu: VcpuState, vmcr: Vmcr) -> None:
    """vgic_v3_set_vmcr()"""
    if _dist(vcpu).model == VGIC_V2:
        value = (vmcr.ackctl & 1) << 2 | (vmcr.fiqen & 1) << 3
    else:
        value = 1 << 3
    value |= (
        (vmcr.grpen0 & 1)
        | (vmcr.grpen1 & 1) << 1
        | (vmcr.cbpr & 1) << 4
        | (vmcr.eoim & 1) << 9
        | (vmcr.abpr & 7) << 18
        | (vmcr.bpr & 7) << 21
        | (vmcr.pmr & 0xFF) << 24
    )
    vcpu.cpu.set_sysreg(_ICH_VMCR, value)


def enabled_groups(vcpu: VcpuState) -> tuple[bool, bool]:
    """Whether the CPU interface signals the interrupts of group 0, and of group 1."""
    value = vcpu.cpu.get_sysreg(_ICH_VMCR)
    return bool(value & _VMCR_ENG0), bool(value & _VMCR_ENG1)


def priority_mask(vcpu: VcpuState) -> int:
    """The PMR of the CPU interface."""
    return vcpu.cpu.get_sysreg(_ICH_VMCR) >> 24 & 0xFF


def enable(vcpu: VcpuState, gic: VgicCpu) -> None:
    """Give the processor its CPU interface, with nothing enabled (vgic_v3_enable)."""
    vcpu.cpu.set_gic(2 if _dist(vcpu).model == VGIC_V2 else 3, list_registers=VGIC_NR_LR)
    vcpu.cpu.set_sysreg(_ICH_VMCR, 0)
    gic.base_hcr = ICH_HCR_EN
    if len(vcpu.vm.soft_vcpus) > 1:
        # With EOImode 1 one vCPU may deactivate an SPI that is active on another one.
        gic.base_hcr |= ICH_HCR_TDIR
    write_hcr(vcpu, gic, gic.base_hcr)


def populate_lr(irq: VgicIrq, model: int) -> int:
    """The list register for an interrupt (vgic_v3_populate_lr).

    A pending edge moves from the interrupt into it.
    """
    value = irq.intid
    allow_pending = True
    v2_sgi = model == VGIC_V2 and irq.intid < VGIC_NR_SGIS
    if irq.active:
        value |= LR_ACTIVE
        if v2_sgi:
            value |= irq.active_source << LR_SOURCE_SHIFT
        if irq.lr_count() > 1:
            # One register has one instance. The next one follows when this one is deactivated.
            allow_pending = False
            value |= LR_EOI
    if not irq.edge:
        # At the EOI the level is looked at again: if it is still high the interrupt is pending
        # again. That would not work with a register that is pending and active.
        value |= LR_EOI
        if irq.active:
            allow_pending = False
    if allow_pending and irq.is_pending():
        value |= LR_PENDING
        if irq.edge:
            irq.pending_latch = False
        if v2_sgi:
            # Only what userspace restores can be pending without a source.
            source = (irq.source & -irq.source).bit_length() - 1 if irq.source else 0
            value |= source << LR_SOURCE_SHIFT
            irq.source &= ~(1 << source)
            if irq.source:
                irq.pending_latch = True
                value |= LR_EOI
    if irq.group:
        value |= LR_GROUP1
    return value | irq.priority << LR_PRIORITY_SHIFT


def fold_lr(irq: VgicIrq, value: int, model: int) -> None:
    """Bring an interrupt up to date from its list register (vgic_v3_fold_lr_state)."""
    v2_sgi = model == VGIC_V2 and irq.intid < VGIC_NR_SGIS
    source = value >> LR_SOURCE_SHIFT & 7
    irq.active = bool(value & LR_ACTIVE)
    if irq.active and v2_sgi:
        irq.active_source = source
    if irq.edge:
        if value & LR_PENDING:
            irq.pending_latch = True
            if v2_sgi:
                irq.source |= 1 << source
    elif not value & LR_STATE:
        # A level that was made pending by software has been acknowledged.
        irq.pending_latch = False


def deactivate(irq: VgicIrq) -> None:
    """What folding a list register does whose interrupt the guest has deactivated."""
    irq.active = False
    if not irq.edge:
        irq.pending_latch = False


def eoi_count(vcpu: VcpuState) -> int:
    """How many interrupts that are in no list register the guest has deactivated."""
    return vcpu.cpu.get_sysreg(_ICH_HCR) >> _EOI_COUNT_SHIFT & 31


def write_hcr(vcpu: VcpuState, gic: VgicCpu, value: int) -> None:
    """Set ICH_HCR_EL2; EOIcount becomes 0."""
    gic.hcr = value
    vcpu.cpu.set_sysreg(_ICH_HCR, value)


def redist_region_size(vm: VmState, count: int) -> int:
    """Bytes of a region with room for so many redistributors; 0: one for each vCPU."""
    return (count or len(vm.soft_vcpus)) * V3_REDIST_SIZE


def rdist_overlap(vm: VmState, dist: VgicDist, base: int, size: int) -> bool:
    """Whether a range overlaps a region of redistributors (vgic_v3_rdist_overlap)."""
    return any(
        base + size > region.base and base < region.base + redist_region_size(vm, region.count)
        for region in dist.rd_regions
    )


def check_base(vm: VmState, dist: VgicDist) -> bool:
    """Whether all frames fit into the machine and do not overlap (vgic_v3_check_base)."""
    for region in dist.rd_regions:
        if region.base + redist_region_size(vm, region.count) > 1 << vm.ipa_bits:
            return False
    if dist.dist_base is None:
        return True
    return not rdist_overlap(vm, dist, dist.dist_base, V3_DIST_SIZE)


def _dist(vcpu: VcpuState) -> VgicDist:
    dist = vcpu.vm.vgic
    assert dist is not None
    return dist
