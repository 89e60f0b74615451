"""Whether a new connection is a debugger's, by the first bytes that it sends.

Everything on this machine can connect to a loopback port, a web page in a browser included. A page
chooses the body of a request, but not its first bytes, which are those of HTTP ("POST /"), TLS or
another protocol. A debugger begins with a packet of the remote serial protocol. Acknowledgements
and Ctrl-C may come before it. None of the bytes has an effect before that packet is complete.
"""

from __future__ import annotations

import re
from enum import Enum

from guestdbg.gdb.packets import Damaged, Decoder, Packet

__all__ = ["MAX_FIRST_BYTES", "FirstPacket", "judge"]

#: A connection that sends so many bytes without a whole packet is not a debugger's. The longest
#: first packet, GDB's qSupported, has a few hundred.
MAX_FIRST_BYTES = 8192

# "+", "-" and Ctrl-C are no packets. A packet's checksum follows "#".
_START = re.compile(rb"[+\-\x03]*")
_WHOLE = re.compile(rb"\$[^$#]*#..", re.DOTALL)
# The names of packets begin with these characters ("Debugging with GDB", appendix E.2).
_NAME = re.compile(rb"[A-Za-z?!_]")


class FirstPacket(Enum):
    """What the first bytes of a connection are.

    INCOMPLETE: no whole packet yet. DEBUGGER: a packet. FOREIGN: another protocol, or a packet that
    is damaged.
    """

    INCOMPLETE = "incomplete"
    DEBUGGER = "debugger"
    FOREIGN = "foreign"


def judge(data: bytes) -> FirstPacket:
    """Judge all bytes that a connection has sent so far."""
    start = _START.match(data)
    assert start is not None
    at = start.end()
    if data[at : at + 1] not in (b"", b"$"):
        return FirstPacket.FOREIGN
    whole = _WHOLE.match(data, at)
    if whole is None:
        # A second "$" before "#" means that the packet was cut off.
        cut_off = data.find(b"$", at + 1, data.find(b"#", at) if b"#" in data else len(data)) >= 0
        too_long = len(data) > MAX_FIRST_BYTES
        return FirstPacket.FOREIGN if cut_off or too_long else FirstPacket.INCOMPLETE
    event = Decoder().feed(whole[0])[0]
    assert isinstance(event, Packet | Damaged)
    if isinstance(event, Packet) and _NAME.match(event.data):
        return FirstPacket.DEBUGGER
    return FirstPacket.FOREIGN
