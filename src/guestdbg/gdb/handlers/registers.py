"""Registers: g, G, p, P.

Source: "Debugging with GDB", appendix E.2 (packets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.text import number, unhex

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def read_all(session: Session, rest: bytes) -> bytes:
    """g: the general registers; the client asks for the others one by one."""
    return session.registers.read_core(session.core).hex().encode()


def write_all(session: Session, rest: bytes) -> bytes:
    """G XX..: write the general registers."""
    session.registers.write_core(session.core, unhex(rest))
    return b"OK"


def read_one(session: Session, rest: bytes) -> bytes:
    """p N: one register."""
    return session.registers.read(session.core, number(rest)).hex().encode()


def write_one(session: Session, rest: bytes) -> bytes:
    """P N=VALUE: write one register."""
    register, equals, value = rest.partition(b"=")
    if not equals:
        raise Refused("P is P REGISTER=VALUE")
    session.registers.write(session.core, number(register), unhex(value))
    return b"OK"


HANDLERS: dict[bytes, Handler] = {
    b"g": read_all,
    b"G": write_all,
    b"p": read_one,
    b"P": write_one,
}
