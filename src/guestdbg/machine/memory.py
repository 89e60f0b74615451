"""The board's memory: anonymous mappings that the guest and the host see alike."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator

from guestdbg.machine.errors import MachineError, PhysicalAddressError
from guestdbg.machine.layout import PAGE_SIZE
from guestdbg.machine.sizes import format_size

# Linux: address space without a promise of swap behind it. Python names it from 3.13 on. Elsewhere
# the number means something else, and nothing of the kind is needed.
_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0

_ZEROS = bytes(PAGE_SIZE)


class Region:
    """``size`` bytes at guest-physical ``base``, zero at first; pages exist once they are touched.

    ``read_only`` says that the guest may not write it (the host may). ``buffer`` is the memory
    itself.

    Raises:
        MachineError: the host has not that much address space.
    """

    def __init__(self, name: str, base: int, size: int, *, read_only: bool = False) -> None:
        if base % PAGE_SIZE or size % PAGE_SIZE or size <= 0:
            raise MachineError(
                f"{name} of {size:#x} bytes at {base:#x}: both must be multiples of "
                f"{format_size(PAGE_SIZE)}"
            )
        self.name = name
        self.base = base
        self.size = size
        self.read_only = read_only
        self.buffer = _anonymous(name, size)

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size

    def __repr__(self) -> str:
        return f"Region({self.name!r}, {self.base:#x}, {self.size:#x})"


def _anonymous(name: str, size: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        return mmap.mmap(-1, size, flags=flags)
    except (OSError, OverflowError, ValueError) as error:
        raise MachineError(f"no {format_size(size)} for {name} on this machine: {error}") from error


class PhysicalMemory:
    """The regions of a board, read and written by guest-physical address."""

    def __init__(self) -> None:
        self._regions: list[Region] = []

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def add(self, region: Region) -> None:
        """Add a region.

        Raises:
            MachineError: it overlaps one that is there.
        """
        for other in self._regions:
            if region.base < other.end and other.base < region.end:
                raise MachineError(f"{region!r} overlaps {other!r}")
        self._regions.append(region)

    def find(self, address: int, length: int = 1) -> Region | None:
        """The region that holds all of ``length`` bytes at ``address``, or None."""
        for region in self._regions:
            if region.base <= address and address + length <= region.end:
                return region
        return None

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes at guest-physical ``address``.

        Raises:
            PhysicalAddressError: some of them are not memory.
        """
        region = self._need(address, length, "read")
        start = address - region.base
        return region.buffer[start : start + length]

    def write(self, address: int, data: bytes) -> None:
        """Put ``data`` at guest-physical ``address``; read-only memory too.

        Raises:
            PhysicalAddressError: some of it is not memory.
        """
        region = self._need(address, len(data), "write")
        start = address - region.base
        region.buffer[start : start + len(data)] = data

    def zero(self, address: int, length: int) -> None:
        """Put ``length`` zero bytes at ``address``, without touching pages that are zero already.

        Raises:
            PhysicalAddressError: some of it is not memory.
        """
        region = self._need(address, length, "write")
        start, end = address - region.base, address - region.base + length
        while start < end:
            piece = min(end - start, PAGE_SIZE - start % PAGE_SIZE)
            if region.buffer[start : start + piece] != _ZEROS[:piece]:
                region.buffer[start : start + piece] = _ZEROS[:piece]
            start += piece

    def describe(self) -> str:
        """Where there is memory, in words."""
        return ", ".join(
            f"{region.name} {region.base:#x} to {region.end - 1:#x}" for region in self._regions
        )

    def _need(self, address: int, length: int, action: str) -> Region:
        if length < 0:
            raise PhysicalAddressError(f"cannot {action} {length} bytes: a length is not negative")
        region = self.find(address, length)
        if region is None:
            raise PhysicalAddressError(
                f"cannot {action} {length} bytes at physical address {address:#x}: "
                f"there is memory at {self.describe() or 'no address'}"
            )
        return region

    def close(self) -> None:
        """Give the memory back to the host, as far as nothing else still uses it."""
        for region in self._regions:
            try:
                region.buffer.close()
            except BufferError:  # a provider still holds it: it goes when that goes
                continue
        self._regions.clear()
