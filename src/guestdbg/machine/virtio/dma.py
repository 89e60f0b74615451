"""Guest memory as a device accesses it: checked addresses, and a report of each write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.machine.errors import PhysicalAddressError

if TYPE_CHECKING:
    from guestdbg.machine.memory import PhysicalMemory, Region

__all__ = ["DmaMemory", "OnDma", "barrier"]

OnDma = Callable[[int, int], object]

_held = threading.Lock()
_held.acquire()
_exclusive = threading.Lock()


def barrier() -> None:
    """A full memory barrier between this thread and vCPUs that run in other threads.

    A release followed by an acquire orders everything before the one with everything after the
    other, on every processor. Python has no other operation that does.
    """
    with _exclusive:
        _held.release()
        _held.acquire()


class DmaMemory:
    """What a device reads and writes of guest memory.

    A buffer must lie in one region, and in one that is not read-only if the device writes it.
    ``on_dma`` is called with the address and the length in bytes of what the device has written;
    ``before_dma`` with the same before that.
    """

    def __init__(self, memory: PhysicalMemory, on_dma: OnDma | None = None) -> None:
        self._memory = memory
        self._recent: Region | None = None
        self.on_dma = on_dma
        self.before_dma: OnDma | None = None

    def locate(self, address: int, length: int, *, writes: bool) -> tuple[Region, int]:
        """The region that has these bytes, and their offset in it.

        Raises:
            PhysicalAddressError: it is not memory, or read-only memory that would be written.
        """
        region = self._recent
        if region is None or not region.base <= address or address + length > region.end:
            region = self._memory.find(address, length)
            if region is None:
                raise PhysicalAddressError(
                    f"{length} bytes at {address:#x} are not in guest memory"
                )
            self._recent = region
        if writes and region.read_only:
            raise PhysicalAddressError(
                f"{length} bytes at {address:#x} are in {region.name}, which is read-only"
            )
        return region, address - region.base

    def view(self, address: int, length: int, *, writes: bool) -> memoryview:
        """These bytes, shared with the guest. Do not keep it: memory with views is not unmapped.

        Raises:
            PhysicalAddressError: as ``locate``.
        """
        region, start = self.locate(address, length, writes=writes)
        return memoryview(region.buffer)[start : start + length]

    def will_write(self, address: int, length: int) -> None:
        """Announce that the device is about to write these bytes."""
        if self.before_dma is not None:
            self.before_dma(address, length)

    def written(self, address: int, length: int) -> None:
        """Report that the device has written these bytes."""
        if self.on_dma is not None and length:
            self.on_dma(address, length)
