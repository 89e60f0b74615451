"""Snapshots on the way to a place in the past, for those who look for something before it next.

They come closer together towards that place: who goes back from hit to hit repeats little then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.history.aside import Aside
    from guestdbg.history.checkpoints import Checkpoint
    from guestdbg.history.turns import Turns
    from guestdbg.machine import Position

__all__ = ["Waypoint", "Waypoints", "cuts"]

#: Instructions from the last waypoint to the end of an interval, and how much farther from there
#: each one before is.
_LAST = 32_000
_RATIO = 4
#: So many are kept.
_MOST = 24
#: They take at most this part of the budget: checkpoints and what is set aside need room too.
_PART = 8


@dataclass(frozen=True, slots=True, eq=False)
class Waypoint:
    """A snapshot inside the interval between two checkpoints.

    Attributes:
        aside: the guest as it was; it has a snapshot.
        inputs: how many inputs had come in before.
        written: the last checkpoint before at which the user had changed the guest.
        retired: how many instructions all vCPUs had retired.
    """

    aside: Aside
    inputs: int
    written: Checkpoint | None
    retired: int

    @property
    def position(self) -> Position:
        """Where it was taken."""
        return self.aside.time.position


_position = attrgetter("position")


class Waypoints:
    """Those that are kept, in their order; as long as the guest stays in its past."""

    def __init__(self) -> None:
        self._all: list[Waypoint] = []

    def __len__(self) -> int:
        return len(self._all)

    def between(self, after: Position, position: Position, *, at: bool) -> Waypoint | None:
        """The last one after ``after`` and before ``position``, or ``at`` it."""
        find = bisect_right if at else bisect_left
        place = find(self._all, position, key=_position) - 1
        found = self._all[place] if place >= 0 else None
        return found if found is not None and found.position > after else None

    def add(self, waypoint: Waypoint, budget: int) -> list[Waypoint]:
        """Keep one; those that are given up for it are the farthest from there, or itself."""
        self._all.insert(bisect_right(self._all, waypoint.position, key=_position), waypoint)
        gone = []
        size = sum(each.aside.size for each in self._all)
        while len(self._all) > _MOST or size > budget // _PART:
            farthest = max(self._all, key=lambda each: abs(each.retired - waypoint.retired))
            self._all.remove(farthest)
            size -= farthest.aside.size
            gone.append(farthest)
        return gone

    def drop(self) -> list[Waypoint]:
        """Keep none; returns what was kept."""
        gone, self._all = self._all, []
        return gone


def cuts(turns: Turns, start: Position, end: Position) -> Iterator[Position]:
    """Where waypoints are useful between two positions, in their order."""
    found = []
    distance = _LAST
    while True:
        # Beyond it there is to be as much as between it and the end, or it saves little.
        twice = turns.back(end, 2 * distance)
        if twice is None or twice < start:
            break
        cut = turns.back(end, distance)
        if cut is not None:
            found.append(cut)
        distance *= _RATIO
    return reversed(found)
