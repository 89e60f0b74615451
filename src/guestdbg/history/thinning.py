"""Which snapshots of a run to do without: those that are close together for their distance from
its end."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

__all__ = ["thinned"]


class Placed(Protocol):
    """What a checkpoint has that decides how useful it is."""

    @property
    def retired(self) -> int: ...
    @property
    def after_write(self) -> bool: ...


def thinned(
    checkpoints: Sequence[Placed], leave_out: Callable[[int, int, int], bool]
) -> Iterator[int]:
    """Leave out the least useful ones, one after the other; their places are returned.

    What is least useful is that whose neighbours are closest together, for its distance from the
    last one: what remains is so much farther apart the longer ago it was. The first and the last
    one stay, and those at which the user had changed the guest.

    Args:
        checkpoints: in their order.
        leave_out: called with the place of the next one to go and the places of its neighbours,
            until it returns False: that one stays, and the rest does.
    """
    count = len(checkpoints)
    before, after = list(range(-1, count - 1)), list(range(1, count + 1))
    end = checkpoints[-1].retired

    def value(place: int) -> float:
        gap = checkpoints[after[place]].retired - checkpoints[before[place]].retired
        return gap / (end - checkpoints[place].retired + 1)

    candidates = [
        (value(place), place) for place in range(1, count - 1) if not checkpoints[place].after_write
    ]
    heapq.heapify(candidates)
    gone = bytearray(count)
    while candidates:
        worth, place = heapq.heappop(candidates)
        if gone[place]:
            continue
        now = value(place)
        if now != worth:  # a neighbour has gone since: it is more useful than it was
            heapq.heappush(candidates, (now, place))
            continue
        left, right = before[place], after[place]
        if not leave_out(place, left, right):
            return
        gone[place] = 1
        after[left], before[right] = right, left
        yield place
