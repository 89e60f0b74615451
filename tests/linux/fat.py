"""A FAT16 file system with some files, for firmware to read: no program for it is needed.

Source: Microsoft's FAT32 File System Specification (fatgen103), which has FAT16 too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

SECTOR = 512
CLUSTER = 8 * SECTOR
ROOT_ENTRIES = 512
_DIRECTORY = 0x10
_END = 0xFFFF


class _Fat:
    def __init__(self, clusters: int) -> None:
        self.clusters = clusters
        self.table = [0xFFF8, _END]
        self.data = bytearray()

    def store(self, contents: bytes) -> int:
        """The first cluster of a file that has these contents."""
        first = len(self.table)
        count = max(1, -(-len(contents) // CLUSTER))
        self.table += [*range(first + 1, first + count), _END]
        assert len(self.table) - 2 <= self.clusters, "the file system is full"
        self.data += contents.ljust(count * CLUSTER, b"\0")
        return first


def _entry(name: str, attributes: int, cluster: int, size: int) -> bytes:
    base, _, extension = name.partition(".")
    base, extension = (base, extension) if base else (name, "")  # "." and ".."
    short = base.upper().ljust(8) + extension.upper().ljust(3)
    assert len(short) == 11, f"{name}: only names of 8 and 3 characters"
    times = bytes(14)
    return struct.pack("<11sB14sHI", short.encode(), attributes, times, cluster, size)


def _entries(fat: _Fat, files: Mapping[str, bytes]) -> bytes:
    """The directory entries of the files, which are stored; names have `/` for directories.

    The entries . and .. lead to the root: firmware does not follow them.
    """
    entries = b""
    for name in dict.fromkeys(path.partition("/")[0] for path in files):
        below = {p.partition("/")[2]: d for p, d in files.items() if p.startswith(f"{name}/")}
        if below:
            dots = _entry(".", _DIRECTORY, 0, 0) + _entry("..", _DIRECTORY, 0, 0)
            cluster = fat.store(dots + _entries(fat, below))
            entries += _entry(name, _DIRECTORY, cluster, 0)
        else:
            entries += _entry(name, 0, fat.store(files[name]), len(files[name]))
    return entries


def fat16(files: Mapping[str, bytes], *, clusters: int = 20_000) -> bytes:
    """The image: files by path ("EFI/BOOT/BOOTAA64.EFI"), names of 8 and 3 characters."""
    assert 4085 <= clusters < 65525, "the number of clusters is what makes it FAT16"
    fat = _Fat(clusters)
    root = _entries(fat, files)
    assert len(root) <= 32 * ROOT_ENTRIES
    fat_sectors = -(-2 * (clusters + 2) // SECTOR)
    total = 1 + fat_sectors + ROOT_ENTRIES * 32 // SECTOR + clusters * CLUSTER // SECTOR
    boot = struct.pack(
        "<3s8sHBHBHHBHHHII",
        b"\xeb\x3c\x90",
        b"guestdbg",
        SECTOR,
        CLUSTER // SECTOR,
        *(1, 1, ROOT_ENTRIES),  # reserved sectors, FATs
        *(0, 0xF8, fat_sectors, 63, 255, 0, total),
    )
    boot += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, 1, b"GUESTDBG   ", b"FAT16   ")
    table = struct.pack(f"<{len(fat.table)}H", *fat.table).ljust(fat_sectors * SECTOR, b"\0")
    image = boot.ljust(510, b"\0") + b"\x55\xaa" + table + root.ljust(32 * ROOT_ENTRIES, b"\0")
    return image + bytes(fat.data).ljust(clusters * CLUSTER, b"\0")
