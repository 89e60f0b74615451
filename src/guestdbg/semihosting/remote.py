"""Files of another machine: operations that an attached debugger performs there.

The calls are those of GDB's File-I/O protocol ("Debugging with GDB", appendix E.13); who can make
them implements ``RemoteHost``.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from guestdbg.semihosting.options import Semihosting

__all__ = [
    "Argument",
    "Buffer",
    "Data",
    "Name",
    "RemoteFile",
    "RemoteFileSystem",
    "RemoteFiles",
    "RemoteGone",
    "RemoteHost",
    "RemoteInterrupted",
]

_MODE = 0o644
_MAX_FD = 0x7FFF_FFFF
# Flags of open (E.13.8.1), in pairs of modes of SYS_OPEN: r, r+, w, w+, a, a+.
_RDONLY, _WRONLY, _RDWR, _APPEND, _CREAT, _TRUNC = 0, 1, 2, 8, 0x200, 0x400
_FLAGS = (
    _RDONLY,
    _RDWR,
    _WRONLY | _CREAT | _TRUNC,
    _RDWR | _CREAT | _TRUNC,
    _WRONLY | _CREAT | _APPEND,
    _RDWR | _CREAT | _APPEND,
)
_SEEK_SET = 0
# struct stat (E.13.7.4): 64 bytes, and st_size are the eight from 28 on, big-endian.
_STAT_BYTES, _SIZE_AT = 64, 28


class RemoteGone(OSError):
    """The debugger was detached, or its connection broke, before it had answered."""

    def __init__(self) -> None:
        super().__init__(errno.EIO, "the debugger that performs the guest's file operations left")


class RemoteInterrupted(Exception):
    """The debugger's user has interrupted the call, and nothing was done: it is made again when the
    guest goes on."""


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a file, without the NUL that the debugger reads after it."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Data:
    """Bytes that the debugger reads."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that the debugger writes."""

    data: bytearray


Argument = int | Name | Data | Buffer


class RemoteHost(Protocol):
    """A debugger that performs the calls."""

    @property
    def available(self) -> bool:
        """Whether it is attached, and can be called now."""

    def call(self, name: str, *arguments: Argument) -> int:
        """Perform a call; its result, not negative.

        Raises OSError with Linux's number of the error, RemoteGone, RemoteInterrupted.
        """


class RemoteFile:
    """A file that the debugger has open."""

    is_terminal = False

    def __init__(self, files: RemoteFiles, host: RemoteHost, fd: int) -> None:
        self._files = files
        self._host = host
        self._fd = fd

    def _call(self, name: str, *arguments: Argument) -> int:
        if not self._host.available:
            raise RemoteGone
        return self._host.call(name, self._fd, *arguments)

    def read(self, length: int) -> bytes:
        """At most ``length`` bytes; none at the end of the file. Raises OSError."""
        buffer = Buffer(bytearray(length))
        count = _at_most(length, self._call("read", buffer, length))
        return bytes(buffer.data[:count])

    def write(self, data: bytes) -> int:
        """Write, and return how many bytes were written. Raises OSError."""
        self._files.account(len(data))
        return _at_most(len(data), self._call("write", Data(data), len(data)))

    def seek(self, position: int) -> None:
        """Set the position. Raises OSError."""
        if self._call("lseek", position, _SEEK_SET) != position:
            raise OSError(errno.EIO, "the debugger has set another position")

    def length(self) -> int:
        """The length of the file in bytes. Raises OSError."""
        buffer = Buffer(bytearray(_STAT_BYTES))
        self._call("fstat", buffer)
        return int.from_bytes(buffer.data[_SIZE_AT : _SIZE_AT + 8], "big")

    def isatty(self) -> bool:
        """Whether it is a terminal of the debugger's machine. Raises OSError."""
        return bool(self._call("isatty"))

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self._call("close")


class RemoteFiles:
    """Files of the debugger's machine, and how much of them the guest may still write."""

    def __init__(self, options: Semihosting) -> None:
        self._read_only = options.read_only
        self._left = options.max_written

    def account(self, count: int) -> None:
        """Count bytes that are written; OSError (ENOSPC) if they are too many."""
        if count > self._left:
            raise OSError(errno.ENOSPC, "the guest has written as much as max_written allows")
        self._left -= count

    def check_writable(self) -> None:
        """OSError (EROFS) if the guest may only read."""
        if self._read_only:
            raise OSError(errno.EROFS, "the guest may only read files")


@dataclass(frozen=True, slots=True)
class RemoteFileSystem:
    """Opens, removes and renames files by the debugger; every method raises OSError."""

    files: RemoteFiles
    host: RemoteHost

    def open(self, name: bytes, mode: int) -> RemoteFile:
        """Open a file with a mode of SYS_OPEN, 0 to 11."""
        flags = _FLAGS[mode >> 1]
        if flags != _RDONLY:
            self.files.check_writable()
        fd = _at_most(_MAX_FD, self.host.call("open", _checked(name), flags, _MODE))
        return RemoteFile(self.files, self.host, fd)

    def remove(self, name: bytes) -> None:
        """Remove a file."""
        self.files.check_writable()
        self.host.call("unlink", _checked(name))

    def rename(self, old: bytes, new: bytes) -> None:
        """Rename a file."""
        self.files.check_writable()
        self.host.call("rename", _checked(old), _checked(new))


def _checked(name: bytes) -> Name:
    if not name or b"\0" in name:
        raise OSError(errno.EINVAL if name else errno.ENOENT, "not a file's name")
    return Name(name)


def _at_most(limit: int, result: int) -> int:
    if result > limit:
        raise OSError(errno.EIO, "the debugger's result is larger than it can be")
    return result
