"""Pages of memory in sections of a file, and the memory image that they are expanded into.

A section has up to 256 pages of one memory slot that are not zero:

    u32  the slot's number
    u32  number of runs; for each: u64 its first page, u64 how many pages
    the bytes of the pages

An image is expanded once: a file in the host's memory with every page at its place, and holes for
all that are zero. Each machine then maps it privately, so that it shares the pages that it does not
write with every other one, also with those of other processes.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Protocol

from guestdbg.closing import Closing
from guestdbg.container.errors import ContainerError

__all__ = [
    "PAGE",
    "SECTION_BYTES",
    "MemoryImage",
    "PageRuns",
    "PageSource",
    "Slice",
    "expand",
    "page_runs",
    "page_sections",
]

PAGE: Final = 4096
_PAGES_MAX: Final = 256
_HEAD: Final = struct.Struct("<II")
_RUN: Final = struct.Struct("<QQ")
#: The largest section.
SECTION_BYTES: Final = _HEAD.size + _PAGES_MAX * (_RUN.size + PAGE)

_MAP_NORESERVE: Final = 0x4000 if sys.platform == "linux" else 0

Runs = list[tuple[int, int]]


class PageSource(Protocol):
    """The pages of a memory slot that are not zero."""

    def numbers(self) -> Runs:
        """(first page, number of pages), ascending, in pages of 4 KiB."""

    def contents(self, start: int, count: int) -> bytes:
        """The bytes of ``count`` of them, from the one in place ``start`` on."""


def page_sections(slot: int, pages: PageSource) -> Iterator[bytes]:
    """The sections for the pages of one slot."""
    runs: Runs = []
    total = start = 0
    for first, count in pages.numbers():
        while count:
            piece = min(count, _PAGES_MAX - total)
            runs.append((first, piece))
            first, count, total = first + piece, count - piece, total + piece
            if total == _PAGES_MAX:
                yield _packed(slot, runs, pages.contents(start, total))
                start, total, runs = start + total, 0, []
    if runs:
        yield _packed(slot, runs, pages.contents(start, total))


def _packed(slot: int, runs: Runs, contents: bytes) -> bytes:
    head = _HEAD.pack(slot, len(runs))
    return b"".join((head, *(_RUN.pack(*run) for run in runs), contents))


class PageRuns(NamedTuple):
    """Pages of one memory slot: what is in a section.

    Attributes:
        slot: its number.
        runs: (first page, number of pages).
        contents: the bytes of all of them.
    """

    slot: int
    runs: Runs
    contents: memoryview


class Slice(NamedTuple):
    """Where a slot is in an image.

    Attributes:
        offset, size: in bytes; multiples of the host's page size.
        runs: the pages that are not zero: (first page, number of pages).
    """

    offset: int
    size: int
    runs: Runs


class MemoryImage(Closing):
    """Memory slots in a file of the host's memory, which nobody can change any more.

    Attributes:
        descriptor: of the file. Another process that gets it can map the same memory.
        slices: where each slot is.
    """

    def __init__(self, descriptor: int, slices: Mapping[int, Slice]) -> None:
        self.descriptor = descriptor
        self.slices = dict(slices)

    def view(self, slot: int) -> memoryview:
        """The memory of a slot to read, shared with all others."""
        offset, size, _ = self.slices[slot]
        try:
            memory = mmap.mmap(
                self.descriptor, size, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ, offset=offset
            )
        except (OSError, ValueError) as error:
            raise ContainerError(f"cannot map {size} bytes of a memory image: {error}") from error
        return memoryview(memory)

    def private(self, slot: int) -> mmap.mmap:
        """The memory of a slot, to be written: a page that is written is copied first."""
        offset, size, _ = self.slices[slot]
        try:
            return mmap.mmap(
                self.descriptor,
                size,
                flags=mmap.MAP_PRIVATE | _MAP_NORESERVE,
                prot=mmap.PROT_READ | mmap.PROT_WRITE,
                offset=offset,
            )
        except (OSError, ValueError) as error:
            raise ContainerError(f"cannot map {size} bytes of a memory image: {error}") from error

    def close(self) -> None:
        """Close the file; what is mapped stays. Closing twice does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def expand(sections: Iterable[bytes], sizes: Mapping[int, int]) -> MemoryImage:
    """Expand the sections of slots that have these sizes, in bytes.

    Raises:
        ContainerError: the host has not enough memory.
        ValueError: a section is damaged: a slot that does not exist, pages outside it or not in
            ascending order.
    """
    granule = mmap.ALLOCATIONGRANULARITY
    offset, runs = 0, {slot: Runs() for slot in sizes}
    offsets: dict[int, int] = {}
    for slot, size in sizes.items():
        offsets[slot] = offset
        offset += -(-size // granule) * granule
    descriptor = _anonymous_file(offset)
    try:
        for section in sections:
            slot, found, contents = page_runs(section)
            if slot not in sizes:
                raise ValueError(f"it has pages of memory slot {slot}, which there is not")
            _check_runs(found, runs[slot], sizes[slot] // PAGE)
            at = 0
            for first, count in found:
                _write(descriptor, contents[at : at + count * PAGE], offsets[slot] + first * PAGE)
                at += count * PAGE
        _seal(descriptor)
    except OSError as error:
        os.close(descriptor)
        raise ContainerError(
            f"the memory of the snapshot cannot be expanded: {error.strerror or error}"
        ) from error
    except BaseException:
        os.close(descriptor)
        raise
    return MemoryImage(
        descriptor, {slot: Slice(offsets[slot], sizes[slot], runs[slot]) for slot in sizes}
    )


def page_runs(section: bytes) -> PageRuns:
    """What is in a section. Raises ValueError: it is damaged."""
    if len(section) < _HEAD.size:
        raise ValueError("a section of pages is truncated")
    slot, count = _HEAD.unpack_from(section)
    start = _HEAD.size + count * _RUN.size
    if count > _PAGES_MAX or start > len(section):
        raise ValueError("a section of pages is truncated")
    runs = [_RUN.unpack_from(section, _HEAD.size + n * _RUN.size) for n in range(count)]
    pages = sum(count for _, count in runs)
    if pages > _PAGES_MAX or pages * PAGE != len(section) - start:
        raise ValueError(f"a section of pages has {len(section) - start} bytes for {pages} pages")
    return PageRuns(slot, runs, memoryview(section)[start:])


def _check_runs(found: Runs, before: Runs, pages: int) -> None:
    for first, count in found:
        end = sum(before[-1]) if before else 0
        if first < end or not count or count > pages or first > pages - count:
            raise ValueError(f"{count} pages from {first} on, after {end}, of {pages}")
        if before and first == end:
            before[-1] = (before[-1][0], before[-1][1] + count)
        else:
            before.append((first, count))


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(descriptor, data, offset)
        data, offset = data[done:], offset + done


def _anonymous_file(size: int) -> int:
    """A file without a name, in memory where the host has such (memfd_create)."""
    try:
        if sys.platform == "linux":
            flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
            descriptor = os.memfd_create("guestdbg-snapshot", flags)
        else:
            descriptor, path = tempfile.mkstemp(prefix="guestdbg-snapshot")
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.ftruncate(descriptor, size)
    except OSError as error:
        raise ContainerError(f"no file for a memory image of {size} bytes: {error}") from error
    return descriptor


def _seal(descriptor: int) -> None:
    """Nobody changes it from now on, or makes it shorter under those who have mapped it."""
    if sys.platform == "linux":
        import fcntl

        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
