"""Which pages of a buffer are present on the host, so that a snapshot reads only those.

A guest of 4 GiB that has used 8 MB takes 8 MB of the host's memory. Reading the rest would make the
host allocate it, and take a second. On Linux, pagemap says which pages of private anonymous memory
are present or swapped out; all others are zero. For other memory (a file, shared memory), and on
other hosts, every page counts as present.

Source: Documentation/admin-guide/mm/pagemap.rst, proc_pid_maps(5).
"""

from __future__ import annotations

import array
import errno
import os
import struct
import sys
from typing import Final

PAGE: Final = 4096

# PAGEMAP_SCAN (Linux 6.7 and later): struct pm_scan_arg, and the page categories to find.
_PAGEMAP_SCAN: Final = 0xC0606610
_PM_SCAN_ARG: Final = struct.Struct("<12Q")
_PAGE_IS_PRESENT, _PAGE_IS_SWAPPED = 1 << 3, 1 << 4
_VECTOR: Final = 1024
# Entries of /proc/self/pagemap, for older kernels.
_ENTRY: Final = 8
_PRESENT_OR_SWAPPED: Final = 3 << 62
_PIECE: Final = 512  # entries that are read together: 2 MiB of memory
_NOTHING: Final = bytes(_PIECE * _ENTRY)

Runs = list[tuple[int, int]]


def is_private_anonymous(address: int, length: int) -> bool:
    """Whether all of this host memory is private anonymous memory (proc_pid_maps(5))."""
    if sys.platform != "linux":
        return False
    end = address + length
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                span, rights, _offset, _device, inode = line.split(maxsplit=5)[:5]
                low, high = (int(part, 16) for part in span.split("-"))
                if high <= address:
                    continue
                if low > address or rights[3] != "p" or inode != "0":
                    return False
                address = high
                if address >= end:
                    return True
    except OSError:  # no /proc here
        return False
    return False


def present_pages(address: int, length: int) -> Runs:
    """The pages of the private anonymous memory at host address ``address`` that may not be zero.

    ``length``: bytes, a multiple of 4096. Returns runs of (first page, number of pages), counted
    from ``address`` in pages of 4096 bytes; all pages if the host does not say which are present.
    """
    try:
        pagemap = os.open("/proc/self/pagemap", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return all_pages(length)
    try:
        try:
            spans = _scan(pagemap, address, address + length)
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL, errno.ENOSYS):
                return all_pages(length)
            spans = _read(pagemap, address, address + length)
    except OSError:
        return all_pages(length)
    finally:
        os.close(pagemap)
    return _pages(spans, address, length)


def all_pages(length: int) -> Runs:
    """All pages of ``length`` bytes, as one run."""
    return [(0, length // PAGE)]


def _scan(pagemap: int, address: int, end: int) -> Runs:
    """Host address ranges [start, end) that are present, by PAGEMAP_SCAN."""
    import fcntl

    vector = array.array("Q", bytes(_VECTOR * 24))
    size = os.sysconf("SC_PAGE_SIZE")
    start, stop = address // size * size, -(-end // size) * size
    found: Runs = []
    while start < stop:
        categories = _PAGE_IS_PRESENT | _PAGE_IS_SWAPPED
        argument = bytearray(
            _PM_SCAN_ARG.pack(
                _PM_SCAN_ARG.size, 0, start, stop, 0, vector.buffer_info()[0], _VECTOR, 0, 0, 0,
                categories, categories,
            )
        )  # fmt: skip
        count = fcntl.ioctl(pagemap, _PAGEMAP_SCAN, argument)
        found += [(vector[3 * n], vector[3 * n + 1]) for n in range(count)]
        start = _PM_SCAN_ARG.unpack(argument)[4]  # walk_end
    return found


def _read(pagemap: int, address: int, end: int) -> Runs:
    """The same, by the entry that /proc/self/pagemap has for each page."""
    size = os.sysconf("SC_PAGE_SIZE")
    at, last = address // size, -(-end // size)
    found: Runs = []
    while at < last:
        count = min(_PIECE, last - at)
        data = os.pread(pagemap, count * _ENTRY, at * _ENTRY)
        if len(data) != count * _ENTRY:
            raise OSError(errno.EIO, "/proc/self/pagemap is too short")
        if data != _NOTHING[: len(data)]:
            entries = array.array("Q", data)
            found += [
                ((at + n) * size, (at + n + 1) * size)
                for n, entry in enumerate(entries)
                if entry & _PRESENT_OR_SWAPPED
            ]
        at += count
    return found


def _pages(spans: Runs, address: int, length: int) -> Runs:
    """Host address ranges as runs of pages of a buffer, which need not be aligned to host pages."""
    runs: Runs = []
    done = 0  # pages before this one are in ``runs`` already
    for start, end in spans:
        first = max(done, (max(start, address) - address) // PAGE)
        done = -(-(min(end, address + length) - address) // PAGE)
        if runs and runs[-1][0] + runs[-1][1] == first:
            runs[-1] = (runs[-1][0], done - runs[-1][0])
        elif done > first:
            runs.append((first, done - first))
    return runs
