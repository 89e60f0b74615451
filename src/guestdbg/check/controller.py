"""The interrupt controller of a case's machine, as userspace has it: the device and the lines.

Sources: Documentation/virt/kvm/devices/arm-vgic.rst and arm-vgic-v3.rst; KVM API 4.25
(KVM_IRQ_LINE), 4.79 (KVM_CREATE_DEVICE), 4.80 (device attributes).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.check.layout import GICC, GICD, GICR, GICR_SIZE
from guestdbg.kvm import KvmError
from guestdbg.kvm.constants import (
    KVM_ARM_IRQ_TYPE_PPI,
    KVM_ARM_IRQ_TYPE_SHIFT,
    KVM_ARM_IRQ_TYPE_SPI,
    KVM_ARM_IRQ_VCPU_SHIFT,
    KVM_CAP_IRQCHIP,
    KVM_CREATE_DEVICE_TEST,
    KVM_DEV_ARM_VGIC_CTRL_INIT,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    KVM_DEV_TYPE_ARM_VGIC_V2,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_VGIC_V2_ADDR_TYPE_CPU,
    KVM_VGIC_V2_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
)
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig
    from guestdbg.kvm import Device

_TYPES = {2: KVM_DEV_TYPE_ARM_VGIC_V2, 3: KVM_DEV_TYPE_ARM_VGIC_V3}


def device_type(rig: Rig, version: int) -> int:
    """The type of this GIC for KVM_CREATE_DEVICE. Skips if the KVM has none for guests."""
    if not rig.kvm.check_extension(KVM_CAP_IRQCHIP):
        rig.skip("KVM_CAP_IRQCHIP is 0: there is no interrupt controller")
    try:
        rig.machine.vm.create_device(_TYPES[version], KVM_CREATE_DEVICE_TEST)
    except KvmError as error:
        if error.errno != errno.ENODEV:
            raise
        rig.skip(f"KVM_CREATE_DEVICE_TEST: there is no GICv{version} for guests")
    return _TYPES[version]


class Controller:
    """A GIC of the rig's machine.

    Attributes:
        rig: the case's rig.
        version: 2 or 3.
        device: the device, for attributes that have no method here.
    """

    def __init__(self, rig: Rig, version: int = 3) -> None:
        """KVM_CREATE_DEVICE alone. ``ready`` does the rest."""
        self.rig = rig
        self.version = version
        self.device: Device = rig.machine.vm.create_device(device_type(rig, version))

    # -- setting it up ----------------------------------------------------------------------------

    def set_address(self, kind: int, address: int) -> None:
        """The address of a frame; ``kind``: KVM_VGIC_V*_ADDR_TYPE_*."""
        self.set(KVM_DEV_ARM_VGIC_GRP_ADDR, kind, address, 8)

    def address(self, kind: int) -> int:
        """The address of a frame."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_ADDR, kind, 8)

    def set_number_of_irqs(self, number: int) -> None:
        """How many INTIDs there are, with the private ones."""
        self.set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, number)

    def place(self) -> None:
        """Give the frames their usual addresses."""
        if self.version == 3:
            self.set_address(KVM_VGIC_V3_ADDR_TYPE_DIST, GICD)
            self.set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR)
        else:
            self.set_address(KVM_VGIC_V2_ADDR_TYPE_DIST, GICD)
            self.set_address(KVM_VGIC_V2_ADDR_TYPE_CPU, GICC)

    def initialize(self) -> None:
        """KVM_DEV_ARM_VGIC_CTRL_INIT."""
        self.device.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")

    def set(self, group: int, attr: int, value: int, size: int = 4) -> None:
        """Set an attribute to a number of ``size`` bytes."""
        self.device.set_attr(group, attr, value.to_bytes(size, "little"))

    def get(self, group: int, attr: int, size: int = 4) -> int:
        """Get an attribute that is a number of ``size`` bytes."""
        return int.from_bytes(self.device.get_attr(group, attr, size), "little")

    # -- registers, as a migration reads and writes them ------------------------------------------

    def distributor(self, offset: int) -> int:
        """A register of the distributor, 32 bits."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, offset)

    def set_distributor(self, offset: int, value: int) -> None:
        """Write a register of the distributor."""
        self.set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, offset, value)

    def redistributor(self, offset: int, vcpu: int = 0) -> int:
        """A register of a vCPU's redistributor, 32 bits; from 0x10000 on those of the SGI frame."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, vcpu << 32 | offset)

    def set_redistributor(self, offset: int, value: int, vcpu: int = 0) -> None:
        """Write a register of a vCPU's redistributor."""
        self.set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, vcpu << 32 | offset, value)

    def icc(self, name: str, vcpu: int = 0) -> int:
        """A register of a vCPU's CPU interface (GICv3): ICC_*_EL1."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, vcpu << 32 | sys_reg(name) & 0xFFFF, 8)

    def set_icc(self, name: str, value: int, vcpu: int = 0) -> None:
        """Write a register of a vCPU's CPU interface (GICv3)."""
        attr = vcpu << 32 | sys_reg(name) & 0xFFFF
        self.set(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr, value, 8)

    def gicc(self, offset: int, vcpu: int = 0) -> int:
        """A register of a vCPU's CPU interface (GICv2): GICC_*."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_CPU_REGS, vcpu << 32 | offset)

    def set_gicc(self, offset: int, value: int, vcpu: int = 0) -> None:
        """Write a register of a vCPU's CPU interface (GICv2)."""
        self.set(KVM_DEV_ARM_VGIC_GRP_CPU_REGS, vcpu << 32 | offset, value)

    def levels(self, first: int, vcpu: int = 0) -> int:
        """The levels of 32 lines from this INTID on, a bit each."""
        return self.get(KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, vcpu << 32 | first)

    def set_levels(self, first: int, value: int, vcpu: int = 0) -> None:
        """Set the levels of 32 lines from this INTID on."""
        self.set(KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, vcpu << 32 | first, value)

    def is_set(self, register: int, intid: int, vcpu: int = 0) -> bool:
        """The bit of an INTID in GICD_ISENABLER<n> (0x100), ISPENDR (0x200), ISACTIVER (0x300) …"""
        offset = register + 4 * (intid // 32)
        if intid < 32 and self.version == 3:
            word = self.redistributor(0x10000 + offset, vcpu)
        else:
            word = self.get(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, vcpu << 32 | offset)
        return bool(word >> intid % 32 & 1)

    # -- lines ------------------------------------------------------------------------------------

    def line(self, intid: int, level: int, vcpu: int = 0) -> None:
        """KVM_IRQ_LINE of an SPI, or of a vCPU's PPI."""
        kind = KVM_ARM_IRQ_TYPE_SPI if intid >= 32 else KVM_ARM_IRQ_TYPE_PPI
        irq = kind << KVM_ARM_IRQ_TYPE_SHIFT | vcpu << KVM_ARM_IRQ_VCPU_SHIFT | intid
        self.rig.machine.vm.irq_line(irq, level)


def ready(rig: Rig, version: int = 3) -> Controller:
    """A GIC with its frames at their usual addresses, initialized: for the vCPUs of the rig."""
    controller = Controller(rig, version)
    controller.place()
    controller.initialize()
    return controller


def redistributor_of(vcpu: int) -> int:
    """The address of a vCPU's redistributor."""
    return GICR + vcpu * GICR_SIZE
