"""The remote serial protocol's framing: bytes to packets and back; no I/O, no session.

Source: "Debugging with GDB", appendix E.1 (overview: framing, checksum, escapes, run-length
encoding) and E.9 (Ctrl-C as the byte 0x03).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

__all__ = ["MAX_PACKET", "Damaged", "Decoder", "Event", "Mark", "Packet", "escape", "frame"]

#: The most that a packet may hold, unescaped and expanded; what ``PacketSize`` tells the client.
MAX_PACKET = 0x10000
# On the wire every byte of it may be escaped.
_MAX_WIRE = 2 * MAX_PACKET

_INTERRUPT, _DOLLAR, _HASH, _PLUS, _MINUS = 0x03, 0x24, 0x23, 0x2B, 0x2D
_ESCAPE, _REPEAT, _FLIP = 0x7D, 0x2A, 0x20
# A repeat count is a printable character: it says how many more, plus 29.
_LEAST_COUNT, _MOST_COUNT, _COUNT_BIAS = 0x20, 0x7E, 29

_SPECIAL = re.compile(rb"[#$*}]")
_ENDING = re.compile(rb"[#$]")
_CUT_OFF = "another packet begins within it"
_BETWEEN = re.compile(rb"[$\x03+-]")


class Mark(Enum):
    """What a client sends between packets."""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "Ctrl-C"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that arrived whole: what it says, unescaped and expanded."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """A packet that cannot be believed; ``why`` in words. It must be answered as not received."""

    why: str


Event = Packet | Damaged | Mark


class Decoder:
    """Takes the stream in whatever pieces it comes, and gives what is complete in it.

    Holds no more than one packet of the greatest size; a longer one is dropped as it comes in, and
    reported as damaged at its end.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes."""
        # One whole packet at a time is what a client sends nearly always.
        if not self._held and not self._dropping and data[:1] == b"$" and data[-3:-2] == b"#":
            body = data[1:-3]
            if b"#" not in body and b"$" not in body:
                return [_unframe(body, data[-2:])]
        held = self._held
        held += data
        events: list[Event] = []
        at = 0
        while True:
            if self._dropping:
                found = _ENDING.search(held, at)
                if found is None:
                    at = len(held)
                    break
                end = found.start()
                if held[end] == _DOLLAR:
                    self._dropping = False
                    at = end
                    events.append(Damaged(_CUT_OFF))
                    continue
                if len(held) < end + 3:
                    at = end
                    break
                self._dropping = False
                at = end + 3
                events.append(Damaged(f"it is longer than {MAX_PACKET} bytes"))
                continue
            found = _BETWEEN.search(held, at)
            if found is None:
                at = len(held)
                break
            at = found.start()
            byte = held[at]
            if byte != _DOLLAR:
                events.append(_MARKS[byte])
                at += 1
                continue
            end = held.find(b"#", at)
            again = held.rfind(b"$", at + 1, end if end >= 0 else len(held))
            if again >= 0:
                # No packet holds an unescaped "$": what came before it was cut off.
                events.append(Damaged(_CUT_OFF))
                at = again
            if end < 0:
                if len(held) - at > _MAX_WIRE:
                    self._dropping = True
                    at += 1
                    continue
                break
            if len(held) < end + 3:
                break
            events.append(_unframe(bytes(held[at + 1 : end]), bytes(held[end + 1 : end + 3])))
            at = end + 3
        del held[:at]
        return events


_MARKS = {_INTERRUPT: Mark.INTERRUPT, _PLUS: Mark.ACK, _MINUS: Mark.NAK}


def _unframe(body: bytes, digits: bytes) -> Packet | Damaged:
    try:
        said = int(digits, 16) if digits.isalnum() else -1
    except ValueError:
        said = -1
    if said < 0:
        return Damaged(f"its checksum is {digits!r}, and must be two hexadecimal digits")
    if sum(body) & 0xFF != said:
        return Damaged(f"its checksum is {said:02x}, and its bytes add up to {sum(body) & 255:02x}")
    if b"}" in body or b"*" in body:
        return _expand(body)
    if len(body) > MAX_PACKET:
        return Damaged(f"it is longer than {MAX_PACKET} bytes")
    return Packet(body)


def _expand(body: bytes) -> Packet | Damaged:
    """Undo escapes and run-length encoding."""
    out = bytearray()
    at, length = 0, len(body)
    while at < length:
        byte = body[at]
        at += 1
        if byte == _ESCAPE:
            if at == length:
                return Damaged("it ends in the middle of an escape")
            out.append(body[at] ^ _FLIP)
            at += 1
        elif byte == _REPEAT:
            if at == length:
                return Damaged("it ends in the middle of a run")
            count = body[at]
            at += 1
            if not out:
                return Damaged("it begins with a run, and there is nothing to repeat")
            if not _LEAST_COUNT <= count <= _MOST_COUNT:
                return Damaged(f"a run of {count:#04x}: counts are printable characters")
            out += out[-1:] * (count - _COUNT_BIAS)
        else:
            out.append(byte)
        if len(out) > MAX_PACKET:
            return Damaged(f"it is longer than {MAX_PACKET} bytes")
    return Packet(bytes(out))


def escape(data: bytes) -> bytes:
    """Binary data as it may stand in a packet."""
    return _SPECIAL.sub(lambda found: bytes((_ESCAPE, found[0][0] ^ _FLIP)), data)


def frame(payload: bytes) -> bytes:
    """A packet around ``payload``, which is escaped already where it needs to be."""
    return b"$%b#%02x" % (payload, sum(payload) & 0xFF)
