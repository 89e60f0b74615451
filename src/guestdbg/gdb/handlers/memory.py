"""Memory by virtual address, in physical memory mode by physical address: m, M, x, X, qSearch.

Device registers can be read if reading them has no effect on the guest, and never be written.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import AddressError
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_hex_bytes, parse_range
from guestdbg.gdb.packets import MAX_PACKET, escape
from guestdbg.machine import MachineError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState

FEATURES = (b"binary-upload+",)

_PAGE = 0x1000
#: The most bytes that one packet reads: in hexadecimal they fill a packet.
_MAX_READ = (MAX_PACKET - 16) // 2
#: GDB waits two seconds for a reply.
_MAX_SEARCH = 64 << 20
_SEARCH_CHUNK = 1 << 16


def _reader(session: SessionState) -> Callable[[int, int], bytes]:
    """Reads memory as the selected thread sees it, or physical memory."""
    if session.physical_memory:
        return session.execution.read_phys
    task = session.task
    if task is not None and task.vcpu is None:
        return task.task.read
    return session.context.space.read


def _read(session: SessionState, address: int, length: int) -> bytes:
    """As much of it as can be read, at least one byte. The client asks again for the rest."""
    length = min(length, _MAX_READ)
    if session.file_io_request is not None:
        pointed_to = session.file_io_request.read(address, length)
        if pointed_to is not None:
            return pointed_to
    read = _reader(session)
    try:
        return read(address, length)
    except GuestdbgError as error:
        failure = error
    data = b""
    while len(data) < length:
        at = address + len(data)
        here = min(length - len(data), _PAGE - at % _PAGE)
        try:
            data += read(at, here)
        except GuestdbgError:
            registers = _device(session, at, here)
            data += registers or b""
            if registers is None or len(registers) < here:
                break
    if not data:
        text = str(failure)
        if length and _device(session, address, 1) == b"":
            text = f"the device register at {address:#x} has a side effect when it is read"
        raise PacketError(text, errno.EFAULT) from failure
    return data


def _device(session: SessionState, address: int, length: int) -> bytes | None:
    """The device registers there whose reading has no side effect; None if there is no device."""
    if not session.physical_memory:
        try:
            address = session.context.space.translate(address)
        except AddressError:
            return None
    return session.execution.peek_device(address, length)


def _write(session: SessionState, address: int, data: bytes) -> bytes:
    if session.file_io_request is not None:
        if session.file_io_request.write(address, data):
            return b"OK"
        raise PacketError("the File-I/O request does not point there", errno.EFAULT)
    try:
        if session.physical_memory:
            session.execution.write_phys(address, data)
        else:
            session.context.space.write(address, data)
    except (AddressError, MachineError) as error:
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


def search(session: SessionState, rest: bytes) -> bytes:
    """qSearch:memory:ADDRESS;LENGTH;PATTERN: the first place of some bytes, or 0.

    There is no reply to a range that takes long: the client then searches by itself.
    """
    _, kind, rest = rest.split(b":", 2) if rest.count(b":") > 1 else (b"", b"", b"")
    if kind != b"memory":
        return b""
    fields = rest.split(b";", 2)
    if len(fields) != 3 or not fields[2]:
        raise PacketError("qSearch is qSearch:memory:ADDRESS;LENGTH;PATTERN")
    address, length = parse_range(b",".join(fields[:2]))
    pattern = fields[2]
    if length > _MAX_SEARCH:
        return b""
    read = _reader(session)
    kept, at = b"", address
    while at < address + length:
        here = min(address + length - at, _SEARCH_CHUNK - at % _SEARCH_CHUNK)
        try:
            kept += read(at, here)
        except GuestdbgError as error:
            raise PacketError(str(error), errno.EFAULT) from error
        at += here
        found = kept.find(pattern)
        if found >= 0:
            return b"1,%x" % (at - len(kept) + found)
        kept = kept[len(kept) - len(pattern) + 1 :] if len(kept) >= len(pattern) else kept
    return b"0"


HANDLERS: dict[bytes, Handler] = {
    b"qSearch": search,
    b"m": read,
    b"M": write,
    b"x": read_binary,
    b"X": write_binary,
}
