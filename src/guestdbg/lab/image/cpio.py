"""Writes cpio archives in the "newc" format, which Linux unpacks as its initial file system.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Archives can be
concatenated: a later entry of the same name replaces the earlier one.
"""

import io
import stat

from guestdbg.lab.errors import LabError

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_LIMIT = 0xFFFFFFFF
#: PATH_MAX of Linux, which counts the zero at the end; longer names it skips without a word.
_NAME_LIMIT = 4096


class Cpio:
    """One archive, built in memory: everything belongs to root, all times are zero.

    Directories above an entry are made by themselves, before it, as the kernel needs them.
    """

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0
        self._directories: set[str] = set()
        self._closed = False

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory; one that is there already is left as it is."""
        name = _clean(path)
        self._parents(name)
        self._make(name, mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file of these bytes."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """A symbolic link to ``target``, which is written as it is given."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A device node: the kernel wants /dev/console before anything is mounted."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFCHR | mode, b"", (major, minor))

    def finish(self) -> bytes:
        """The whole archive, its trailer included, padded so that another can follow it."""
        if not self._closed:
            self._entry(_TRAILER, 0, b"")
            self._pad(512)
            self._closed = True
        return self._out.getvalue()

    def _parents(self, name: str) -> None:
        parts = name.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            self._make("/".join(parts[:depth]), 0o755)

    def _make(self, name: str, mode: int) -> None:
        if name not in self._directories:
            self._directories.add(name)
            self._entry(name, stat.S_IFDIR | mode, b"")

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        if self._closed:
            raise ValueError("this archive is finished")
        encoded = name.encode() + b"\0"
        if len(encoded) > _NAME_LIMIT:
            raise LabError(f"a path of {len(encoded)} bytes is too long for Linux: {name[:60]}...")
        if len(data) > _LIMIT:
            raise LabError(f"{name} has {len(data)} bytes, and 4 GiB less 1 is the most")
        self._inode += 1
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = (
            *(self._inode, mode, 0, 0, links, 0, len(data), 0, 0),
            *(*device, len(encoded), 0),
        )
        self._out.write(_MAGIC + b"".join(b"%08X" % field for field in fields))
        self._out.write(encoded)
        self._pad(4)
        self._out.write(data)
        self._pad(4)

    def _pad(self, alignment: int) -> None:
        self._out.write(bytes(-self._out.tell() % alignment))


def _clean(path: str) -> str:
    """A path without a leading slash and without empty or dot parts."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in path:
        raise ValueError(f"{path!r} is no path inside an archive")
    return "/".join(parts)
