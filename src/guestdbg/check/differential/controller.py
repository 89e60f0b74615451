"""The interrupt controller of a program's machine: a GICv3 with a few interrupts enabled.

SGIs 0 to 3, an edge-triggered SPI and a level-sensitive one. Only interrupts whose moment the guest
or the script determines: no timers. Source: Documentation/virt/kvm/devices/arm-vgic-v3.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check.differential import layout
from guestdbg.kvm.constants import (
    KVM_ARM_IRQ_TYPE_SHIFT,
    KVM_ARM_IRQ_TYPE_SPI,
    KVM_DEV_ARM_VGIC_CTRL_INIT,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
)
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.kvm import Device, Vm

#: The enabled interrupts and their priorities.
PRIORITIES = {0: 0xA0, 1: 0x80, 2: 0xC0, 3: 0x60}
SPI_PRIORITIES = {layout.EDGE: 0x90, layout.LEVEL: 0xB0}
#: Distributor registers of the SPIs from 32 on, and the same private ones in the SGI frame.
ISENABLER1, ISPENDR1, ICPENDR1, ISACTIVER1 = 0x104, 0x204, 0x284, 0x304
_SGI_FRAME, _IPRIORITYR, _ICFGR2 = 0x10000, 0x400, 0xC08
_FIELD = 2 * (layout.EDGE - 32)

#: What is compared at the end: name -> (group, attribute, size).
_FINAL = {
    "GICD_ISENABLER1": (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, ISENABLER1, 4),
    "GICD_ISPENDR1": (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, ISPENDR1, 4),
    "GICD_ISACTIVER1": (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, ISACTIVER1, 4),
    "GICR_ISPENDR0": (KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, _SGI_FRAME + 0x200, 4),
    "GICR_ISACTIVER0": (KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, _SGI_FRAME + 0x300, 4),
    **{
        name: (KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, sys_reg(name) & 0xFFFF, 8)
        for name in ("ICC_PMR_EL1", "ICC_BPR1_EL1", "ICC_AP1R0_EL1", "ICC_IGRPEN1_EL1")
    },
}


def create(vm: Vm) -> Device:
    """The GIC, initialized and set up. The machine has its vCPU.

    Raises:
        KvmError: ENODEV: the KVM has no GICv3 for guests.
    """
    device = vm.create_device(KVM_DEV_TYPE_ARM_VGIC_V3)

    def put(group: int, attr: int, value: int, size: int = 4) -> None:
        device.set_attr(group, attr, value.to_bytes(size, "little"))

    put(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, layout.GICD, 8)
    put(KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, layout.GICR, 8)
    device.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")
    put(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, 2)
    put(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _ICFGR2, 2 << 2 * (layout.EDGE - 32))
    spis = sum(p << 8 * (intid % 4) for intid, p in SPI_PRIORITIES.items())
    put(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _IPRIORITYR + layout.EDGE, spis)
    put(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, ISENABLER1, 3 << layout.EDGE - 32)
    sgis = sum(p << 8 * intid for intid, p in PRIORITIES.items())
    put(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, _SGI_FRAME + _IPRIORITYR, sgis)
    put(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, _SGI_FRAME + 0x100, 0xF)
    for name, value in (("ICC_PMR_EL1", 0xF0), ("ICC_IGRPEN1_EL1", 1)):
        put(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, sys_reg(name) & 0xFFFF, value, 8)
    return device


def set_line(vm: Vm, intid: int, level: int) -> None:
    """KVM_IRQ_LINE of an SPI."""
    vm.irq_line(KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | intid, level)


def final(device: Device) -> dict[str, int]:
    """Its registers at the end of a program, by name."""
    return {
        name: int.from_bytes(device.get_attr(group, attr, size), "little")
        for name, (group, attr, size) in _FINAL.items()
    }
