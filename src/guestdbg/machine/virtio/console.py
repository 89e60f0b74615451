"""The console device (virtio 1.2, 5.3) with one port: ``hvc0`` of Linux."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from guestdbg.machine.console import ConsoleState
from guestdbg.machine.virtio.constants import DeviceId

if TYPE_CHECKING:
    from guestdbg.machine.console import Console
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.virtio.backend import TransportPort
    from guestdbg.machine.virtio.virtqueue import Virtqueue

__all__ = ["VirtioConsole"]

RECEIVE, TRANSMIT = 0, 1

_F_SIZE = 1 << 0
_F_EMERG_WRITE = 1 << 2

# cols, rows, max_nr_ports, emerg_wr
_CONFIG = struct.Struct("<HHII")
_EMERG_WR = 8

_PIECE = 64 << 10


class VirtioConsole:
    """A terminal at ``console``. What is typed waits there until the driver has buffers for it."""

    name = "virtio-console"
    device_id = int(DeviceId.CONSOLE)
    features = _F_SIZE | _F_EMERG_WRITE
    queue_sizes: tuple[int, ...] = (64, 64)
    port: TransportPort

    def __init__(self, console: Console) -> None:
        self.console = console
        self._size = (80, 24)

    def config(self) -> bytes:
        return _CONFIG.pack(*self._size, 0, 0)

    def write_config(self, offset: int, data: bytes) -> None:
        # 5.3.4: a character to be shown at once, also before the driver has set up a queue.
        if offset == _EMERG_WR:
            self.console.put(data[0])

    def resize(self, columns: int, rows: int) -> None:
        """Tell the driver the size of the terminal in characters."""
        self._size = (columns, rows)
        self.port.config_changed()

    def receive(self, data: bytes) -> None:
        """Typed ``data`` has come in from outside."""
        self.console.receive(data)
        self.port.serve(RECEIVE)

    def connect_inputs(self, inputs: Inputs) -> None:
        console = self.console
        typed = console.take(console.received)
        console.port = inputs.connect(self.name, self.receive)
        console.feed(typed)

    def serve(self, index: int, queue: Virtqueue) -> None:
        if index == RECEIVE:
            self._receive(queue)
        else:
            self._transmit(queue)

    def _receive(self, queue: Virtqueue) -> None:
        console = self.console
        while console.received and (chain := queue.pop()) is not None:
            data = console.take(chain.writable_length)
            chain.scatter(data, self.port.dma)
            queue.push(chain, len(data))

    def _transmit(self, queue: Virtqueue) -> None:
        for chain in queue.requests():
            for buffer in chain.readable:
                for start in range(0, len(buffer), _PIECE):
                    self.console.put_all(bytes(buffer[start : start + _PIECE]))
            queue.push(chain, 0)
        # A driver writes what belongs together at once: there may be a prompt at the end.
        self.console.flush()
        if self.console.received:  # an answer to what was written
            self.port.serve(RECEIVE)

    def waits(self) -> bool:
        return False  # who waits for a guest that waits for text knows it from the Console

    def reset(self) -> None:
        pass

    def describe(self) -> str:
        return "one port"

    def snapshot(self) -> object:
        return self._size, self.console.snapshot()

    def restore(self, state: object) -> None:
        assert isinstance(state, tuple)
        self._size, console = state
        assert isinstance(console, ConsoleState)
        self.console.restore(console)

    def close(self) -> None:
        self.console.flush()
