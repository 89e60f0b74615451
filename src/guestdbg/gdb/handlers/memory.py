"""Memory by virtual address: m, M, x, X.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.gdb.text import span, unhex

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_PAGE = 0x1000
#: The most that one packet reads: in hexadecimal it fills a packet.
_MOST = (MAX_PACKET - 16) // 2


def _read(session: Session, address: int, length: int) -> bytes:
    """What can be read of it, at least a byte; more than a packet holds is asked for again."""
    space = session.core.space
    length = min(length, _MOST)
    try:
        return space.read(address, length)
    except AddressError as error:
        failure = error
    data = b""
    while len(data) < length:
        at = address + len(data)
        here = min(length - len(data), _PAGE - at % _PAGE)
        try:
            data += space.read(at, here)
        except AddressError:
            break
    if not data:
        raise Refused(str(failure), errno.EFAULT) from failure
    return data


def _write(session: Session, address: int, data: bytes) -> bytes:
    try:
        session.core.space.write(address, data)
    except AddressError as error:
        raise Refused(str(error), errno.EFAULT) from error
    return b"OK"


def read(session: Session, rest: bytes) -> bytes:
    """m ADDRESS,LENGTH: memory in hexadecimal."""
    return _read(session, *span(rest)).hex().encode()


def write(session: Session, rest: bytes) -> bytes:
    """M ADDRESS,LENGTH:XX..: write memory."""
    where, _, digits = rest.partition(b":")
    address, length = span(where)
    data = unhex(digits)
    if len(data) != length:
        raise Refused(f"{length} bytes are to be written, and {len(data)} are given")
    return _write(session, address, data)


def read_binary(session: Session, rest: bytes) -> bytes:
    """x ADDRESS,LENGTH: memory as it is, behind a "b"."""
    address, length = span(rest)
    return b"b" + (escape(_read(session, address, length)) if length else b"")


def write_binary(session: Session, rest: bytes) -> bytes:
    """X ADDRESS,LENGTH:...: write memory, given as it is. No bytes: a client asks if we can."""
    where, _, data = rest.partition(b":")
    address, length = span(where)
    if len(data) != length:
        raise Refused(f"{length} bytes are to be written, and {len(data)} are given")
    return _write(session, address, data)


def features(session: Session) -> list[bytes]:
    return [b"binary-upload+"]


HANDLERS: dict[bytes, Handler] = {
    b"m": read,
    b"M": write,
    b"x": read_binary,
    b"X": write_binary,
}
