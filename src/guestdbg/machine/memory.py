"""The board's memory: anonymous mappings that guest and host share."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable, Iterator

from guestdbg.machine.errors import MachineError, PhysicalAddressError
from guestdbg.machine.layout import PAGE_SIZE
from guestdbg.machine.sizes import format_size

# Linux: no swap space is reserved for the mapping, so that a large RAM can be mapped on any host.
# Python has the name from 3.13 on. On other systems the number is another flag.
_MAP_NORESERVE = 0x4000 if sys.platform == "linux" else 0

_ZEROS = bytes(PAGE_SIZE)


class Region:
    """``size`` bytes at guest-physical ``base``, zero at first.

    The host allocates a page when it is first touched. ``read_only``: the guest may not write it
    (the host may). ``buffer`` is the memory itself; one that is given must be private.

    Raises:
        MachineError: a wrong base or size, or the host cannot map that much.
    """

    def __init__(
        self,
        name: str,
        base: int,
        size: int,
        *,
        read_only: bool = False,
        buffer: mmap.mmap | None = None,
    ) -> None:
        if base % PAGE_SIZE or size % PAGE_SIZE or size <= 0:
            raise MachineError(
                f"{name} of {size:#x} bytes at {base:#x}: both must be multiples of "
                f"{format_size(PAGE_SIZE)}"
            )
        self.name = name
        self.base = base
        self.size = size
        self.read_only = read_only
        if buffer is not None and len(buffer) != size:
            raise MachineError(f"the buffer for {name} has {len(buffer):#x} bytes, not {size:#x}")
        self.buffer = _anonymous(name, size) if buffer is None else buffer

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.base + self.size

    def __repr__(self) -> str:
        return f"Region({self.name!r}, {self.base:#x}, {self.size:#x})"


def _anonymous(name: str, size: int) -> mmap.mmap:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    try:
        return mmap.mmap(-1, size, flags=flags)
    except (OSError, OverflowError, ValueError) as error:
        raise MachineError(f"cannot map {format_size(size)} for {name}: {error}") from error


class PhysicalMemory:
    """The regions of a board, which the host reads and writes by guest-physical address."""

    def __init__(self) -> None:
        self._regions: list[Region] = []
        #: Called before each write.
        self.before_write: Callable[[], object] | None = None
        #: Called with the address and the length of each write.
        self.on_write: Callable[[int, int], None] | None = None

    def __len__(self) -> int:
        return len(self._regions)

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions)

    def add(self, region: Region) -> None:
        """Add a region.

        Raises:
            MachineError: it overlaps another region.
        """
        for other in self._regions:
            if region.base < other.end and other.base < region.end:
                raise MachineError(f"{region!r} overlaps {other!r}")
        self._regions.append(region)

    def find(self, address: int, length: int = 1) -> Region | None:
        """The region that contains all ``length`` bytes at ``address``, or None."""
        for region in self._regions:
            if region.base <= address and address + length <= region.end:
                return region
        return None

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes at guest-physical ``address``.

        Raises:
            PhysicalAddressError: some of them are not memory.
        """
        region = self._require(address, length, "read")
        start = address - region.base
        return region.buffer[start : start + length]

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Write ``data`` at guest-physical ``address``, also to read-only memory.

        Raises:
            PhysicalAddressError: some of it is not memory.
        """
        region = self._require(address, len(data), "write")
        if self.before_write is not None:
            self.before_write()
        start = address - region.base
        region.buffer[start : start + len(data)] = data
        if self.on_write is not None:
            self.on_write(address, len(data))

    def zero(self, address: int, length: int) -> None:
        """Write ``length`` zero bytes at ``address``, except to pages that are zero already.

        Raises:
            PhysicalAddressError: some of it is not memory.
        """
        region = self._require(address, length, "write")
        if self.before_write is not None:
            self.before_write()
        start, end = address - region.base, address - region.base + length
        while start < end:
            length_here = min(end - start, PAGE_SIZE - start % PAGE_SIZE)
            if region.buffer[start : start + length_here] != _ZEROS[:length_here]:
                region.buffer[start : start + length_here] = _ZEROS[:length_here]
            start += length_here
        if self.on_write is not None:
            self.on_write(address, length)

    def describe(self) -> str:
        """The regions as text."""
        return ", ".join(
            f"{region.name} {region.base:#x} to {region.end - 1:#x}" for region in self._regions
        )

    def _require(self, address: int, length: int, action: str) -> Region:
        if length < 0:
            raise PhysicalAddressError(f"cannot {action} {length} bytes: the length is negative")
        region = self.find(address, length)
        if region is None:
            raise PhysicalAddressError(
                f"cannot {action} {length} bytes at physical address {address:#x}: "
                f"there is memory at {self.describe() or 'no address'}"
            )
        return region

    def close(self) -> None:
        """Unmap the memory. A region that a provider still uses is unmapped when it is released."""
        for region in self._regions:
            try:
                region.buffer.close()
            except BufferError:  # a provider still uses it
                continue
        self._regions.clear()
