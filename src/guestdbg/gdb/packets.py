"""The framing of the remote serial protocol: bytes to packets and back, without I/O.

Source: "Debugging with GDB", appendix E.1 (overview: framing, checksum, escapes, run-length
encoding) and E.9 (Ctrl-C as the byte 0x03).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from zlib import adler32

__all__ = [
    "MAX_PACKET",
    "Damaged",
    "Decoder",
    "Mark",
    "Packet",
    "PacketEvent",
    "checksum",
    "escape",
    "frame",
]

#: The longest packet in bytes, after escapes and runs are expanded; ``PacketSize`` is one less.
MAX_PACKET = 0x10000
# On the wire every byte may be escaped.
_MAX_WIRE = 2 * MAX_PACKET

_INTERRUPT, _DOLLAR, _HASH, _PLUS, _MINUS = 0x03, 0x24, 0x23, 0x2B, 0x2D
_ESCAPE, _REPEAT, _ESCAPE_XOR = 0x7D, 0x2A, 0x20
# A repeat count is a printable character: the number of further copies, plus 29.
_MIN_COUNT, _MAX_COUNT, _COUNT_BIAS = 0x20, 0x7E, 29

# The lower half of Adler-32 is the sum of the bytes modulo 65521: for so many bytes the sum itself.
_EXACT = 256

_SPECIAL = re.compile(rb"[#$*}]")
_END_OR_START = re.compile(rb"[#$]")
_CUT_OFF = "another packet begins inside it"
_START_OR_MARK = re.compile(rb"[$\x03+-]")


class Mark(Enum):
    """What a client sends between packets."""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "Ctrl-C"


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet that arrived undamaged; ``data`` is its content, unescaped and expanded."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Damaged:
    """A packet that arrived damaged, and must be answered with NAK; ``reason`` says how."""

    reason: str


PacketEvent = Packet | Damaged | Mark


class Decoder:
    """Splits a stream, which may arrive in pieces of any size, into packets and marks.

    It buffers at most one packet of the greatest size. A longer one is dropped as it arrives, and
    reported as damaged at its end.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[PacketEvent]:
        """The packets and marks that ``data`` completes, in order."""
        # Fast path: nearly always a client sends exactly one whole packet.
        if not self._buffer and not self._dropping and data[:1] == b"$" and data[-3:-2] == b"#":
            body = data[1:-3]
            if b"#" not in body and b"$" not in body:
                return [_unframe(body, data[-2:])]
        buffer = self._buffer
        buffer += data
        events: list[PacketEvent] = []
        at = 0
        while True:
            if self._dropping:
                found = _END_OR_START.search(buffer, at)
                if found is None:
                    at = len(buffer)
                    break
                end = found.start()
                if buffer[end] == _DOLLAR:
                    self._dropping = False
                    at = end
                    events.append(Damaged(_CUT_OFF))
                    continue
                if len(buffer) < end + 3:
                    at = end
                    break
                self._dropping = False
                at = end + 3
                events.append(Damaged(f"it is longer than {MAX_PACKET} bytes"))
                continue
            found = _START_OR_MARK.search(buffer, at)
            if found is None:
                at = len(buffer)
                break
            at = found.start()
            byte = buffer[at]
            if byte != _DOLLAR:
                events.append(_MARKS[byte])
                at += 1
                continue
            end = buffer.find(b"#", at)
            again = buffer.rfind(b"$", at + 1, end if end >= 0 else len(buffer))
            if again >= 0:
                # "$" is always escaped within a packet: the packet before it was cut off.
                events.append(Damaged(_CUT_OFF))
                at = again
            if end < 0:
                if len(buffer) - at > _MAX_WIRE:
                    self._dropping = True
                    at += 1
                    continue
                break
            if len(buffer) < end + 3:
                break
            events.append(_unframe(bytes(buffer[at + 1 : end]), bytes(buffer[end + 1 : end + 3])))
            at = end + 3
        del buffer[:at]
        return events


_MARKS = {_INTERRUPT: Mark.INTERRUPT, _PLUS: Mark.ACK, _MINUS: Mark.NAK}


def _unframe(body: bytes, digits: bytes) -> Packet | Damaged:
    try:
        written = int(digits, 16) if digits.isalnum() else -1
    except ValueError:
        written = -1
    if written < 0:
        return Damaged(f"its checksum is {digits!r}, and must be two hexadecimal digits")
    actual = checksum(body)
    if actual != written:
        return Damaged(f"its checksum is {written:02x}, and the sum of its bytes is {actual:02x}")
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
                return Damaged("it ends inside an escape sequence")
            out.append(body[at] ^ _ESCAPE_XOR)
            at += 1
        elif byte == _REPEAT:
            if at == length:
                return Damaged("it ends inside a run")
            count = body[at]
            at += 1
            if not out:
                return Damaged("it begins with a run: there is no byte to repeat")
            if not _MIN_COUNT <= count <= _MAX_COUNT:
                return Damaged(
                    f"the count of a run is {count:#04x}, which is not a printable character"
                )
            out += out[-1:] * (count - _COUNT_BIAS)
        else:
            out.append(byte)
        if len(out) > MAX_PACKET:
            return Damaged(f"it is longer than {MAX_PACKET} bytes")
    return Packet(bytes(out))


def escape(data: bytes) -> bytes:
    """Binary data with escapes for the bytes that a packet cannot contain as they are."""
    return _SPECIAL.sub(lambda found: bytes((_ESCAPE, found[0][0] ^ _ESCAPE_XOR)), data)


def frame(payload: bytes) -> bytes:
    """The packet with this payload, which must be escaped already."""
    return b"$%b#%02x" % (payload, checksum(payload))


def checksum(data: bytes) -> int:
    """The sum of the bytes, modulo 256."""
    if len(data) <= _EXACT:
        return sum(data) & 0xFF
    # A tenth of the time of sum(), for replies that are kilobytes of memory.
    parts = range(0, len(data), _EXACT)
    return sum([adler32(data[at : at + _EXACT], 0) & 0xFFFF for at in parts]) & 0xFF
