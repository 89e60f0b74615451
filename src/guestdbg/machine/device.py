"""What a device with MMIO registers must provide."""

from typing import Protocol, runtime_checkable


class Device(Protocol):
    """A device at ``base``, ``size`` bytes long, in guest-physical address space.

    Offsets are relative to ``base``. The ``size`` of an access is 1, 2, 4 or 8 bytes. Values are
    unsigned and little-endian. A device never raises an exception for an access of the guest: what
    its manual leaves open reads as zero, or is ignored when written.
    """

    name: str
    base: int
    size: int

    def read(self, offset: int, size: int) -> int:
        """The guest loads ``size`` bytes: returns the value."""

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest stores ``value``, of ``size`` bytes."""


@runtime_checkable
class SupportsPeek(Protocol):
    """A device whose registers can be read by a debugger without any effect on the guest."""

    def peek(self, offset: int) -> int | None:
        """The register of 4 bytes at ``offset``, a multiple of 4: what a load would give.

        None if a load has a side effect, such as taking a byte from a FIFO. Changes nothing.
        """
