"""Virtio devices on the MMIO transport, for drivers of virtio 1.0 and later (virtio 1.2).

constants    registers, status bits, features and device types
dma          guest memory as a device accesses it
virtqueue    split virtqueues
backend      what a device provides to the transport
transport    the MMIO registers
drive_spec   a drive as text
file_lock    the lock on a disk image
disk_image   raw images, and overlays over them
block        the block device
console      the console device
entropy      the entropy device
network      the network device
devices      the devices of a board, and their transports
"""

from typing import TYPE_CHECKING

from guestdbg.lazy_names import lazy_names

if TYPE_CHECKING:
    from guestdbg.machine.virtio.block import Block
    from guestdbg.machine.virtio.disk_image import open_image
    from guestdbg.machine.virtio.drive_spec import DriveError, DriveSpec, parse_drive
    from guestdbg.machine.virtio.transport import EmptyTransports, VirtioMmio

__all__ = [
    "Block",
    "DriveError",
    "DriveSpec",
    "EmptyTransports",
    "VirtioMmio",
    "open_image",
    "parse_drive",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "guestdbg.machine.virtio.block": ("Block",),
        "guestdbg.machine.virtio.disk_image": ("open_image",),
        "guestdbg.machine.virtio.drive_spec": (
            "DriveError",
            "DriveSpec",
            "parse_drive",
        ),
        "guestdbg.machine.virtio.transport": (
            "EmptyTransports",
            "VirtioMmio",
        ),
    },
)
