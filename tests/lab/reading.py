"""Reads "newc" archives. Written from the kernel's description, not from ``image.cpio``."""

from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    mode: int
    data: bytes
    device: tuple[int, int]


def read_newc(archive: bytes) -> list[Entry]:
    """The entries of one or several archives in a row. Only zeros may be between them."""
    found = []
    at = 0
    inodes: set[int] = set()
    while at < len(archive):
        if archive[at] == 0:
            at += 1
            continue
        assert archive[at : at + 6] == b"070701", at
        assert at % 4 == 0
        fields = [int(archive[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        inode, mode, uid, gid, links, mtime, size = fields[:7]
        name_size = fields[11]
        assert (uid, gid, mtime, fields[12]) == (0, 0, 0, 0)
        start = at + 110
        name = archive[start : start + name_size]
        assert name.endswith(b"\0")
        data_at = -(-(start + name_size) // 4) * 4
        assert not any(archive[start + name_size : data_at])
        data = archive[data_at : data_at + size]
        assert len(data) == size
        at = -(-(data_at + size) // 4) * 4
        if name == b"TRAILER!!!\0":
            inodes.clear()
            continue
        # For Linux, two entries with the same inode are two names of one file.
        assert inode not in inodes
        inodes.add(inode)
        assert links >= 1
        found.append(Entry(name[:-1].decode(), mode, data, (fields[9], fields[10])))
    return found
