"""What a device with MMIO registers must provide, and what it may provide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from guestdbg.machine.devicetree import Node


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


@runtime_checkable
class SupportsFiles(Protocol):
    """A device whose state lies over files of the host."""

    def check_files(self) -> None:
        """Raise MachineError if another program has changed one that the guest does not write."""


@runtime_checkable
class SupportsState(Protocol):
    """A device with state, which is reset and restored with the board."""

    def reset(self) -> None:
        """Set the registers to their values after a reset, and lower the interrupt."""

    def snapshot(self) -> Any:
        """The state: an object that does not change, for ``restore``."""

    def restore(self, state: Any) -> None:
        """Return to a state of ``snapshot``.

        The level of the interrupt is not passed on: the interrupt controller is restored, too.
        """


@runtime_checkable
class SupportsDeviceTree(Protocol):
    """A device that is described to the guest in the device tree."""

    def device_tree_nodes(self) -> tuple[Node, ...]:
        """Its nodes; most devices have one."""
