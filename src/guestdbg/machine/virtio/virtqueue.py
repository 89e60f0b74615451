"""Split virtqueues (virtio 1.2, 2.7), with indirect descriptors and the event index.

The driver is not trusted. Rings and buffers are checked before they are used; a chain has a bounded
number of buffers; an error is a ``QueueError``, after which the device needs a reset.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.machine.errors import MachineError, PhysicalAddressError
from guestdbg.machine.virtio.dma import barrier

if TYPE_CHECKING:
    from guestdbg.machine.memory import Region
    from guestdbg.machine.virtio.dma import DmaMemory

__all__ = ["CHAIN_MAX", "WORK_MAX", "Chain", "QueueError", "QueueState", "Virtqueue"]

# Buffers in one chain. A chain of the ring itself has at most as many as the ring. Linux makes
# longer ones with indirect descriptors, up to what the device allows; preadv takes 1,024.
CHAIN_MAX = 1024

# How much is done for one notification, in bytes of buffers and of overhead: a driver in another
# thread could go on for ever, and a hostile one can describe its whole memory many times.
WORK_MAX = 256 << 20
_REQUEST_WORK = 4096

_DESCRIPTOR = struct.Struct("<QIHH")
_USED_ELEMENT = struct.Struct("<II")
# "<H" is one load or store of the processor where that is little-endian.
_HALF = struct.Struct("<H")

_NEXT, _WRITE, _INDIRECT = 1, 2, 4
_NO_INTERRUPT = 1


class QueueError(MachineError):
    """The driver has broken a virtqueue."""


@dataclass(slots=True)
class Chain:
    """The buffers of one request: those that the device reads, then those that it writes.

    Attributes:
        head: the index of the first descriptor, which identifies the request.
        readable, writable: the buffers, shared with the guest.
        addresses: where each of ``writable`` is in guest-physical memory.
        length: bytes of all buffers.
    """

    head: int
    readable: list[memoryview] = field(default_factory=list)
    writable: list[memoryview] = field(default_factory=list)
    addresses: list[int] = field(default_factory=list)
    length: int = 0

    @property
    def readable_length(self) -> int:
        """Bytes that the device can read."""
        return sum(map(len, self.readable))

    @property
    def writable_length(self) -> int:
        """Bytes that the device can write."""
        return self.length - self.readable_length

    def gather(self, limit: int) -> bytes:
        """The first ``limit`` bytes that the device can read, copied."""
        if len(self.readable) == 1:
            return bytes(self.readable[0][:limit])
        data = bytearray()
        for piece in self.readable:
            data += piece[: limit - len(data)]
            if len(data) >= limit:
                break
        return bytes(data)

    def scatter(self, data: bytes | memoryview, dma: DmaMemory) -> int:
        """Write ``data`` to the buffers for that, and report it. Returns how much had room."""
        done = 0
        for address, buffer in zip(self.addresses, self.writable, strict=True):
            piece = data[done : done + len(buffer)]
            if not piece:
                break
            dma.will_write(address, len(piece))
            buffer[: len(piece)] = piece
            dma.written(address, len(piece))
            done += len(piece)
        return done


class QueueState(NamedTuple):
    """The state of a queue: see ``Virtqueue.snapshot``."""

    size: int
    ready: bool
    addresses: tuple[int, int, int]
    event_index: bool
    indirect: bool
    next_available: int
    next_used: int
    published: int
    unfinished: bool


class Virtqueue:
    """One split virtqueue of at most ``max_size`` descriptors.

    Attributes:
        size, descriptors, driver, device: what the driver has set: the number of descriptors, and
            the guest-physical addresses of the descriptor table, the available and the used ring.
        ready: whether the queue is in use.
        unfinished: requests were left when a notification had made as much work as one may.
    """

    def __init__(self, dma: DmaMemory, max_size: int) -> None:
        self._dma = dma
        self.max_size = max_size
        self.reset()

    def reset(self) -> None:
        """Back to the state after a reset of the device: not in use."""
        self.size = self.max_size
        self.ready = self.unfinished = False
        self.descriptors = self.driver = self.device = 0
        self._event_index = self._indirect = False
        self._next_available = self._next_used = self._published = 0
        self._table: tuple[Region, int] | None = None
        self._available: tuple[Region, int] | None = None
        self._used: tuple[Region, int] | None = None

    def enable(self, *, event_index: bool, indirect: bool) -> None:
        """Begin to use the queue. Both options are the features that were negotiated.

        Raises:
            QueueError: its size is not a power of two up to ``max_size``, or a part of it is not
                aligned, or not in memory.
        """
        if not self._can_have(self.size):
            raise QueueError(
                f"the queue has {self.size} descriptors; it must be a power of two up to "
                f"{self.max_size}"
            )
        self._event_index, self._indirect = event_index, indirect
        self._locate()
        self._next_available = self._next_used = self._published = 0
        self.ready, self.unfinished = True, False

    def _can_have(self, size: int) -> bool:
        return 0 < size <= self.max_size and not size & (size - 1)

    def _locate(self) -> None:
        """Check the three parts (2.7), and find their memory."""
        for name, address, alignment in (
            ("descriptor table", self.descriptors, 16),
            ("available ring", self.driver, 2),
            ("used ring", self.device, 4),
        ):
            if address % alignment:
                raise QueueError(f"the {name} at {address:#x} is not aligned to {alignment} bytes")
        locate = self._dma.locate
        try:
            self._table = locate(self.descriptors, 16 * self.size, writes=False)
            self._available = locate(self.driver, 6 + 2 * self.size, writes=False)
            self._used = locate(self.device, 6 + 8 * self.size, writes=True)
        except PhysicalAddressError as error:
            raise QueueError(f"a part of the queue is not in memory: {error}") from error

    def requests(self) -> Iterator[Chain]:
        """The requests that are available, up to what one notification may cost.

        Raises:
            QueueError: the ring or a chain is broken.
        """
        work = 0
        while (chain := self.pop()) is not None:
            yield chain
            work += chain.length + _REQUEST_WORK
            if work >= WORK_MAX:
                self.unfinished = self.has_more
                return

    def pop(self) -> Chain | None:
        """The next request of the driver, or None. After None the driver notifies of more.

        Raises:
            QueueError: the ring or the chain is broken.
        """
        if not self.ready or self._available is None:
            return None
        region, start = self._available
        next_available = self._next_available
        (index,) = _HALF.unpack_from(region.buffer, start + 2)
        if index == next_available:
            if not self._event_index:
                return None
            # Ask for a notification of the next one, and look again: it may be there since.
            self._store_event(next_available)
            barrier()
            (index,) = _HALF.unpack_from(region.buffer, start + 2)
            if index == next_available:
                return None
        if index - next_available & 0xFFFF > self.size:
            raise QueueError(
                f"the available index went from {next_available} to {index}, which is more than "
                f"the {self.size} descriptors of the queue"
            )
        barrier()
        slot = start + 4 + 2 * (next_available & self.size - 1)
        (head,) = _HALF.unpack_from(region.buffer, slot)
        self._next_available = next_available + 1 & 0xFFFF
        return self._chain(head)

    @property
    def has_more(self) -> bool:
        """Whether the driver has made requests available that ``pop`` has not returned."""
        if not self.ready or self._available is None:
            return False
        region, start = self._available
        (index,) = _HALF.unpack_from(region.buffer, start + 2)
        return bool(index != self._next_available)

    def return_unused(self) -> None:
        """Take the last ``pop`` back: its request stays available."""
        self._next_available = self._next_available - 1 & 0xFFFF

    def _chain(self, head: int) -> Chain:
        assert self._table is not None
        region, start = self._table
        buffer, size = region.buffer, self.size
        chain = Chain(head)
        index = head
        for _ in range(size):
            if index >= size:
                raise QueueError(f"descriptor {index} of a queue of {size}")
            address, length, flags, following = _DESCRIPTOR.unpack_from(buffer, start + 16 * index)
            if flags & _INDIRECT:
                if flags & _NEXT:
                    raise QueueError("an indirect descriptor has a next one")
                self._indirect_chain(chain, address, length)
                return chain
            self._add(chain, address, length, flags)
            if not flags & _NEXT:
                return chain
            index = following
        raise QueueError(f"a chain of more than {size} descriptors: it has a loop")

    def _indirect_chain(self, chain: Chain, address: int, length: int) -> None:
        if not self._indirect:
            raise QueueError("an indirect descriptor, which the driver did not negotiate")
        count = length // 16
        if length % 16 or not 0 < count <= CHAIN_MAX:
            raise QueueError(
                f"an indirect table of {length} bytes; it has 1 to {CHAIN_MAX} entries"
            )
        try:
            # A copy, so that the guest cannot change an entry once it is checked.
            table = bytes(self._dma.view(address, length, writes=False))
        except PhysicalAddressError as error:
            raise QueueError(f"an indirect table is not in memory: {error}") from error
        index = 0
        for _ in range(count):
            if index >= count:
                raise QueueError(f"entry {index} of an indirect table with {count}")
            address, length, flags, following = _DESCRIPTOR.unpack_from(table, 16 * index)
            if flags & _INDIRECT:
                raise QueueError("an indirect descriptor in an indirect table")
            self._add(chain, address, length, flags)
            if not flags & _NEXT:
                return
            index = following
        raise QueueError(f"a chain in an indirect table of {count} entries has a loop")

    def _add(self, chain: Chain, address: int, length: int, flags: int) -> None:
        if not length:
            return
        chain.length += length
        writes = bool(flags & _WRITE)
        try:
            view = self._dma.view(address, length, writes=writes)
        except PhysicalAddressError as error:
            raise QueueError(f"a buffer cannot be used: {error}") from error
        if writes:
            chain.writable.append(view)
            chain.addresses.append(address)
        elif chain.writable:
            raise QueueError("a chain has a buffer to read after one to write")
        else:
            chain.readable.append(view)

    def push(self, chain: Chain, written: int) -> None:
        """Return a request as used; the device has written its first ``written`` bytes.

        The driver sees it after ``publish``.
        """
        assert self._used is not None
        region, start = self._used
        at = 4 + 8 * (self._next_used & self.size - 1)
        self._dma.will_write(self.device + at, 8)
        _USED_ELEMENT.pack_into(region.buffer, start + at, chain.head, written)
        self._dma.written(self.device + at, 8)
        self._next_used = self._next_used + 1 & 0xFFFF

    def publish(self) -> bool:
        """Let the driver see what was pushed. Returns whether it must get an interrupt."""
        old, new = self._published, self._next_used
        if old == new or self._used is None or self._available is None:
            return False
        region, start = self._used
        barrier()
        self._dma.will_write(self.device + 2, 2)
        _HALF.pack_into(region.buffer, start + 2, new)
        self._dma.written(self.device + 2, 2)
        self._published = new
        barrier()
        region, start = self._available
        if not self._event_index:
            return not _HALF.unpack_from(region.buffer, start)[0] & _NO_INTERRUPT
        (event,) = _HALF.unpack_from(region.buffer, start + 4 + 2 * self.size)
        return bool((new - event - 1 & 0xFFFF) < (new - old & 0xFFFF))

    def _store_event(self, index: int) -> None:
        """avail_event: the driver notifies when it makes this index available (2.7.10)."""
        assert self._used is not None
        region, start = self._used
        at = 4 + 8 * self.size
        if _HALF.unpack_from(region.buffer, start + at)[0] != index:
            self._dma.will_write(self.device + at, 2)
            _HALF.pack_into(region.buffer, start + at, index)
            self._dma.written(self.device + at, 2)

    def snapshot(self) -> QueueState:
        """Everything that is not in guest memory."""
        return QueueState(
            self.size,
            self.ready,
            (self.descriptors, self.driver, self.device),
            self._event_index,
            self._indirect,
            self._next_available,
            self._next_used,
            self._published,
            self.unfinished,
        )

    def restore(self, state: QueueState) -> None:
        """Return to the state of ``snapshot``. Raises ValueError: there is no such state."""
        # A driver may write any size. It is looked at when the queue is enabled.
        if not 0 <= state.size < 1 << 32 or (state.ready and not self._can_have(state.size)):
            raise ValueError(f"a queue of {state.size} descriptors; there are {self.max_size}")
        self.size = state.size
        self.descriptors, self.driver, self.device = state.addresses
        self._event_index, self._indirect = state.event_index, state.indirect
        self._next_available, self._next_used = state.next_available, state.next_used
        self._published = state.published
        self.ready, self.unfinished = state.ready, state.unfinished
        self._table = self._available = self._used = None
        if state.ready:
            self._locate()
