"""What a virtio device must provide to the transport that a driver reaches it by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.virtio.dma import DmaMemory
    from guestdbg.machine.virtio.virtqueue import Virtqueue

__all__ = ["Backend", "TransportPort"]


class TransportPort(Protocol):
    """What a backend uses of its transport."""

    queues: tuple[Virtqueue, ...]
    dma: DmaMemory
    features: int

    def serve(self, index: int) -> None:
        """Let the backend work on queue ``index``, as when the driver notifies of it."""

    def config_changed(self) -> None:
        """The configuration has changed: count its generation, and interrupt the driver."""


class Backend(Protocol):
    """A virtio device of one type.

    Attributes:
        name: as people know it: ``virtio-blk``.
        device_id: the device type (5).
        features: the bits that it offers, of its type only.
        queue_sizes: the largest number of descriptors of each queue; powers of two.
        port: its transport, which sets it.
    """

    name: str
    device_id: int
    features: int
    queue_sizes: tuple[int, ...]
    port: TransportPort

    def config(self) -> bytes:
        """The device configuration space (4.2.2), little-endian."""

    def write_config(self, offset: int, data: bytes) -> None:
        """The driver writes ``data`` to the configuration space."""

    def serve(self, index: int, queue: Virtqueue) -> None:
        """Work on the requests of a queue: ``pop``, ``push``. The transport publishes them.

        Raises:
            QueueError: the driver has broken the queue or a request.
        """

    def connect_inputs(self, inputs: Inputs) -> None:
        """Have what comes from outside come in through ``inputs``. Called once, by the board."""

    def waits(self) -> bool:
        """Whether something may come from outside though no vCPU runs."""

    def reset(self) -> None:
        """The driver has reset the device."""

    def describe(self) -> str:
        """What decides how it works and is no state: equal where a snapshot is for."""

    def snapshot(self) -> object:
        """The state that is neither in guest memory nor in the transport."""

    def restore(self, state: object) -> None:
        """Return to the state of ``snapshot``."""

    def close(self) -> None:
        """Release files and sockets. Closing twice does nothing."""
