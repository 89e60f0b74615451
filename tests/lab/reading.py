"""Reads "newc" archives, by the kernel's description of them and not by our writer."""

from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    mode: int
    data: bytes
    device: tuple[int, int]


def read_newc(archive: bytes) -> list[Entry]:
    """The entries of one archive or several in a row; everything in between must be zeros."""
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
        # Linux takes two entries of one inode for two names of one file.
        assert inode not in inodes
        inodes.add(inode)
        assert links >= 1
        found.append(Entry(name[:-1].decode(), mode, data, (fields[9], fields[10])))
    return found
