"""What client and server can do, acknowledgements, and being left alone.

Source: "Debugging with GDB", appendix E.2 and E.5 (general query packets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb import handlers
from guestdbg.gdb.errors import Refused
from guestdbg.gdb.packets import MAX_PACKET

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session


def supported(session: Session, rest: bytes) -> bytes:
    """qSupported: what the client can do, and what we can."""
    said = rest.removeprefix(b":").split(b";")
    session.client = frozenset(word.decode("ascii", "replace") for word in said if word)
    session.multiprocess = "multiprocess+" in session.client
    session.words = "error-message+" in session.client
    own = [b"PacketSize=%x" % (MAX_PACKET - 1), b"QStartNoAckMode+"]
    if session.multiprocess:
        own.append(b"multiprocess+")
    if session.words:
        own.append(b"error-message+")
    return b";".join(own + handlers.features(session))


def no_acknowledgements(session: Session, rest: bytes) -> bytes | None:
    """QStartNoAckMode: this packet is the last that is acknowledged."""
    if rest:
        raise Refused("QStartNoAckMode stands alone")
    session.acknowledged = False
    return b"OK"


def extended(session: Session, rest: bytes) -> bytes:
    """!: extended mode: the guest can be started anew."""
    session.extended = True
    return b"OK"


def must_be_empty(session: Session, rest: bytes) -> bytes:
    """vMustReplyEmpty: how a client finds out what we say to packets that we do not know."""
    return b""


def symbols_wanted(session: Session, rest: bytes) -> bytes:
    """qSymbol: the client offers to look up symbols; we have our own."""
    return b"OK"


HANDLERS: dict[bytes, handlers.Handler] = {
    b"qSupported": supported,
    b"QStartNoAckMode": no_acknowledgements,
    b"!": extended,
    b"vMustReplyEmpty": must_be_empty,
    b"qSymbol": symbols_wanted,
}
