"""Writes cpio archives in the "newc" format, which Linux unpacks as its initial file system.

Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst. Archives can be
concatenated: a later entry replaces an earlier one of the same name.
"""

import io
import stat

from guestdbg.lab.errors import LabError

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_LIMIT = 0xFFFFFFFF
#: PATH_MAX of Linux, including the zero at the end. It silently ignores longer names.
_NAME_LIMIT = 4096


class Cpio:
    """One archive, built in memory. Everything belongs to root, and all times are zero.

    The parent directories of an entry are added before it, because the kernel needs them first.
    """

    def __init__(self) -> None:
        self._out = io.BytesIO()
        self._inode = 0
        self._directories: set[str] = set()
        self._closed = False

    def directory(self, path: str, mode: int = 0o755) -> None:
        """A directory. If it exists already, it stays as it is."""
        name = _clean(path)
        self._parents(name)
        self._make(name, mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """A regular file with these contents."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """A symbolic link. ``target`` is not changed."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """A device node: the kernel opens /dev/console before anything is mounted."""
        name = _clean(path)
        self._parents(name)
        self._entry(name, stat.S_IFCHR | mode, b"", (major, minor))

    def finish(self) -> bytes:
        """The whole archive with its trailer, padded so that another archive can follow."""
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
            raise LabError(f"{name} has {len(data)} bytes; the maximum is 4 GiB - 1")
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
    """The path without a leading slash and without empty or ``.`` parts. Raises ValueError."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in path:
        raise ValueError(f"{path!r} is not a path inside an archive")
    return "/".join(parts)
