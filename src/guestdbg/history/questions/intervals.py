"""Parts of a history between two checkpoints: each can be repeated by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.history.errors import OutsideHistory

if TYPE_CHECKING:
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["Interval", "check_interval", "intervals"]


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened after ``start`` up to ``end``, from the checkpoint at ``place`` on.

    No other checkpoint lies between ``start`` and ``end``, so the user of the debugger has changed
    nothing there.
    """

    place: int
    start: Position
    end: Position


def check_interval(travel: Travel, start: Position, end: Position) -> None:
    """Raise OutsideHistory for an interval that is not in the history, or ends before it starts."""
    if start > end:
        raise OutsideHistory(
            f"the interval begins at {start}, which is after its end, {end}: the earlier time "
            "comes first"
        )
    for position in (start, end):
        travel.checkpoint_before(position)


def intervals(travel: Travel, start: Position, end: Position) -> Iterator[Interval]:
    """The parts of an interval, in their order; none if it is empty."""
    checkpoints = travel.recorder.checkpoints
    place = travel.checkpoint_before(start)
    while start < end:
        after = checkpoints[place + 1].position if place + 1 < len(checkpoints) else end
        stop = min(after, end)
        if start < stop:
            yield Interval(place, start, stop)
        start = max(start, stop)
        place += 1
