"""Breakpoints and watchpoints: Z0 to Z4, z0 to z4.

Source: "Debugging with GDB", appendix E.2, "insert breakpoint or watchpoint".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from guestdbg.gdb.agent import AgentError, Tail, parse_tail
from guestdbg.gdb.breakpoints import Key
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.handlers import Handler
from guestdbg.gdb.text import number

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

log = logging.getLogger(__name__)

_TYPES = b"01234"
_WATCHES = (2, 3, 4)


def _key(text: bytes) -> Key | None:
    """The point that a packet names; None for a type that we do not have."""
    kind, comma, rest = text.partition(b",")
    if len(kind) != 1 or kind not in _TYPES:
        return None
    address, comma, size = rest.partition(b",")
    if not comma:
        raise Refused("Z is Z TYPE,ADDRESS,KIND")
    key = Key(int(kind), number(address), number(size))
    if key.type in _WATCHES and not key.kind:
        raise Refused("a watchpoint of 0 bytes: 1 is the least")
    return key


def insert(session: Session, rest: bytes) -> bytes:
    """Z TYPE,ADDRESS,KIND: breakpoint (0, 1) or watchpoint (2 write, 3 read, 4 access).

    Conditions and commands may follow those of breakpoints.
    """
    what, semicolon, more = rest.partition(b";")
    key = _key(what)
    if key is None:
        return b""
    tail = _tail(key, semicolon + more)
    try:
        session.inserted.insert(key, tail)
    except Refused as refused:
        if not session.words:
            # The client gets a number, and shows its user what it thinks that it means.
            session.announce(f"refused: {refused.text.splitlines()[0].rstrip(':')}")
        raise
    return b"OK"


def _tail(key: Key, text: bytes) -> Tail:
    if text and key.type in _WATCHES:
        raise Refused("a watchpoint with conditions or commands: only breakpoints have them")
    try:
        return parse_tail(text)
    except AgentError as error:
        log.warning("the breakpoint at %#x is refused: %s", key.address, error)
        raise


def remove(session: Session, rest: bytes) -> bytes:
    """z TYPE,ADDRESS,KIND: take it out."""
    key = _key(rest.partition(b";")[0])
    if key is None:
        return b""
    session.inserted.remove(key)
    return b"OK"


def features(session: Session) -> list[bytes]:
    wanted = {b"swbreak", b"hwbreak", b"ConditionalBreakpoints", b"BreakpointCommands"}
    return [name + b"+" for name in sorted(wanted)]


HANDLERS: dict[bytes, Handler] = {b"Z": insert, b"z": remove}
