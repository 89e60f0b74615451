"""The features of client and server, acknowledgements, extended mode.

Source: "Debugging with GDB", appendix E.2 and E.5 (general query packets).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packets import MAX_PACKET

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import Handler, SessionState


def supported(session: SessionState, rest: bytes) -> bytes:
    """qSupported[:FEATURE;...]: the client's features; the reply has the server's."""
    words = rest.removeprefix(b":").split(b";")
    session.negotiate(word.decode("ascii", "replace") for word in words if word)
    features = [b"PacketSize=%x" % (MAX_PACKET - 1), b"QStartNoAckMode+"]
    if session.multiprocess:
        features.append(b"multiprocess+")
    if session.error_messages:
        features.append(b"error-message+")
    return b";".join(features + session.server_features())


def start_no_ack_mode(session: SessionState, rest: bytes) -> bytes | None:
    """QStartNoAckMode: this packet is the last one that is acknowledged."""
    if rest:
        raise PacketError("QStartNoAckMode has no arguments")
    session.acknowledges = False
    return b"OK"


def extended_mode(session: SessionState, rest: bytes) -> bytes:
    """!: extended mode, in which the guest can be started again."""
    session.extended = True
    return b"OK"


def must_reply_empty(session: SessionState, rest: bytes) -> bytes:
    """vMustReplyEmpty: the client tests how the server replies to unknown packets."""
    return b""


def symbol_lookup(session: SessionState, rest: bytes) -> bytes:
    """qSymbol: the client offers to look up symbols; the server needs none."""
    return b"OK"


HANDLERS: dict[bytes, Handler] = {
    b"qSupported": supported,
    b"QStartNoAckMode": start_no_ack_mode,
    b"!": extended_mode,
    b"vMustReplyEmpty": must_reply_empty,
    b"qSymbol": symbol_lookup,
}
