"""Registers: g, G, p, P.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_hex_bytes, parse_number
from guestdbg.gdb.session_state import Handler, SessionState


def read_all(session: SessionState, rest: bytes) -> bytes:
    """g: read X0 to CPSR. Clients read the other registers one by one."""
    return session.registers.read_core(session.context).hex().encode()


def write_all(session: SessionState, rest: bytes) -> bytes:
    """G XX..: write X0 to CPSR."""
    session.registers.write_core(session.context, parse_hex_bytes(rest))
    return b"OK"


def read_one(session: SessionState, rest: bytes) -> bytes:
    """p N: read one register."""
    return session.registers.read(session.context, parse_number(rest)).hex().encode()


def write_one(session: SessionState, rest: bytes) -> bytes:
    """P N=VALUE: write one register."""
    register, equals, value = rest.partition(b"=")
    if not equals:
        raise PacketError("P is P REGISTER=VALUE")
    session.registers.write(session.context, parse_number(register), parse_hex_bytes(value))
    return b"OK"


HANDLERS: dict[bytes, Handler] = {
    b"g": read_all,
    b"G": write_all,
    b"p": read_one,
    b"P": write_one,
}
