"""Steps back over calls, out of a function, and by source line: those of the guest, reversed.

A line begins, as for steps forwards, where its code is entered at the start of a row of the line
table from another line, or by a call. It is gone back to there, also out of a loop within it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.instructions import InstructionClass, classify, is_call
from guestdbg.debugger import NoDebugInfo, Unsupported
from guestdbg.history.errors import HistoryInterrupted
from guestdbg.history.frame_walk import FrameWalk, Way

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Point, Stop
    from guestdbg.history.frame_walk import Instruction
    from guestdbg.history.search import Search
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["ReverseSteps"]

_AT_BEGIN = "the beginning of the history"


class _Line(NamedTuple):
    """Where a row of a line table starts, and of which line of which function it is."""

    start: int
    file: str
    line: int
    function: str | None

    def is_line_of(self, other: _Line) -> bool:
        return self[1:] == other[1:]


class ReverseSteps:
    """The steps back of one guest's current vCPU.

    A point that is hit on the way back ends a step, as it does forwards.

    Args:
        guest: the guest.
        travel: moves it.
        search: finds hits.
        position: where its current vCPU had its last turn.
    """

    def __init__(self, guest: Guest, travel: Travel, search: Search, position: Position) -> None:
        self._guest = guest
        self._travel = travel
        self._search = search
        self._position = position
        self._place = guest.execution.current
        self._lines: dict[int, _Line | None] = {}

    # ---- the steps ---------------------------------------------------------------------------

    def instruction(self) -> Stop:
        """One instruction back; the handler of an exception that has returned as a whole.

        The points are left alone.
        """
        travel, context = self._travel, self._guest.execution.vcpus[self._place]
        here = travel.now
        previous = travel.recorder.turns.back(self._position, 1)
        if previous is not None:
            travel.goto(previous)
            raw = context.instruction(context.cpu.pc)
            if raw is None or classify(raw) is not InstructionClass.EXCEPTION_RETURN:
                return self._stop()
            travel.goto(here.position, here.pc)
        return self._go(lambda walk: None if walk.back(_always) is None else walk.at, ())

    def accesses(self, points: Sequence[Point]) -> Stop | None:
        """The Stop at the hits of the last instruction, without moving the guest; None: no hits."""
        travel = self._travel
        previous = travel.recorder.turns.back(self._position, 1)
        if previous is None:
            return None
        with travel.elsewhere(), self._guest.execution.only(None):
            try:
                for point in points:
                    point.enabled = True
                travel.goto(previous)
                stop = self._search.next(points, self._position)
            finally:
                for point in points:
                    point.enabled = False
        self._guest.execution.select(self._place)
        return stop if stop is not None and stop.hits else None

    def over(self) -> Stop:
        """One instruction back; a call together with all that it called."""
        return self._go(self._over)

    def out(self) -> Stop:
        """Back to the call after which the current function returns. See ``History``."""
        guest = self._guest
        context = guest.execution.vcpus[self._place]
        here = context.locate(context.cpu.pc).outermost
        frames = context.backtrace(context.cpu.pc, 2, here)
        if len(frames) < 2:
            raise Unsupported(
                f"{frames[0].location} has no caller that is known: neither call frame information "
                "nor a frame record leads to one"
            )
        caller = frames[1]
        raw = context.instruction(caller.pc - 4)
        if raw is None or not is_call(raw):
            raise Unsupported(
                f"{frames[0].location} was not called: the instruction before {caller.pc:#x}, to "
                "which it returns, is no call"
            )
        return self._go(lambda walk: walk.at if walk.to_call(caller.pc, caller.sp) else None)

    def line(self, *, into: bool) -> Stop:
        """Back to the beginning of a source line. See ``History``."""
        pc = self._guest.cpu.pc
        if self._line(pc) is None:
            raise NoDebugInfo(f"no line of source is known for {self._guest.locate(pc)}")
        return self._go(lambda walk: self._begin_of_line(walk, into))

    # ---- where they lead to ------------------------------------------------------------------

    def _over(self, walk: FrameWalk) -> Instruction | None:
        return None if walk.back(_never) is None else walk.at

    def _begin_of_line(self, walk: FrameWalk, into: bool) -> Instruction | None:
        """The last beginning of a line before; None: it is not in the history."""
        here = walk.at
        begin: Instruction | None = None
        while True:
            current = walk.at
            line = self._line(current.pc)
            if current is not here and line is not None and line.start == current.pc:
                begin = current
            way = walk.back(self._has_line if into else _never)
            if way is None or (begin is not None and way is Way.OUT):
                return begin
            # What follows a call in its line is no beginning, unless a row starts there.
            before = line if way is Way.IN else self._line(walk.at.pc)
            if begin is current and way is Way.IN:
                return begin
            if begin is not None and before is not None:
                found = self._line(begin.pc)
                if found is None or not found.is_line_of(before):
                    return begin
            if way is Way.IN:
                begin = None

    def _line(self, pc: int) -> _Line | None:
        if pc not in self._lines:
            self._lines[pc] = self._find_line(pc)
        return self._lines[pc]

    def _find_line(self, pc: int) -> _Line | None:
        for image in self._guest.images:
            row = image.lines.at(pc)
            if row is not None:
                function = self._guest.locate(pc).outermost.function
                return _Line(row.start, row.file, row.line, function)
        return None

    def _has_line(self, pc: int) -> bool:
        return self._line(pc) is not None

    # ---- going there -------------------------------------------------------------------------

    def _go(
        self,
        find: Callable[[FrameWalk], Instruction | None],
        points: Sequence[Point] | None = None,
    ) -> Stop:
        """``points``: those that stop it on the way; None: all that are enabled."""
        travel, here = self._travel, self._travel.now
        try:
            return self._find_and_go(find, points)
        except HistoryInterrupted:
            travel.goto(here.position, here.pc)
            self._guest.execution.select(self._place)
            return self._guest.execution.stop("interrupt")

    def _find_and_go(
        self, find: Callable[[FrameWalk], Instruction | None], points: Sequence[Point] | None
    ) -> Stop:
        guest, travel = self._guest, self._travel
        with travel.elsewhere(), guest.execution.only(None):
            walk = FrameWalk(guest, travel, self._search, self._place, self._position)
            found = find(walk)
        if points is None:
            points = [p for p in guest.points if p.enabled]
        if points:
            after = None if found is None else found.position
            stop = self._search.last(points, travel.now.position, after)
            if stop is not None:
                return stop
        if found is None:
            travel.goto(travel.begin)
            return guest.execution.stop("history", _AT_BEGIN)
        travel.goto(found.position, found.pc)
        return self._stop()

    def _stop(self) -> Stop:
        self._guest.execution.select(self._place)
        return self._guest.execution.stop("step")


def _never(pc: int) -> bool:
    return False


def _always(pc: int) -> bool:
    return True
