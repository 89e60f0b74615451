"""The physical memory map of the board: that of QEMU's ``virt``, for the devices that it has.

Addresses and sizes in bytes. Source: QEMU's documentation of the ``virt`` board, and the device
tree that QEMU passes to its guests (``-M virt,dumpdtb=FILE``).
"""

from dataclasses import dataclass

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

PAGE_SIZE = 4 * KIB

FLASH_BASE = 0x0
FLASH_SIZE = 64 * MIB  # one bank of two; a firmware starts at the beginning of the first
FLASH_BLOCK = 256 * KIB  # what is erased at once

GICD_BASE = 0x0800_0000  # the distributor, of a GICv2 and of a GICv3
GICD_SIZE = 64 * KIB
GICC_BASE = 0x0801_0000  # the CPU interface of a GICv2
GICC_SIZE = 64 * KIB  # 8 KiB of it are registers
GICR_BASE = 0x080A_0000  # the redistributors of a GICv3, 128 KiB for each vCPU
GICR_SIZE = 0x00F6_0000

# Shared peripheral interrupt (SPI) n is interrupt id 32 + n.
SPI_COUNT = 256
UART_BASE = 0x0900_0000
UART_SIZE = PAGE_SIZE
UART_SPI = 1

RTC_BASE = 0x0901_0000
RTC_SIZE = PAGE_SIZE
RTC_SPI = 2

FW_CFG_BASE = 0x0902_0000
FW_CFG_SIZE = PAGE_SIZE  # 24 bytes of it are registers

GPIO_BASE = 0x0903_0000
GPIO_SIZE = PAGE_SIZE
GPIO_SPI = 7

VIRTIO_BASE = 0x0A00_0000
VIRTIO_SIZE = 0x200  # of one transport
VIRTIO_COUNT = 32
VIRTIO_SPI = 16  # of the first; each has its own

RAM_BASE = 0x4000_0000
RAM_MIN = 4 * MIB
RAM_MAX = 255 * GIB  # above it is the virt board's high I/O

KERNEL_OFFSET = 2 * MIB  # of an Image in RAM; the device tree is below it
RAW_OFFSET = 512 * KIB  # of a raw file in RAM by default, as with QEMU's -kernel


@dataclass(frozen=True, slots=True)
class Window:
    """A range of guest-physical addresses with a name."""

    name: str
    base: int
    size: int

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.base + self.size

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end


# Devices of QEMU's board that this board does not have. Some guests access them without looking at
# the device tree. They read as zero and ignore writes, like an idle device, instead of an abort.
RAZ_WI_WINDOWS = (
    Window("flash", FLASH_BASE, 2 * FLASH_SIZE),
    Window("GIC", 0x0800_0000, 16 * MIB),
    Window("virtio-mmio", VIRTIO_BASE, VIRTIO_COUNT * VIRTIO_SIZE),
    Window("PCI memory and I/O", 0x1000_0000, 0x2F00_0000),
    Window("PCI configuration (low)", 0x3F00_0000, 16 * MIB),
    Window("PCI configuration (high)", 0x40_1000_0000, 256 * MIB),
)
