"""What the board asks of a device with registers in memory."""

from typing import Protocol


class Device(Protocol):
    """A device: ``base`` and ``size`` in bytes of guest-physical address space, and its accesses.

    Offsets are from ``base``; ``size`` of an access is 1, 2, 4 or 8 bytes; values are what the
    guest's register holds, little-endian. A device never raises for what a guest does: what its
    manual leaves open reads as zero or is ignored.
    """

    name: str
    base: int
    size: int

    def read(self, offset: int, size: int) -> int:
        """The value that the guest loads."""

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest stores ``value``."""
