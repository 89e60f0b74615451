"""The interrupt controller, which the provider emulates: a GICv3 or a GICv2.

Sources: Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic.rst; the GIC architecture, Arm
IHI 0069 (version 3) and IHI 0048 (version 2).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from guestdbg.kvm import KvmError
from guestdbg.kvm.constants import (
    KVM_ARM_IRQ_TYPE_SHIFT,
    KVM_ARM_IRQ_TYPE_SPI,
    KVM_CREATE_DEVICE_TEST,
    KVM_DEV_ARM_VGIC_CTRL_INIT,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_CPU_REGS,
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_CTRL,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
    KVM_DEV_TYPE_ARM_VGIC_V2,
    KVM_DEV_TYPE_ARM_VGIC_V3,
    KVM_VGIC_V2_ADDR_TYPE_CPU,
    KVM_VGIC_V2_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
)
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import (
    GICC_BASE,
    GICC_SIZE,
    GICD_BASE,
    GICD_SIZE,
    GICR_BASE,
    GICR_SIZE,
    SPI_COUNT,
    Window,
)

if TYPE_CHECKING:
    from guestdbg.kvm import Device, Vcpu, Vm

__all__ = [
    "GicVersion",
    "InterruptController",
    "SetLevel",
    "affinity",
    "choose_version",
    "no_interrupt",
]

#: The argument ``gic`` of a board.
GicVersion: TypeAlias = Literal["auto", 2, 3] | None

#: Sets the level of an interrupt line.
SetLevel: TypeAlias = Callable[[bool], object]

_DEVICE_TYPES = {3: KVM_DEV_TYPE_ARM_VGIC_V3, 2: KVM_DEV_TYPE_ARM_VGIC_V2}

#: By version, the frames of registers and how KVM names them: (frame, KVM_VGIC_V*_ADDR_TYPE_*).
_FRAMES = {
    3: (
        (Window("GIC distributor", GICD_BASE, GICD_SIZE), KVM_VGIC_V3_ADDR_TYPE_DIST),
        (Window("GICv3 redistributors", GICR_BASE, GICR_SIZE), KVM_VGIC_V3_ADDR_TYPE_REDIST),
    ),
    2: (
        (Window("GIC distributor", GICD_BASE, GICD_SIZE), KVM_VGIC_V2_ADDR_TYPE_DIST),
        (Window("GICv2 CPU interface", GICC_BASE, GICC_SIZE), KVM_VGIC_V2_ADDR_TYPE_CPU),
    ),
}

_FIRST_SPI = 32  # the interrupt id of SPI 0
_IRQS = _FIRST_SPI + SPI_COUNT
_ALL = 0xFFFF_FFFF

# Offsets in the distributor, and in the second frame (64 KiB) of a redistributor.
_GICD_CTLR = 0x000
_IGROUPR, _ICENABLER, _ISPENDR, _ICPENDR, _ICACTIVER = 0x080, 0x180, 0x200, 0x280, 0x380
_IPRIORITYR, _ITARGETSR, _ICFGR = 0x400, 0x800, 0xC00
_IROUTER = 0x6000
_GICR_SGI_FRAME = 0x1_0000

# Offsets in the CPU interface of a GICv2: CTLR, PMR, BPR, ABPR, APR0. All are zero after a reset.
_GICC_REGISTERS = (0x00, 0x04, 0x08, 0x1C, 0xD0)


def _sysreg(crn: int, crm: int, op2: int) -> int:
    """The encoding of an ICC_* register in KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS: op0 3, op1 0."""
    return 3 << 14 | crn << 7 | crm << 3 | op2


_ICC_CTLR_EL1 = _sysreg(12, 12, 4)
_ICC_CTLR_WRITABLE = 0b11  # CBPR and EOImode; the others say what is implemented
_ICC_CTLR_PRIBITS = 8  # [10:8]: the number of priority bits, minus one
# PMR, BPR0, BPR1, IGRPEN0, IGRPEN1.
_ICC_REGISTERS = (
    _sysreg(4, 6, 0),
    _sysreg(12, 8, 3),
    _sysreg(12, 12, 3),
    _sysreg(12, 12, 6),
    _sysreg(12, 12, 7),
)


def affinity(vcpu_id: int) -> int:
    """MPIDR_EL1.Aff3 to Aff0 of a vCPU as one number of 32 bits: KVM makes groups of 16."""
    return vcpu_id >> 4 << 8 | vcpu_id & 15


def no_interrupt(level: bool) -> None:
    """The interrupt line of a device on a board without an interrupt controller."""


def choose_version(vm: Vm, gic: GicVersion) -> int | None:
    """The version of the controller to create for the argument ``gic`` of a board.

    ``"auto"``: 3 if the provider has it, otherwise 2, otherwise none.

    Raises:
        MachineError: no such version, or the provider does not have it.
    """
    if gic is None:
        return None
    if gic == "auto":
        return next((version for version in (3, 2) if _exists(vm, version)), None)
    if isinstance(gic, bool) or gic not in _DEVICE_TYPES:
        raise MachineError(f"gic={gic!r}: it must be 'auto', 2, 3 or None")
    if not _exists(vm, gic):
        other = next((version for version in (3, 2) if _exists(vm, version)), None)
        has = "no interrupt controller at all" if other is None else f"a GICv{other}"
        raise MachineError(
            f"gic={gic}: this provider has no GICv{gic} for its guests; it has {has}"
        )
    return gic


def _exists(vm: Vm, version: int) -> bool:
    try:
        vm.create_device(_DEVICE_TYPES[version], KVM_CREATE_DEVICE_TEST)
    except KvmError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


class InterruptController:
    """The interrupt controller of a machine whose vCPUs exist and have not run.

    Attributes:
        version: 2 or 3.
        frames: its registers in guest-physical address space: the distributor, and the
            redistributors or the CPU interface.
    """

    def __init__(self, vm: Vm, version: int) -> None:
        self.version = version
        self.frames = tuple(frame for frame, _ in _FRAMES[version])
        self._vm = vm
        self._device: Device = vm.create_device(_DEVICE_TYPES[version])
        self._set(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, _IRQS, 4)
        for frame, kind in _FRAMES[version]:
            self._set(KVM_DEV_ARM_VGIC_GRP_ADDR, kind, frame.base, 8)
        self._device.set_attr(KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, b"")

    def spi(self, number: int) -> SetLevel:
        """The line of shared peripheral interrupt ``number``; 0 is interrupt id 32.

        Raises:
            MachineError: there is no such interrupt.
        """
        if not 0 <= number < SPI_COUNT:
            raise MachineError(f"SPI {number}: there are 0 to {SPI_COUNT - 1}")
        irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | _FIRST_SPI + number
        irq_line = self._vm.irq_line
        return lambda level: irq_line(irq, int(level))

    def reset(self, vcpus: Sequence[Vcpu]) -> None:
        """Set the registers to their values after a reset.

        KVM has no call for that: as at a migration, userspace writes the registers. The levels of
        the lines stay, as devices set them.
        """
        distributor = KVM_DEV_ARM_VGIC_GRP_DIST_REGS
        self._set(distributor, _GICD_CTLR, 0, 4)
        groups = _ALL if self.version == 3 else 0
        for offset, value in _reset_of_interrupts(_FIRST_SPI, _IRQS, groups):
            self._set(distributor, offset, value, 4)
        if self.version == 3:
            self._reset_v3(vcpus)
        else:
            self._reset_v2(vcpus)

    def _reset_v3(self, vcpus: Sequence[Vcpu]) -> None:
        for number in range(_FIRST_SPI, _IRQS):
            for half in (0, 4):
                self._set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _IROUTER + 8 * number + half, 0, 4)
        for vcpu in vcpus:
            cpu = affinity(vcpu.id) << 32
            for offset, value in _reset_of_interrupts(0, _FIRST_SPI, _ALL):
                at = cpu | _GICR_SGI_FRAME + offset
                self._set(KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, at, value, 4)
            interface = KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS
            control = self._device.get_attr(interface, cpu | _ICC_CTLR_EL1, 8)
            fixed = int.from_bytes(control, "little") & ~_ICC_CTLR_WRITABLE
            self._set(interface, cpu | _ICC_CTLR_EL1, fixed, 8)
            # One active priorities register of each group for 5 priority bits, 2 for 6, 4 for 7.
            count = 1 << max((fixed >> _ICC_CTLR_PRIBITS & 7) - 4, 0)
            groups = ((12, 8, 4), (12, 9, 0))  # AP0Rn, AP1Rn
            active = (_sysreg(crn, crm, op2 + n) for crn, crm, op2 in groups for n in range(count))
            for register in (*_ICC_REGISTERS, *active):
                self._set(interface, cpu | register, 0, 8)

    def _reset_v2(self, vcpus: Sequence[Vcpu]) -> None:
        for number in range(_FIRST_SPI, _IRQS, 4):
            self._set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _ITARGETSR + number, 0, 4)
        for vcpu in vcpus:
            cpu = vcpu.id << 32
            for offset, value in _reset_of_interrupts(0, _FIRST_SPI, 0):
                self._set(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, cpu | offset, value, 4)
            for offset in _GICC_REGISTERS:
                self._set(KVM_DEV_ARM_VGIC_GRP_CPU_REGS, cpu | offset, 0, 4)

    def _set(self, group: int, attr: int, value: int, size: int) -> None:
        self._device.set_attr(group, attr, value.to_bytes(size, "little"))

    def close(self) -> None:
        """Close the device in the kernel. The controller exists as long as the machine."""
        self._device.close()


def _reset_of_interrupts(first: int, end: int, groups: int) -> Iterator[tuple[int, int]]:
    """(offset, value) of the registers of the interrupt ids from ``first`` to before ``end``.

    A write of ISPENDR by userspace sets the pending state of all 32 interrupts on a GICv3; on a
    GICv2 it is ICPENDR that clears it.
    """
    for offset in range(first // 8, end // 8, 4):
        yield _ICENABLER + offset, _ALL
        yield _ICACTIVER + offset, _ALL
        yield _ICPENDR + offset, _ALL
        yield _ISPENDR + offset, 0
        yield _IGROUPR + offset, groups
    for offset in range(first, end, 4):
        yield _IPRIORITYR + offset, 0
    for offset in range(max(first // 4, 4), end // 4, 4):  # the triggers of SGIs are fixed
        yield _ICFGR + offset, 0
