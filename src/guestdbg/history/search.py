"""The last and the next hit of points, before and after a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger import Condition, Recording
from guestdbg.history.waypoints import cuts
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Point, Stop
    from guestdbg.history.travel import Travel
    from guestdbg.history.waypoints import Waypoint
    from guestdbg.machine import Position

__all__ = ["Search"]

#: So many hits are passed over at most: more than any run has.
_ALL = 1 << 62
_COUNT = re.compile(r"\bcount\b")


class _Counted:
    """A point whose hits are counted, or which stops at one of them; then it is as it was before.

    Without a condition of its own it gets one of its count, which the provider evaluates if it can:
    none of the hits that are passed over is an exit then.
    """

    def __init__(self, point: Point) -> None:
        self.point = point
        self._before = (point.ignore, point.hits, point.seen)
        self._unavailable = (point.unavailable, point.why_unavailable)
        self._when = point.when
        self._handler = point.handler
        self._by_condition = point.when is None and not isinstance(point, Recording)
        if not isinstance(point, Recording):
            point.handler = None  # each hit stops the guest

    @property
    def begins_anywhere(self) -> bool:
        """Whether its hits are the same from wherever the history is repeated."""
        when = self._when
        if isinstance(self.point, Recording):
            return False
        return when is None or (isinstance(when, Condition) and _COUNT.search(when.text) is None)

    def count(self) -> None:
        """Count hits from here on, and do not stop at any."""
        self._stop_after(_ALL)

    @property
    def counted(self) -> int:
        """How many there were."""
        return self.point.seen if self._by_condition else self.point.hits

    def stop_at(self, number: int) -> None:
        """Stop at the hit with this number, counted from here on from 1."""
        self._stop_after(number - 1)

    def stop_at_each(self) -> None:
        """Stop at each hit from here on."""
        self.point.hits = self.point.seen = self.point.ignore = 0
        if self._by_condition:
            self.point.when = None

    def _stop_after(self, hits: int) -> None:
        self.point.hits = self.point.seen = 0
        if self._by_condition:
            self.point.ignore = 0
            self.point.when = f"count == {hits + 1}"
        else:
            self.point.ignore = hits

    def restore(self) -> None:
        """Have the point as it was before."""
        if self._by_condition:
            self.point.when = self._when
        self.point.ignore, self.point.hits, self.point.seen = self._before
        self.point.unavailable, self.point.why_unavailable = self._unavailable
        if not isinstance(self.point, Recording):
            self.point.handler = self._handler


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the history that was repeated, and the hits in it.

    Attributes:
        begin: the waypoint or the place of the checkpoint where it begins.
        end: where it ends.
        found: of those that were hit, how often.
    """

    begin: int | Waypoint
    end: Position
    found: dict[_Counted, int]


class Search:
    """Finds hits of a guest's points in its history, by repeating parts of it.

    Hits are counted first, in an interval between two checkpoints; then the guest is stopped at the
    last of them. Snapshots are kept in between, closer together towards the end of the interval:
    the second run, and the search for the hit before that, start from one of them.
    """

    def __init__(self, guest: Guest, travel: Travel) -> None:
        self._guest = guest
        self._travel = travel

    def last(
        self, points: Sequence[Point], before: Position, after: Position | None = None
    ) -> Stop | None:
        """Put the guest to the last hit of one of ``points`` before a position (and ``after`` one).

        Returns its Stop, or None: there was none, and the guest is somewhere in its past.
        """
        travel = self._travel
        travel.leave_present()
        previous = travel.recorder.turns.before(before)
        if previous is None:
            return None
        with _counting(points) as counted:
            place = travel.checkpoint_before(previous)
            begin = self._begin(counted, place, previous, at=True)
            parts = self._count(counted, begin, previous, keep=True)
            # The last instruction by itself: what it hits is at ``before``, and not before it.
            stop = self._last_step(counted, parts[-1].begin, previous, before)
            if stop is None:
                stop = self._last_of(counted, parts)
            if stop is None:
                stop = self._last_from(counted, place, self._position(begin), after)
        if stop is not None and after is not None:
            assert stop.time is not None
            return stop if after < stop.time.position else None
        return stop

    def last_access(self, watches: Sequence[Point], end: Position) -> Stop | None:
        """The same for accesses that have been made at ``end``, those of the last instruction too.

        Where the guest may not go on, at the end of its history, they can be asked for too.
        """
        with _counting(watches) as counted:
            return self._last_from(counted, self._travel.checkpoint_before(end), end)

    def _begin(
        self, counted: Sequence[_Counted], place: int, end: Position, *, at: bool
    ) -> int | Waypoint:
        """Where to begin, to look for hits before ``end``; or ``at`` it, to be there.

        A condition that counts, or that does what it likes, is evaluated from the checkpoint on.
        """
        if not all(each.begins_anywhere for each in counted):
            return place
        return self._travel.begin_before(place, end, at=at)

    def _position(self, begin: int | Waypoint) -> Position:
        if isinstance(begin, int):
            return self._travel.recorder.checkpoints[begin].position
        return begin.position

    def _last_from(
        self,
        counted: Sequence[_Counted],
        place: int,
        end: Position,
        after: Position | None = None,
    ) -> Stop | None:
        """The last hit up to ``end``, from the checkpoint at ``place`` on or before that.

        Waypoints are kept in the first interval only: most of those before it have no hits.
        """
        first = place
        while place >= 0 and (after is None or after < end):
            begin = self._begin(counted, place, end, at=False)
            start = self._position(begin)
            if start < end:
                stop = self._last_of(counted, self._count(counted, begin, end, keep=place == first))
                if stop is not None:
                    return stop
            end = start
            if isinstance(begin, int):
                place -= 1
        return None

    def _last_step(
        self, counted: Sequence[_Counted], begin: int | Waypoint, start: Position, end: Position
    ) -> Stop | None:
        """The last hit at ``start``, where the guest is, and before ``end``, an instruction later.

        ``begin`` is before ``start``, or there.
        """
        found = 0
        for each in counted:
            each.stop_at_each()
        while self._stops_again(end, start):
            found += 1
        if not found:
            return None
        # One too many was looked for: the guest has to be at the last one.
        self._travel.put_at(begin)
        for each in counted:
            each.count()
        self._travel.run_to(start)
        for each in counted:
            each.stop_at_each()
        stop: Stop | None = None
        for _ in range(found):
            stop = self._travel.run_to(end)
        return stop

    def _stops_again(self, end: Position, start: Position) -> bool:
        stop = self._travel.run_to(end)
        return stop is not None and stop.reason == "hit" and self._guest.board.position == start

    def _count(
        self, counted: Sequence[_Counted], begin: int | Waypoint, end: Position, *, keep: bool
    ) -> list[_Part]:
        """Go from ``begin`` to ``end``, and count the hits on the way.

        ``keep``: waypoints are kept, and there is a part from each to the next.
        """
        travel = self._travel
        travel.put_at(begin)
        for each in counted:
            each.count()
        parts: list[_Part] = []
        before: dict[_Counted, int] = {}
        if keep and all(each.begins_anywhere for each in counted):
            for cut in cuts(travel.recorder.turns, self._position(begin), end):
                if travel.run_to(cut) is not None:
                    break
                waypoint = travel.keep_waypoint() if self._guest.board.position == cut else None
                if waypoint is not None:
                    parts.append(_Part(begin, cut, _since(counted, before)))
                    before = {each: each.counted for each in counted}
                    begin = waypoint
        travel.run_to(end)
        parts.append(_Part(begin, end, _since(counted, before)))
        return parts

    def _last_of(self, counted: Sequence[_Counted], parts: Sequence[_Part]) -> Stop | None:
        """Go to the last hit in parts of the history; None: there are none."""
        part = next((part for part in reversed(parts) if part.found), None)
        if part is None:
            return None
        travel, found = self._travel, part.found
        travel.put_at(part.begin)
        for each in counted:
            each.stop_at(found.get(each, _ALL))
        waiting = {each.point.number for each in found}
        stop: Stop | None = None
        while waiting:
            stop = travel.run_to(part.end)
            if stop is None or not stop.hits:
                raise ReplayError(f"a hit that was counted before {part.end} did not come again")
            waiting -= {hit.point.number for hit in stop.hits}
        return stop

    def next(self, points: Sequence[Point], end: Position) -> Stop | None:
        """Let the guest go on to the next hit of one of ``points``, up to ``end``."""
        with _counting(points) as counted:
            for each in counted:
                each.stop_at_each()
            return self._travel.run_to(end)


def _since(counted: Sequence[_Counted], before: dict[_Counted, int]) -> dict[_Counted, int]:
    """How many hits there were since there were so many before; those of which there were some."""
    found = {each: each.counted - before.get(each, 0) for each in counted}
    return {each: hits for each, hits in found.items() if hits}


@contextmanager
def _counting(points: Sequence[Point]) -> Iterator[list[_Counted]]:
    counted: list[_Counted] = []
    try:
        for point in points:
            counted.append(_Counted(point))
        yield counted
    finally:
        for each in counted:
            each.restore()
