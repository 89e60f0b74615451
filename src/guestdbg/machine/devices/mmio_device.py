"""Devices of your own: a base class, and a stub that shows what a guest does to a device."""

from __future__ import annotations

import copy
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.machine.devicetree import Node, cells
from guestdbg.machine.errors import MachineError
from guestdbg.machine.interrupts import no_interrupt
from guestdbg.machine.layout import SPI_COUNT
from guestdbg.machine.virtio.dma import DmaMemory

if TYPE_CHECKING:
    from guestdbg.machine.devicetree import Value
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.interrupts import SetLevel
    from guestdbg.machine.memory import PhysicalMemory

__all__ = ["DeviceAccess", "MmioDevice", "StubDevice"]

log = logging.getLogger("guestdbg.machine")

_ACCESSES_KEPT = 1000
_ACCESSES_LOGGED = 1000


class MmioDevice:
    """A device with registers: derive from it, and give an object to ``Board(devices=[...])``.

    ``read`` and ``write`` are called when the guest accesses it, in the thread that runs the vCPU.
    They should raise nothing: an exception ends the run with it.

    Args:
        name: in messages; with ``compatible`` also of the node in the device tree.
        base: guest-physical address. size: in bytes.
        spi: its shared peripheral interrupt, 0 to 255: ``set_level`` sets the line.
        compatible: if given, the device tree describes the device, for the driver of that name.

    Attributes:
        state: what changes in the device, as values by name. A reset sets it to what it was when
            the board was made, and snapshots have a copy of it.
        inputs, dma: of the board, once it is made: the way in for what comes from outside
            (``inputs.connect``), and guest memory.
    """

    inputs: Inputs
    dma: DmaMemory

    def __init__(
        self,
        name: str,
        base: int,
        size: int,
        *,
        spi: int | None = None,
        compatible: str | Sequence[str] | None = None,
    ) -> None:
        if not isinstance(base, int) or not isinstance(size, int) or base < 0 or size <= 0:
            raise MachineError(f"{name}: {size!r} bytes at {base!r} is no place for a device")
        if base % 8 or size % 8:
            raise MachineError(f"{name}: {size:#x} bytes at {base:#x}: both are multiples of 8")
        if spi is not None and not 0 <= spi < SPI_COUNT:
            raise MachineError(f"{name}: SPI {spi!r}: there are 0 to {SPI_COUNT - 1}")
        self.name = name
        self.base = base
        self.size = size
        self.spi = spi
        self.compatible = compatible
        self.state: dict[str, Any] = {}
        self._first: dict[str, Any] | None = None
        self._level = False
        self._set_level: SetLevel = no_interrupt

    def read(self, offset: int, size: int) -> int:
        """The guest loads ``size`` bytes (1, 2, 4 or 8) at ``offset``: returns their value."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest stores ``value``."""

    def set_level(self, level: bool) -> None:
        """Set the interrupt line. In the thread that runs the vCPU only."""
        if level != self._level:
            self._level = level
            self._set_level(level)

    def connect(
        self, memory: PhysicalMemory, inputs: Inputs, interrupt: Callable[[int], SetLevel]
    ) -> None:
        """The board is made. To connect inputs, extend this, and call it first.

        Raises:
            MachineError: the device is on a board already.
        """
        if self._first is not None:
            raise MachineError(
                f"{self.name} is on a board already: each board needs an object of its own"
            )
        self._first = copy.deepcopy(self.state)
        self.inputs = inputs
        self.dma = DmaMemory(memory)
        if self.spi is not None:
            self._set_level = interrupt(self.spi)

    def reset(self) -> None:
        """Set ``state`` to what it was when the board was made, and lower the interrupt."""
        self.state = copy.deepcopy(self._first or {})
        self.set_level(False)

    def snapshot(self) -> Any:
        """A copy of ``state``, and the level of the interrupt."""
        return copy.deepcopy(self.state), self._level

    def restore(self, state: Any) -> None:
        """Return to the state of ``snapshot``."""
        self.state, self._level = copy.deepcopy(state)

    def device_tree_nodes(self) -> tuple[Node, ...]:
        """Its node, if ``compatible`` is given."""
        if self.compatible is None:
            return ()
        compatible = [self.compatible] if isinstance(self.compatible, str) else self.compatible
        properties: dict[str, Value] = {
            "compatible": list(compatible),
            "reg": cells(self.base, self.size),
        }
        spis = () if self.spi is None else (self.spi,)
        return (Node(f"{self.name}@{self.base:x}", properties, spis),)


class DeviceAccess(NamedTuple):
    """An access of a guest to a stub.

    Attributes:
        offset: in bytes from the start of the device.
        size: in bytes.
        value: what was read or written.
        is_write: the guest stored it.
    """

    offset: int
    size: int
    value: int
    is_write: bool

    def __str__(self) -> str:
        action = "write of" if self.is_write else "read of"
        return f"{action} {self.value:#x}, {self.size} bytes, at offset {self.offset:#x}"


class StubDevice(MmioDevice):
    """In place of a device that does not exist yet: it logs what the guest does to it.

    Reads give ``values`` by offset, otherwise 0; writes do nothing. The logger ``guestdbg.machine``
    gets the first 1000 accesses (INFO), and ``accesses`` has the last 1000.
    """

    def __init__(
        self, name: str, base: int, size: int, values: Mapping[int, int] | None = None
    ) -> None:
        super().__init__(name, base, size)
        self.values = dict(values or {})
        self.accesses: deque[DeviceAccess] = deque(maxlen=_ACCESSES_KEPT)
        self._logged = 0

    def read(self, offset: int, size: int) -> int:
        value = self.values.get(offset, 0) & (1 << 8 * size) - 1
        self._note(DeviceAccess(offset, size, value, False))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self._note(DeviceAccess(offset, size, value, True))

    def _note(self, access: DeviceAccess) -> None:
        self.accesses.append(access)
        if self._logged < _ACCESSES_LOGGED:
            self._logged += 1
            log.info("%s: %s", self.name, access)
