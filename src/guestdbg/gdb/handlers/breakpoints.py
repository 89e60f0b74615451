"""Breakpoints and watchpoints: Z0 to Z4, z0 to z4.

Source: "Debugging with GDB", appendix E.2, "insert breakpoint or watchpoint".
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from guestdbg.gdb.agent import AgentError, parse_breakpoint_lists
from guestdbg.gdb.breakpoint_key import BreakpointKey
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number

if TYPE_CHECKING:
    from guestdbg.gdb.agent import BreakpointLists
    from guestdbg.gdb.session_state import Handler, SessionState

log = logging.getLogger(__name__)

FEATURES = (b"BreakpointCommands+", b"ConditionalBreakpoints+", b"hwbreak+", b"swbreak+")

_TYPES = b"01234"


def _parse_key(text: bytes) -> BreakpointKey | None:
    """The point that a packet names; None for a type that the server does not support."""
    kind, comma, rest = text.partition(b",")
    if len(kind) != 1 or kind not in _TYPES:
        return None
    address, comma, size = rest.partition(b",")
    if not comma:
        raise PacketError("Z is Z TYPE,ADDRESS,KIND")
    key = BreakpointKey(int(kind), parse_number(address), parse_number(size))
    if key.is_watch and not key.kind:
        raise PacketError("a watchpoint of 0 bytes: its length must be at least 1")
    return key


def insert(session: SessionState, rest: bytes) -> bytes:
    """Z TYPE,ADDRESS,KIND: insert a breakpoint (0, 1) or watchpoint (2 write, 3 read, 4 access).

    Conditions and commands may follow those of breakpoints.
    """
    where, semicolon, lists = rest.partition(b";")
    key = _parse_key(where)
    if key is None:
        return b""
    parsed = _parse_lists(key, semicolon + lists)
    try:
        session.breakpoints.insert(key, parsed)
    except PacketError as error:
        if not session.error_messages:
            # This client gets a number, and shows its user a guess at the cause. Say it here too.
            session.refused(error.text.splitlines()[0].rstrip(":"))
        raise
    return b"OK"


def _parse_lists(key: BreakpointKey, text: bytes) -> BreakpointLists:
    if text and key.is_watch:
        raise PacketError("a watchpoint with conditions or commands: only breakpoints have them")
    try:
        return parse_breakpoint_lists(text)
    except AgentError as error:
        log.warning("the breakpoint at %#x is refused: %s", key.address, error)
        raise


def remove(session: SessionState, rest: bytes) -> bytes:
    """z TYPE,ADDRESS,KIND: remove a breakpoint or watchpoint."""
    key = _parse_key(rest.partition(b";")[0])
    if key is None:
        return b""
    session.breakpoints.remove(key)
    return b"OK"


HANDLERS: dict[bytes, Handler] = {b"Z": insert, b"z": remove}
