"""Repeating a part of the history with points installed, and what they have seen.

``repeat`` is given plain values and returns plain values, which can be sent to another process that
has the guest's checkpoints: nothing here depends on what was asked before.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from guestdbg.debugger import STOP
from guestdbg.debugger.errors import AddressError
from guestdbg.errors import GuestdbgError
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind
    from guestdbg.debugger import Guest, Hit, Point, Recording
    from guestdbg.history.questions.intervals import Interval
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["ROW", "AccessQuery", "Arrival", "CodeQuery", "Found", "repeat", "repeat_from_here"]

#: turn, instructions, pc, address, old, new, number, vCPU, size, access, written, device, padding.
ROW = struct.Struct("<QQQQQQQHHBBBx")
_ACCESS = {"read": 1, "write": 2, "readwrite": 3}
_U64 = (1 << 64) - 1
#: Words of a record before its registers.
_WORDS = 7
_DEVICE, _VCPU = 17, 32


@dataclass(frozen=True, slots=True)
class AccessQuery:
    """Which accesses are looked for: the arguments of ``guest.watch``, and how many at most.

    ``seen`` is how many hits there were before, for conditions with a count.
    """

    where: Any
    length: int | None
    access: AccessKind
    options: dict[str, Any] = field(default_factory=dict)
    limit: int = 0
    seen: int = 0


@dataclass(frozen=True, slots=True)
class CodeQuery:
    """Which instructions are looked for: addresses, and which registers are kept of each arrival.

    ``names``: variables of the code there, whose values are kept too.
    """

    addresses: tuple[int, ...]
    registers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    limit: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A vCPU is about to execute an instruction.

    ``variables`` has values of ``CodeQuery.names``, or why there is none, as text.
    """

    position: Position
    pc: int
    registers: tuple[int, ...]
    variables: tuple[tuple[bool, Any], ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What one query has found in an interval.

    Attributes:
        rows: accesses, as ``ROW``.
        arrivals: of a ``CodeQuery``.
        seen: how many hits there were, those included for which the condition was false.
        first, last: the watched bytes at the start and at the end; None: they could not be read,
            or there are too many of them.
        full: the limit was reached: there may be more.
    """

    rows: bytes = b""
    arrivals: tuple[Arrival, ...] = ()
    seen: int = 0
    first: bytes | None = None
    last: bytes | None = None
    full: bool = False


#: Values of so many bytes are kept at the start and at the end.
_VALUE_BYTES = 8


class _Turns:
    """When the turns of a part of a run ended, as numbers of records at those times."""

    def __init__(self, guest: Guest, recording: Recording) -> None:
        self._guest = guest
        self._recording = recording
        self._counts: list[int] = []
        self._ends: list[int] = []

    def ended(self, end: Position) -> None:
        """A turn is over; the records that were made in it have been taken over."""
        count = len(self._recording)
        if not self._counts or self._counts[-1] != count:
            self._counts.append(count)
            self._ends.append(end.turn)

    def of(self, number: int) -> int:
        """The turn of a record."""
        place = bisect_right(self._counts, number)
        return self._ends[place] if place < len(self._ends) else self._guest.board.turn


class _Recorded:
    """A recording, whose records become rows."""

    def __init__(self, guest: Guest, query: AccessQuery) -> None:
        self._point = guest.record(
            query.where, query.length, query.access, limit=query.limit or None, **query.options
        )
        self._point.seen = query.seen
        self._turns = _Turns(guest, self._point)
        self.turn_ended = self._turns.ended

    @property
    def point(self) -> Point:
        return self._point

    def found(self) -> Found:
        """The rows, in their order."""
        rows = bytearray()
        total = len(self._point)
        words = self._point.data().cast("B").cast("Q")
        # The other words of a record are the task of a Linux guest.
        stride = len(words) // total if total else 0
        for n in range(total):
            at = n * stride
            pc, address, old, new, instructions, bits, count = words[at : at + _WORDS]
            turn = self._turns.of(n)
            size, access, vcpu = bits & 0xFF, bits >> 8 & 3, bits >> _VCPU & 0xFFFF
            written, device = bits >> 16 & 1, bits >> _DEVICE & 1
            rows += ROW.pack(
                *(turn, instructions, pc, address, old, new if written else 0, count, vcpu),
                *(size, access, written, device),
            )
        return Found(bytes(rows), seen=self._point.seen, full=self._point.limit_reached)


class _Watched:
    """A watch of more bytes than a record has: of each hit the bytes that were accessed.

    An access to several doublewords has a row for each.
    """

    def __init__(self, guest: Guest, query: AccessQuery) -> None:
        self._guest = guest
        self._limit = query.limit
        self._rows = bytearray()
        self._full = False
        self._point = guest.watch(query.where, query.length, query.access, **query.options)
        self._point.seen = query.seen
        self._point(self._hit)

    @property
    def point(self) -> Point:
        return self._point

    def turn_ended(self, end: Position) -> None:
        """Nothing: a hit has its position."""

    def _hit(self, hit: Hit) -> Any:
        turn, vcpu, instructions = self._guest.board.position
        old, new = hit.old_bytes or b"", hit.new_bytes
        start, end = hit.address, hit.address + hit.size
        at = start
        while at < end:
            after = min(end, (at | 7) + 1)
            part = slice(at - start, after - start)
            self._rows += ROW.pack(
                *(turn, instructions, hit.pc, at),
                int.from_bytes(old[part], "little"),
                0 if new is None else int.from_bytes(new[part], "little"),
                *(self._point.seen, vcpu, after - at, _ACCESS[hit.access]),
                *(new is not None, hit.device is not None),
            )
            at = after
        if self._limit and len(self._rows) >= self._limit * ROW.size:
            self._full = True
            return STOP
        return None

    def found(self) -> Found:
        """The rows, in their order."""
        return Found(bytes(self._rows), seen=self._point.seen, full=self._full)


class _Executed:
    """Breakpoints, and what is kept of each arrival."""

    def __init__(self, guest: Guest, query: CodeQuery) -> None:
        self._guest = guest
        self._query = query
        self._arrivals: list[Arrival] = []
        self._full = False
        self._points = []
        try:
            for address in query.addresses:
                point = guest.break_(address, kind="hardware", **query.options)
                self._points.append(point)
                point(self._hit)
        except BaseException:
            self.delete()
            raise

    def delete(self) -> None:
        for point in self._points:
            point.delete()

    def turn_ended(self, end: Position) -> None:
        """Nothing: a hit has its position."""

    def _hit(self, hit: Hit) -> Any:
        query = self._query
        self._arrivals.append(
            Arrival(
                self._guest.board.position,
                hit.pc,
                tuple(map(hit.vcpu.reg, query.registers)),
                tuple(_variable(hit, name) for name in query.names),
            )
        )
        if query.limit and len(self._arrivals) >= query.limit:
            self._full = True
            return STOP
        return None

    def found(self) -> Found:
        """The arrivals, in their order."""
        seen = sum(point.seen for point in self._points)
        return Found(arrivals=tuple(self._arrivals), seen=seen, full=self._full)


def _variable(hit: Hit, name: str) -> tuple[bool, Any]:
    """A variable's value as Python has it; or why it has none, as text."""
    if not name:
        return False, "the parameter has no name"
    try:
        return True, hit[name].value_()
    except (GuestdbgError, ValueError, LookupError, TypeError) as error:
        return False, str(error)


def repeat(
    guest: Guest,
    travel: Travel,
    interval: Interval,
    query: AccessQuery | CodeQuery,
) -> Found:
    """Repeat a part of the history with the points of a query installed; what they have seen.

    The guest is somewhere in its past then, and no point may be armed before. Hits of the
    instruction at ``interval.end`` do not belong to it.

    Raises what ``guest.watch`` and ``guest.break_`` raise; ReplayError if the guest does not do
    what it did.
    """
    travel.put_at_checkpoint(interval.place)
    if interval.start > travel.recorder.checkpoints[interval.place].position:
        travel.run_to(interval.start)
    return repeat_from_here(guest, travel, interval, query)


def repeat_from_here(
    guest: Guest, travel: Travel, interval: Interval, query: AccessQuery | CodeQuery
) -> Found:
    """The same, for a guest that has come to ``interval.start``. Raises the same."""
    for context in guest.execution.vcpus:
        # What was at a breakpoint of the user's when the checkpoint was taken arrives here anew.
        context.resume_state.needs_step_over = None
    if isinstance(query, CodeQuery):
        return _repeat_code(guest, travel, interval, query)
    data = guest.resolve(query.where, query.length).sized()
    assert data.length is not None
    scalar = data.length in (1, 2, 4, 8)
    value = (data.address, data.length if data.length <= _VALUE_BYTES else 0)
    first = _read(guest, *value)
    installed = _Recorded(guest, query) if scalar else _Watched(guest, query)
    with ExitStack() as stack:
        stack.callback(installed.point.delete)
        full = _run(guest, travel, interval.end, installed.turn_ended)
        found = installed.found()
    last = None if full else _read(guest, *value)
    return Found(found.rows, (), found.seen - query.seen, first, last, found.full)


def _repeat_code(guest: Guest, travel: Travel, interval: Interval, query: CodeQuery) -> Found:
    installed = _Executed(guest, query)
    try:
        _run(guest, travel, interval.end, installed.turn_ended)
        return installed.found()
    finally:
        installed.delete()


def _run(
    guest: Guest, travel: Travel, end: Position, turn_ended: Callable[[Position], object]
) -> bool:
    """Repeat up to a position; whether a query has had enough before."""
    board = guest.board
    board.on_turn = turn_ended
    try:
        stop = travel.run_to(end)
    finally:
        board.on_turn = None
    if stop is None:
        return False
    if stop.reason != "hit":
        if board.position == end:
            return False  # it powers off there
        raise ReplayError(f"the guest has stopped on the way to {end}: {stop}")
    return True


def _read(guest: Guest, address: int, length: int) -> bytes | None:
    if not length:
        return None
    try:
        return guest.read(address, length)
    except AddressError:
        return None
