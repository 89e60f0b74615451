"""The network device (virtio 1.2, 5.1): one pair of queues, no offloads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from guestdbg.machine.virtio.constants import DeviceId
from guestdbg.machine.virtio.virtqueue import QueueError

if TYPE_CHECKING:
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.virtio.backend import TransportPort
    from guestdbg.machine.virtio.virtqueue import Virtqueue

__all__ = ["Network", "Unplugged", "VirtioNet"]

RECEIVE, TRANSMIT = 0, 1
FRAME_MAX = 1514

#: Frames that wait for the driver's buffers at most; more are dropped, as by every network.
WAITING_MAX = 1024

_F_MAC = 1 << 5
_F_STATUS = 1 << 16
_LINK_UP = 1

# struct virtio_net_hdr: no flags, no GSO, num_buffers 1 (5.1.6.4.1).
_HEADER = bytes(10) + b"\1\0"


class Network(Protocol):
    """What the device is connected to.

    Attributes:
        deliver: called with a frame for the guest.
        active: something may come from outside.
    """

    deliver: Callable[[bytes], object] | None

    @property
    def active(self) -> bool: ...

    def send(self, frame: bytes) -> None:
        """The guest has sent a frame."""

    def reset(self) -> None:
        """The guest begins again, or goes back to a snapshot."""

    def close(self) -> None:
        """Release everything."""


class Unplugged:
    """A network with nobody in it: what the guest sends is lost."""

    deliver: Callable[[bytes], object] | None = None
    active = False

    def send(self, frame: bytes) -> None:
        """Nobody receives it."""

    def reset(self) -> None:
        """Nothing begins again."""

    def close(self) -> None:
        """Nothing is open."""


class VirtioNet:
    """A network card with this address. Frames have at most 1,514 bytes."""

    name = "virtio-net"
    device_id = int(DeviceId.NETWORK)
    features = _F_MAC | _F_STATUS
    queue_sizes: tuple[int, ...] = (256, 256)
    port: TransportPort

    def __init__(self, network: Network, mac: bytes) -> None:
        self.network = network
        self._config = mac + _LINK_UP.to_bytes(2, "little")
        self._waiting: deque[bytes] = deque()
        self._inputs: Inputs | None = None

    def config(self) -> bytes:
        return self._config

    def write_config(self, offset: int, data: bytes) -> None:
        pass

    def receive(self, frame: bytes) -> None:
        """A frame has come in from outside."""
        if len(frame) <= FRAME_MAX and len(self._waiting) < WAITING_MAX:
            self._waiting.append(frame)
            self.port.serve(RECEIVE)

    def connect_inputs(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self.network.deliver = inputs.connect(self.name, self.receive).post

    def waits(self) -> bool:
        return self.network.active

    def serve(self, index: int, queue: Virtqueue) -> None:
        if index == RECEIVE:
            self._receive(queue)
            return
        for chain in queue.requests():
            data = chain.gather(len(_HEADER) + FRAME_MAX + 1)
            if len(data) < len(_HEADER):
                raise QueueError("a frame to send without its header")
            # In a replay the answers are recorded: nothing goes out a second time.
            replaying = self._inputs is not None and self._inputs.replaying
            if len(data) <= len(_HEADER) + FRAME_MAX and not replaying:
                self.network.send(data[len(_HEADER) :])
            queue.push(chain, 0)

    def _receive(self, queue: Virtqueue) -> None:
        dma = self.port.dma
        while self._waiting and (chain := queue.pop()) is not None:
            data = _HEADER + self._waiting[0]
            if chain.writable_length < len(data):
                raise QueueError(f"a buffer of {chain.writable_length} bytes for a frame")
            self._waiting.popleft()
            queue.push(chain, chain.scatter(data, dma))

    def reset(self) -> None:
        self._waiting.clear()
        self.network.reset()

    def describe(self) -> str:
        return "user-mode network"

    def snapshot(self) -> object:
        return tuple(self._waiting)

    def restore(self, state: object) -> None:
        # The connections of the host cannot go back: the guest finds that they have ended.
        assert isinstance(state, tuple)
        self._waiting = deque(state)
        self.network.reset()

    def close(self) -> None:
        self.network.close()
