"""Files: vFile, for the guest's own ELF files alone, which a client may read to have their symbols.

Source: "Debugging with GDB", appendix E.7 (host I/O packets) and E.13.9 (file-I/O: struct stat,
errno values).
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.gdb.text import number, unhex

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_MOST = (MAX_PACKET - 32) // 2
_OPEN_AT_ONCE = 16
# The protocol's errno values that differ from none of ours here: they are Linux's of old.
_READ_ONLY = 0
_REGULAR, _READABLE = 0o100000, 0o444


class _Failed(Exception):
    def __init__(self, number: int) -> None:
        self.number = number


def _path(text: bytes) -> str:
    return unhex(text).decode("utf-8", "surrogateescape")


def _open(session: Session, args: list[bytes]) -> bytes:
    name, flags = _path(args[0]), number(args[1])
    if flags != _READ_ONLY:
        raise _Failed(errno.EROFS)
    for image in session.guest.images:
        if name == str(image.path.absolute()):
            try:
                contents = image.path.read_bytes()
            except OSError as error:
                raise _Failed(error.errno or errno.EIO) from error
            break
    else:
        raise _Failed(errno.ENOENT)
    free = [n for n in range(_OPEN_AT_ONCE) if n not in session.files]
    if not free:
        raise _Failed(errno.EMFILE)
    session.files[free[0]] = contents
    return b"F%x" % free[0]


def _contents(session: Session, text: bytes) -> bytes:
    contents = session.files.get(number(text))
    if contents is None:
        raise _Failed(errno.EBADF)
    return contents


def _read(session: Session, args: list[bytes]) -> bytes:
    contents = _contents(session, args[0])
    count, offset = min(number(args[1]), _MOST), number(args[2])
    piece = contents[offset : offset + count]
    return b"F%x;%s" % (len(piece), escape(piece))


def _status(session: Session, args: list[bytes]) -> bytes:
    size = len(_contents(session, args[0]))
    # dev, ino, mode, nlink, uid, gid, rdev; size, blksize, blocks; three times.
    stat = struct.pack(">7I3Q3I", 0, 0, _REGULAR | _READABLE, 1, 0, 0, 0, size, 4096, 0, 0, 0, 0)
    return b"F%x;%s" % (len(stat), escape(stat))


def _close(session: Session, args: list[bytes]) -> bytes:
    _contents(session, args[0])
    del session.files[number(args[0])]
    return b"F0"


def _choose_system(session: Session, args: list[bytes]) -> bytes:
    return b"F0"  # there is one file system


def _no_link(session: Session, args: list[bytes]) -> bytes:
    raise _Failed(errno.EINVAL)


_CALLS: dict[bytes, tuple[int, Callable[[Session, list[bytes]], bytes]]] = {
    b"open": (3, _open),
    b"pread": (3, _read),
    b"fstat": (1, _status),
    b"close": (1, _close),
    b"setfs": (1, _choose_system),
    b"readlink": (1, _no_link),
}


def file(session: Session, rest: bytes) -> bytes:
    """vFile:CALL:ARGUMENTS: the result, or -1 and why."""
    _, _, call = rest.partition(b":")
    name, _, text = call.partition(b":")
    if name not in _CALLS:
        return b""
    count, function = _CALLS[name]
    args = text.split(b",")
    if len(args) != count:
        raise Refused(f"vFile:{name.decode()} has {count} arguments, not {len(args)}")
    try:
        return function(session, args)
    except _Failed as failed:
        return b"F-1,%x" % failed.number


HANDLERS: dict[bytes, Handler] = {b"vFile": file}
