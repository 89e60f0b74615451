"""Host I/O: vFile, read-only and only for the guest's ELF files, from which clients read symbols.

The names of a Linux guest's kernel are such a file, too: ``/linux-symbols``.

Source: "Debugging with GDB", appendix E.7 (host I/O packets) and E.13.9 (file-I/O: struct stat,
errno values).
"""

from __future__ import annotations

import errno
import logging
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_hex_bytes, parse_number
from guestdbg.gdb.packets import MAX_PACKET, escape

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

log = logging.getLogger(__name__)

_MAX_READ = (MAX_PACKET - 32) // 2
_MAX_OPEN = 16
#: `symbol-file target:/linux-symbols` in GDB.
_LINUX_SYMBOLS = "/linux-symbols"
# The flags of open, and the mode in struct stat. The protocol's errno values are, for the errors
# here, the same numbers as Linux's.
_READ_ONLY = 0
_REGULAR, _READABLE = 0o100000, 0o444


class _FileError(Exception):
    """A call that fails with this errno value."""

    def __init__(self, number: int) -> None:
        self.number = number


def _path(text: bytes) -> str:
    return parse_hex_bytes(text).decode("utf-8", "surrogateescape")


def _open(session: SessionState, args: list[bytes]) -> bytes:
    name, flags = _path(args[0]), parse_number(args[1])
    if flags != _READ_ONLY:
        raise _FileError(errno.EROFS)
    # The contents as they were when the guest was loaded: the file may have been built anew since.
    files = {
        str(path): contents
        for image in session.guest.images
        for path, contents in image.files.items()
    }
    contents = _linux_symbols(session) if name == _LINUX_SYMBOLS else files.get(name)
    if contents is None:
        raise _FileError(errno.ENOENT)
    free = [n for n in range(_MAX_OPEN) if n not in session.open_files]
    if not free:
        raise _FileError(errno.EMFILE)
    session.open_files[free[0]] = contents
    return b"F%x" % free[0]


def _linux_symbols(session: SessionState) -> bytes | None:
    """The names of the kernel as they are now; None if it has none."""
    try:
        contents: bytes = session.guest.linux.symbol_file()
    except GuestdbgError as error:
        log.info("no %s: %s", _LINUX_SYMBOLS, error)
        return None
    return contents


def _contents(session: SessionState, text: bytes) -> bytes:
    contents = session.open_files.get(parse_number(text))
    if contents is None:
        raise _FileError(errno.EBADF)
    return contents


def _read(session: SessionState, args: list[bytes]) -> bytes:
    contents = _contents(session, args[0])
    count, offset = min(parse_number(args[1]), _MAX_READ), parse_number(args[2])
    piece = contents[offset : offset + count]
    return b"F%x;%s" % (len(piece), escape(piece))


def _status(session: SessionState, args: list[bytes]) -> bytes:
    size = len(_contents(session, args[0]))
    # dev, ino, mode, nlink, uid, gid, rdev; size, blksize, blocks; three times.
    stat = struct.pack(">7I3Q3I", 0, 0, _REGULAR | _READABLE, 1, 0, 0, 0, size, 4096, 0, 0, 0, 0)
    return b"F%x;%s" % (len(stat), escape(stat))


def _close(session: SessionState, args: list[bytes]) -> bytes:
    _contents(session, args[0])
    del session.open_files[parse_number(args[0])]
    return b"F0"


def _select_file_system(session: SessionState, args: list[bytes]) -> bytes:
    return b"F0"  # there is only one


def _readlink(session: SessionState, args: list[bytes]) -> bytes:
    raise _FileError(errno.EINVAL)


_CALLS: dict[bytes, tuple[int, Callable[[SessionState, list[bytes]], bytes]]] = {
    b"open": (3, _open),
    b"pread": (3, _read),
    b"fstat": (1, _status),
    b"close": (1, _close),
    b"setfs": (1, _select_file_system),
    b"readlink": (1, _readlink),
}


def file(session: SessionState, rest: bytes) -> bytes:
    """vFile:CALL:ARGUMENTS: the result, or -1 and an errno value."""
    _, _, call = rest.partition(b":")
    name, _, text = call.partition(b":")
    if name not in _CALLS:
        return b""
    count, function = _CALLS[name]
    args = text.split(b",")
    if len(args) != count:
        raise PacketError(f"vFile:{name.decode()} takes {count} arguments, not {len(args)}")
    try:
        return function(session, args)
    except _FileError as error:
        return b"F-1,%x" % error.number


HANDLERS: dict[bytes, Handler] = {b"vFile": file}
