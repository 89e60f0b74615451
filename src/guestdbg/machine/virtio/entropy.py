"""The entropy device (virtio 1.2, 5.4), with bytes that are the same in every run.

The bytes are computed from the seed and the number of the request. So they do not depend on the
host, on time, or on anything that a replay would have to bring in. They are not secret.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from guestdbg.machine.virtio.constants import DeviceId
from guestdbg.machine.virtio.virtqueue import QueueError

if TYPE_CHECKING:
    from guestdbg.machine.inputs import Inputs
    from guestdbg.machine.virtio.backend import TransportPort
    from guestdbg.machine.virtio.virtqueue import Chain, Virtqueue

__all__ = ["Entropy"]

#: Bytes for one request at most; a driver that wants more asks again.
REQUEST_MAX = 64 << 10


class Entropy:
    """A source of bytes that look random, from ``seed``."""

    name = "virtio-rng"
    device_id = int(DeviceId.ENTROPY)
    features = 0
    queue_sizes: tuple[int, ...] = (64,)
    port: TransportPort

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._requests = 0

    def config(self) -> bytes:
        return b""

    def write_config(self, offset: int, data: bytes) -> None:
        pass

    def serve(self, index: int, queue: Virtqueue) -> None:
        for chain in queue.requests():
            queue.push(chain, self._fill(chain))

    def _fill(self, chain: Chain) -> int:
        length = min(chain.length, REQUEST_MAX)
        if chain.readable or not length:
            raise QueueError("a request for entropy needs a buffer to write, and no other")
        data = hashlib.shake_256(f"entropy {self._seed} {self._requests}".encode()).digest(length)
        self._requests += 1
        chain.scatter(data, self.port.dma)
        return length

    def connect_inputs(self, inputs: Inputs) -> None:
        pass

    def waits(self) -> bool:
        return False

    def reset(self) -> None:
        pass  # a driver that begins again does not get the same bytes again

    def describe(self) -> str:
        return f"seed {self._seed}"

    def snapshot(self) -> object:
        return self._requests

    def restore(self, state: object) -> None:
        assert isinstance(state, int)
        self._requests = state

    def close(self) -> None:
        pass
