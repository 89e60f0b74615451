"""The devices of QEMU's ``virt`` board, and which of them a guest missed on this one.

Source: QEMU's documentation of the ``virt`` board, the device tree that QEMU passes to its guests
(``-M virt,gic-version=3,iommu=smmuv3,secure=on,dumpdtb=FILE``) and what ``info mtree`` shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from guestdbg.machine.layout import (
    FLASH_BASE,
    FLASH_SIZE,
    GIB,
    KIB,
    MIB,
    PAGE_SIZE,
    VIRTIO_BASE,
    VIRTIO_COUNT,
    VIRTIO_SIZE,
    Window,
)

__all__ = ["VIRT_DEVICES", "MissingDevice", "device_at"]

#: By address. A board of QEMU's has a GICv2 or a GICv3, so that two may lie at one address.
VIRT_DEVICES: tuple[Window, ...] = (
    Window("flash", FLASH_BASE, 2 * FLASH_SIZE),
    Window("GIC distributor", 0x0800_0000, 64 * KIB),
    Window("GICv2 CPU interface", 0x0801_0000, 64 * KIB),
    Window("GICv2m frame for MSIs", 0x0802_0000, PAGE_SIZE),
    Window("GICv2 virtual interface control", 0x0803_0000, 64 * KIB),
    Window("GICv2 virtual CPU interface", 0x0804_0000, 64 * KIB),
    Window("GICv3 interrupt translation service (ITS)", 0x0808_0000, 128 * KIB),
    Window("GICv3 redistributors", 0x080A_0000, 0x00F6_0000),
    Window("second UART (PL011)", 0x0904_0000, PAGE_SIZE),
    Window("SMMUv3", 0x0905_0000, 128 * KIB),
    Window("ACPI memory hotplug", 0x0907_0000, PAGE_SIZE),
    Window("ACPI generic event device", 0x0908_0000, PAGE_SIZE),
    Window("ACPI NVDIMM", 0x0909_0000, PAGE_SIZE),
    Window("stolen time of the processors (pvtime)", 0x090A_0000, 64 * KIB),
    Window("secure GPIO (PL061)", 0x090B_0000, PAGE_SIZE),
    *(
        Window(f"virtio-mmio transport {n}", VIRTIO_BASE + n * VIRTIO_SIZE, VIRTIO_SIZE)
        for n in range(VIRTIO_COUNT)
    ),
    Window("platform bus", 0x0C00_0000, 32 * MIB),
    Window("secure RAM", 0x0E00_0000, 16 * MIB),
    Window("PCI Express memory space", 0x1000_0000, 0x2EFF_0000),
    Window("PCI Express I/O space", 0x3EFF_0000, 64 * KIB),
    Window("PCI Express configuration space (ECAM)", 0x3F00_0000, 16 * MIB),
    Window("GICv3 redistributors (second region)", 0x40_0000_0000, 64 * MIB),
    Window("PCI Express configuration space (ECAM)", 0x40_1000_0000, 256 * MIB),
    Window("PCI Express memory space (64 bits)", 0x80_0000_0000, 512 * GIB),
)


def device_at(address: int) -> Window | None:
    """The device that QEMU's board has at a guest-physical address; None: it has none there."""
    return next((window for window in VIRT_DEVICES if address in window), None)


@dataclass(frozen=True, slots=True)
class MissingDevice:
    """The first access of a guest to a device, or to a page, that this board does not have.

    Attributes:
        address: the guest-physical address that was accessed.
        name: the device that QEMU's board has there; None: it has none either.
        pc: the address of the instruction.
        vcpu: the id of the vCPU.
        access: ``"read"`` or ``"write"``; None where the syndrome does not say.
        aborted: the guest got an external abort. Otherwise a read gave zero, and a write did
            nothing.
    """

    address: int
    name: str | None
    pc: int
    vcpu: int
    access: str | None
    aborted: bool

    @property
    def outcome(self) -> str:
        """What the guest got, in words."""
        if self.aborted:
            return "it gets an external abort"
        if self.access == "write":
            return "the write does nothing"
        return "it reads as zero"

    def __str__(self) -> str:
        where = f"{self.address:#010x}"
        if self.name is None:
            return f"the guest accessed {where}, where this board has nothing"
        return f"the guest accessed {where}, {self.name}, which this board does not have"
