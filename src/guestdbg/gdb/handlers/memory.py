"""Memory by virtual address: m, M, x, X.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno

from guestdbg.debugger import AddressError
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_hex_bytes, parse_range
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.gdb.session_state import Handler, SessionState

FEATURES = (b"binary-upload+",)

_PAGE = 0x1000
#: The most bytes that one packet reads: in hexadecimal they fill a packet.
_MAX_READ = (MAX_PACKET - 16) // 2


def _read(session: SessionState, address: int, length: int) -> bytes:
    """As much of it as can be read, at least one byte. The client asks again for the rest."""
    space = session.context.space
    length = min(length, _MAX_READ)
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
        raise PacketError(str(failure), errno.EFAULT) from failure
    return data


def _write(session: SessionState, address: int, data: bytes) -> bytes:
    try:
        session.context.space.write(address, data)
    except AddressError as error:
        raise PacketError(str(error), errno.EFAULT) from error
    return b"OK"


def read(session: SessionState, rest: bytes) -> bytes:
    """m ADDRESS,LENGTH: read memory, in hexadecimal."""
    return _read(session, *parse_range(rest)).hex().encode()


def write(session: SessionState, rest: bytes) -> bytes:
    """M ADDRESS,LENGTH:XX..: write memory."""
    where, _, digits = rest.partition(b":")
    address, length = parse_range(where)
    data = parse_hex_bytes(digits)
    if len(data) != length:
        raise PacketError(f"the length is {length}, and {len(data)} bytes follow")
    return _write(session, address, data)


def read_binary(session: SessionState, rest: bytes) -> bytes:
    """x ADDRESS,LENGTH: read memory, in binary after the letter b."""
    address, length = parse_range(rest)
    return b"b" + (escape(_read(session, address, length)) if length else b"")


def write_binary(session: SessionState, rest: bytes) -> bytes:
    """X ADDRESS,LENGTH:...: write memory, in binary. With 0 bytes a client tests for support."""
    where, _, data = rest.partition(b":")
    address, length = parse_range(where)
    if len(data) != length:
        raise PacketError(f"the length is {length}, and {len(data)} bytes follow")
    return _write(session, address, data)


HANDLERS: dict[bytes, Handler] = {
    b"m": read,
    b"M": write,
    b"x": read_binary,
    b"X": write_binary,
}
