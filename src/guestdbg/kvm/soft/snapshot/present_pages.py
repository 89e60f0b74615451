"""Which pages of a guest's memory were ever touched, as the host knows it.

A guest of 4 GiB that has touched 8 MB takes 8 MB; looking through the rest of it would take the
host's memory for it, and a second. Linux tells what of private anonymous memory is there; all else
of it is zero. Of other memory (a file, shared memory), and on other hosts, every page counts as
touched.

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

# PAGEMAP_SCAN (Linux 6.7 and later): struct pm_scan_arg, and the categories that are asked for.
_PAGEMAP_SCAN: Final = 0xC0606610
_PM_SCAN_ARG: Final = struct.Struct("<12Q")
_PAGE_IS_PRESENT, _PAGE_IS_SWAPPED = 1 << 3, 1 << 4
_VECTOR: Final = 1024
# Entries of /proc/self/pagemap, for kernels before.
_ENTRY: Final = 8
_PRESENT_OR_SWAPPED: Final = 3 << 62
_PIECE: Final = 512  # entries that are looked at together: 2 MiB of memory
_NOTHING: Final = bytes(_PIECE * _ENTRY)

Runs = list[tuple[int, int]]


def is_private_anonymous(address: int, length: int) -> bool:
    """Whether all of this memory is a mapping of nothing but zeros that nobody shares."""
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
    """(first page, pages) of the private anonymous memory at ``address`` that may not be zero.

    ``length`` is a multiple of 4096. Everything, where the host does not tell.
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
    """All pages of so many bytes."""
    return [(0, length // PAGE)]


def _scan(pagemap: int, address: int, end: int) -> Runs:
    """[start, end) of host memory that is there, by one call."""
    import fcntl

    vector = array.array("Q", bytes(_VECTOR * 24))
    size = os.sysconf("SC_PAGE_SIZE")
    start, stop = address // size * size, -(-end // size) * size
    found: Runs = []
    while start < stop:
        wanted = _PAGE_IS_PRESENT | _PAGE_IS_SWAPPED
        argument = bytearray(
            _PM_SCAN_ARG.pack(
                _PM_SCAN_ARG.size, 0, start, stop, 0, vector.buffer_info()[0], _VECTOR, 0, 0, 0,
                wanted, wanted,
            )
        )  # fmt: skip
        count = fcntl.ioctl(pagemap, _PAGEMAP_SCAN, argument)
        found += [(vector[3 * n], vector[3 * n + 1]) for n in range(count)]
        start = _PM_SCAN_ARG.unpack(argument)[4]  # walk_end
    return found


def _read(pagemap: int, address: int, end: int) -> Runs:
    """The same by an entry for each page."""
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
    """Spans of the host's addresses as pages of a buffer there, which need not be aligned."""
    runs: Runs = []
    behind = 0
    for start, end in spans:
        first = max(behind, (max(start, address) - address) // PAGE)
        behind = -(-(min(end, address + length) - address) // PAGE)
        if runs and runs[-1][0] + runs[-1][1] == first:
            runs[-1] = (runs[-1][0], behind - runs[-1][0])
        elif behind > first:
            runs.append((first, behind - first))
    return runs
