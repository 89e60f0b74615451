"""The last and the next hit of points, before and after a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from guestdbg.debugger import Guest, Point, Recording, Stop
from guestdbg.history.travel import Travel
from guestdbg.machine import Position, ReplayError

__all__ = ["Search"]

#: So many hits are passed over at most: more than any run has.
_ALL = 1 << 62


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


class Search:
    """Finds hits of a guest's points in its history, by repeating parts of it.

    An interval between two checkpoints is repeated twice: hits are counted first, and then the
    guest is stopped at the last of them.
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
            # The last instruction by itself: what it hits is at ``before``, and not before it.
            stop = self._last_step(counted, place, previous, before)
            if stop is None:
                stop = self._last_from(counted, place, previous, after)
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

    def _last_from(
        self,
        counted: Sequence[_Counted],
        place: int,
        end: Position,
        after: Position | None = None,
    ) -> Stop | None:
        """The last hit up to ``end``, from the checkpoint at ``place`` on or before that."""
        checkpoints = self._travel.recorder.checkpoints
        while place >= 0 and (after is None or after < end):
            if checkpoints[place].position < end:
                stop = self._last_between(counted, place, end)
                if stop is not None:
                    return stop
            end = checkpoints[place].position
            place -= 1
        return None

    def _last_step(
        self, counted: Sequence[_Counted], place: int, start: Position, end: Position
    ) -> Stop | None:
        """The last hit at ``start`` and before ``end``, an instruction later."""
        found = 0
        self._run_to_start(counted, place, start)
        while self._stops_again(end, start):
            found += 1
        if not found:
            return None
        # One too many was looked for: the guest has to be at the last one.
        self._run_to_start(counted, place, start)
        stop: Stop | None = None
        for _ in range(found):
            stop = self._travel.run_to(end)
        return stop

    def _stops_again(self, end: Position, start: Position) -> bool:
        stop = self._travel.run_to(end)
        return stop is not None and stop.reason == "hit" and self._guest.board.position == start

    def _run_to_start(self, counted: Sequence[_Counted], place: int, start: Position) -> None:
        self._travel.put_at_checkpoint(place)
        for each in counted:
            each.count()
        self._travel.run_to(start)
        for each in counted:
            each.stop_at_each()

    def _last_between(self, counted: Sequence[_Counted], place: int, end: Position) -> Stop | None:
        """The last hit from a checkpoint on, up to ``end``."""
        travel = self._travel
        travel.put_at_checkpoint(place)
        for each in counted:
            each.count()
        travel.run_to(end)
        found = {each: each.counted for each in counted if each.counted}
        if not found:
            return None
        travel.put_at_checkpoint(place)
        for each in counted:
            each.stop_at(found.get(each, _ALL))
        waiting = {each.point.number for each in found}
        stop: Stop | None = None
        while waiting:
            stop = travel.run_to(end)
            if stop is None or not stop.hits:
                raise ReplayError(f"a hit that was counted before {end} did not come again")
            waiting -= {hit.point.number for hit in stop.hits}
        return stop

    def next(self, points: Sequence[Point], end: Position) -> Stop | None:
        """Let the guest go on to the next hit of one of ``points``, up to ``end``."""
        with _counting(points) as counted:
            for each in counted:
                each.stop_at_each()
            return self._travel.run_to(end)


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
