"""A model of the protocol's framing, byte by byte as in its manual, independent of the server's.

Source: "Debugging with GDB", appendix E.1.
"""

from __future__ import annotations

from collections.abc import Iterable

#: The content of a packet, a mark, or a damaged packet. ``("cut", ...)``: a packet began inside
#: another.
FramingEvent = tuple[str, bytes]

_HEX = b"0123456789abcdefABCDEF"


class Model:
    """Takes one byte after the other. ``most``: the most bytes in a packet, expanded."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._body: bytearray | None = None
        self._digits: bytearray | None = None
        self.events: list[FramingEvent] = []

    def feed(self, data: Iterable[int]) -> None:
        for byte in data:
            self._byte(byte)

    def _byte(self, byte: int) -> None:
        if self._body is None:
            if byte == ord("$"):
                self._body = bytearray()
            elif byte in b"+-\x03":
                self.events.append(("mark", bytes((byte,))))
        elif self._digits is not None:
            self._digits.append(byte)
            if len(self._digits) == 2:
                self.events.append(self._whole(bytes(self._body), bytes(self._digits)))
                self._body = self._digits = None
        elif byte == ord("#"):
            self._digits = bytearray()
        elif byte == ord("$"):
            self.events.append(("cut", b""))
            self._body = bytearray()
        else:
            self._body.append(byte)

    def _whole(self, body: bytes, digits: bytes) -> FramingEvent:
        if any(digit not in _HEX for digit in digits) or sum(body) % 256 != int(digits, 16):
            return ("damaged", b"")
        said = bytearray()
        rest = iter(body)
        for byte in rest:
            if byte in b"}*":
                following = next(rest, None)
                if following is None:
                    return ("damaged", b"")
                if byte == ord("}"):
                    said.append(following ^ 0x20)
                    continue
                if not said or not 32 <= following <= 126:
                    return ("damaged", b"")
                said += said[-1:] * (following - 29)
            else:
                said.append(byte)
        return ("packet", bytes(said)) if len(said) <= self._most else ("damaged", b"")


def plain(events: Iterable[FramingEvent]) -> list[FramingEvent]:
    """The events without repeated "cut": how often one packet is cut depends on the pieces."""
    found: list[FramingEvent] = []
    for one in events:
        if one[0] != "cut" or not found or found[-1][0] != "cut":
            found.append(one)
    return found
