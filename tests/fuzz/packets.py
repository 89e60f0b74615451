"""The packets of examples/packet: how they are made, and a model of the parser."""

from __future__ import annotations

from guestdbg.debugger import Guest, load
from guestdbg.fuzz import FuzzTarget
from tests.machine.guests import guest

#: What parse() returns.
COMPLETE, NO_PACKET, BAD_RECORD, BAD_NUMBER, TOO_DEEP, BAD_NAME, BAD_OPTION = range(7)
CRASH = -1
MAGIC = b"PKT1"
BUFFER = 512


def record(kind: str, data: bytes) -> bytes:
    return kind.encode() + bytes([len(data)]) + data


PLAIN = MAGIC + record("n", b"ab") + record("d", b"17") + record("e", b"")
#: The planted bug: an option before 'a'.
CRASHES = MAGIC + record("n", b"a") + record("o", b"5")


def packet_guest() -> Guest:
    return load(guest("packet"), console=None)


def packet_target(machine: Guest, **options: object) -> FuzzTarget:
    chosen: dict[str, object] = {"at": "parse", "input": "buffer,length"} | options
    return FuzzTarget(machine, **chosen)  # type: ignore[arg-type]


class Model:
    """What the parser should make of a packet."""

    def __init__(self) -> None:
        self.named = False

    def parse(self, packet: bytes) -> int:
        packet = packet[:BUFFER]
        if packet[:4] != MAGIC:
            return NO_PACKET
        return self._records(packet[4:], 0)

    def _records(self, data: bytes, level: int) -> int:
        if level >= 4:
            return TOO_DEEP
        while data:
            if len(data) < 2 or data[1] > len(data) - 2:
                return BAD_RECORD
            kind, value, data = data[0], data[2 : 2 + data[1]], data[2 + data[1] :]
            if kind == ord("e"):
                return BAD_RECORD if value else COMPLETE
            outcome = self._record(chr(kind), value, level)
            if outcome != COMPLETE:
                return outcome
        return COMPLETE

    def _record(self, kind: str, value: bytes, level: int) -> int:
        if kind == "n":
            if not 0 < len(value) < 24:
                return BAD_NAME
            self.named = value[0] != 0
            return COMPLETE
        if kind == "d":
            return COMPLETE if value.isdigit() and len(value) <= 9 else BAD_NUMBER
        if kind == "o":
            return self._options(value)
        return self._records(value, level + 1) if kind == "l" else BAD_RECORD

    def _options(self, value: bytes) -> int:
        if not self.named:
            return BAD_OPTION
        for option in value:
            if option < ord("a"):
                return CRASH
            if option > ord("d"):
                return BAD_OPTION
        return COMPLETE
