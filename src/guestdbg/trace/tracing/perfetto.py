"""A trace in Perfetto's form: ``protos/perfetto/trace`` of https://perfetto.dev."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.trace.tracing.protobuf import field_bytes, field_text, field_varint, varint
from guestdbg.trace.tracing.slices import CLOCK

if TYPE_CHECKING:
    from guestdbg.trace.tracing.slices import Details

__all__ = ["PerfettoForm"]

# Fields of TracePacket.
_TIMESTAMP, _SEQUENCE, _EVENT, _INTERNED, _FLAGS, _DESCRIPTOR = 8, 10, 11, 12, 13, 60
# Fields of TrackDescriptor, and of CounterDescriptor.
_UUID, _NAME, _PARENT, _COUNTER, _ORDERING, _MERGE = 1, 2, 5, 8, 11, 15
_UNIT, _TIME_NS = 3, 1
# Fields of TrackEvent.
_ANNOTATION, _TYPE, _NAME_IID, _TRACK, _EVENT_NAME, _COUNTER_VALUE = 4, 9, 10, 11, 23, 30
_BEGIN, _END, _INSTANT, _COUNT = 1, 2, 3, 4
# Fields of DebugAnnotation.
_UINT, _INT, _TEXT, _ANNOTATION_NAME = 3, 4, 6, 10
# Fields of InternedData, and of EventName.
_EVENT_NAMES, _IID, _NAME_OF_IID = 2, 1, 2

_PACKET_TAG = varint(1 << 3 | 2)
_TIME_TAG = varint(_TIMESTAMP << 3)

#: Of all packets of a file, and whether they begin anew with interned names, or use them.
_SEQUENCE_ID = field_varint(_SEQUENCE, 1)
_CLEARED, _NEEDED = field_varint(_FLAGS, 1), field_varint(_FLAGS, 2)
#: Names that a reader has to remember.
_MOST_NAMES = 1 << 15
_MOST_ENDINGS = 1 << 17
#: Numbers of tracks are of a whole trace: those of files that are joined must not be the same.
_UUIDS = int.from_bytes(b"guestdbg") >> 1 & ~0xFFFFFFFF


class PerfettoForm:
    """Makes packets of slices; a file that ends after any of them is complete.

    The timestamps, which viewers take for nanoseconds, are instructions. The guest's own time is
    a counter.
    """

    tail = b""
    #: Perfetto's viewer has no limit of its own.
    limit = None

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._names: dict[str, int] = {}
        # What the packets of a slice end with, after their time: the same for many.
        self._begins: dict[tuple[int, str], bytes] = {}
        self._ends: dict[int, bytes] = {}

    def taken(self) -> bytes:
        """The packets that have been made since."""
        found = b"".join(self._pieces)
        self._pieces.clear()
        return found

    def track(self, number: int, name: str, parent: int | None) -> None:
        """See SliceFile."""
        track = field_varint(_UUID, _UUIDS + number) + field_text(_NAME, name)
        if parent is not None:
            track += field_varint(_PARENT, _UUIDS + parent)
        # In the order in which they begin, and tracks of one name apart.
        track += field_varint(_ORDERING, 2) + field_varint(_MERGE, 2)
        if name == CLOCK:
            track += field_bytes(_COUNTER, field_varint(_UNIT, _TIME_NS))
        self._add(_SEQUENCE_ID + field_bytes(_DESCRIPTOR, track))

    def begin(self, track: int, time: int, name: str, details: Details) -> None:
        """See SliceFile."""
        if details:
            event = field_varint(_TRACK, _UUIDS + track) + field_varint(_TYPE, _BEGIN)
            event += field_varint(_NAME_IID, self._interned(name))
            self._event(time, event + _annotations(details))
            return
        ending = self._begins.get((track, name))
        if ending is None:
            event = field_varint(_TRACK, _UUIDS + track) + field_varint(_TYPE, _BEGIN)
            event += field_varint(_NAME_IID, self._interned(name))
            if len(self._begins) >= _MOST_ENDINGS:
                self._begins.clear()
            ending = self._begins[track, name] = _with_sequence(event)
        self._add(_TIME_TAG + varint(time) + ending)

    def end(self, track: int, time: int) -> None:
        """See SliceFile."""
        ending = self._ends.get(track)
        if ending is None:
            event = field_varint(_TRACK, _UUIDS + track) + field_varint(_TYPE, _END)
            ending = self._ends[track] = _with_sequence(event)
        self._add(_TIME_TAG + varint(time) + ending)

    def instant(self, track: int, time: int, name: str, details: Details) -> None:
        """See SliceFile."""
        event = field_varint(_TRACK, _UUIDS + track) + field_varint(_TYPE, _INSTANT)
        self._event(time, event + field_text(_EVENT_NAME, name) + _annotations(details))

    def counter(self, track: int, time: int, value: int) -> None:
        """See SliceFile."""
        event = field_varint(_TRACK, _UUIDS + track) + field_varint(_TYPE, _COUNT)
        self._event(time, event + field_varint(_COUNTER_VALUE, value))

    def _event(self, time: int, event: bytes) -> None:
        self._add(_TIME_TAG + varint(time) + _with_sequence(event))

    def _interned(self, name: str) -> int:
        """The number of a name, which readers of this file know from here on."""
        number = self._names.get(name)
        if number is None:
            flags = _NEEDED
            if not self._names or len(self._names) >= _MOST_NAMES:
                self._names.clear()
                self._begins.clear()
                flags = _CLEARED
            number = self._names[name] = len(self._names) + 1
            interned = field_varint(_IID, number) + field_text(_NAME_OF_IID, name)
            names = field_bytes(_INTERNED, field_bytes(_EVENT_NAMES, interned))
            self._add(_SEQUENCE_ID + flags + names)
        return number

    def _add(self, packet: bytes) -> None:
        self._pieces.append(_PACKET_TAG + varint(len(packet)) + packet)


def _with_sequence(event: bytes) -> bytes:
    return field_bytes(_EVENT, event) + _SEQUENCE_ID + _NEEDED


def _annotations(details: Details) -> bytes:
    found = []
    for name, value in details:
        detail = field_text(_ANNOTATION_NAME, name)
        if isinstance(value, str):
            detail += field_text(_TEXT, value)
        elif 0 <= value < 1 << 64:
            detail += field_varint(_UINT, value)
        elif -1 << 63 <= value < 0:
            detail += field_varint(_INT, value)
        else:
            detail += field_text(_TEXT, str(value))
        found.append(field_bytes(_ANNOTATION, detail))
    return b"".join(found)
