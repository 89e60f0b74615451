"""Which cases are done, and which are next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

__all__ = ["CaseNumbers", "Schedule"]

#: How long a task is meant to take, in seconds: long enough that its way costs little, short enough
#: that progress is seen and little is lost.
_TASK_SECONDS = 0.25
_MOST_IN_TASK = 1024
#: Into how many parts a task is split whose worker has died.
_PARTS = 16
#: So many cases are run alone before the others go on.
_SUSPECTS = 16


class CaseNumbers:
    """A set of numbers of cases, a bit for each."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self._count = 0

    def add(self, number: int) -> bool:
        """Add a number. Returns whether it is new."""
        place, bit = number >> 3, 1 << (number & 7)
        if place >= len(self._bits):
            self._bits += bytes(max(place + 1 - len(self._bits), len(self._bits) // 2))
        if self._bits[place] & bit:
            return False
        self._bits[place] |= bit
        self._count += 1
        return True

    def __contains__(self, number: int) -> bool:
        place = number >> 3
        return place < len(self._bits) and bool(self._bits[place] & 1 << (number & 7))

    def __len__(self) -> int:
        return self._count


class Schedule:
    """Deals out the numbers that are not done, in their order, in tasks of a useful length.

    Args:
        cases: how many there are; None: there is no end.
        done: those that are done already.
    """

    def __init__(self, cases: int | None, done: CaseNumbers) -> None:
        self._cases = cases
        self._done = done
        self._next = 0
        self._again: deque[Sequence[int]] = deque()
        self._suspects: deque[int] = deque()
        self._alone: int | None = None
        self._size = 1

    def next(self, width: int, pending: int) -> Sequence[int]:
        """The numbers of the next task; none: there are none now.

        ``width``: tasks at a time; ``pending``: how many have not come back.
        """
        if self._alone is not None:
            return ()
        if self._again:
            return self._again.popleft()
        if self._suspects and (self._next == self._cases or len(self._suspects) >= _SUSPECTS):
            if pending:
                return ()
            self._alone = self._suspects.popleft()
            return (self._alone,)
        size = self._size
        if self._cases is not None:
            left = self._cases - self._next
            size = max(1, min(size, left // (2 * width)))
        numbers: list[int] = []
        while len(numbers) < size and (self._cases is None or self._next < self._cases):
            if self._next not in self._done:
                numbers.append(self._next)
            self._next += 1
        return numbers

    def took(self, cases: int, seconds: float) -> None:
        """So many cases have taken so long."""
        self._alone = None
        each = max(seconds / cases, 1e-7)
        # At most twice the size: the first cases of a worker take longer than others.
        self._size = max(1, min(int(_TASK_SECONDS / each), 2 * self._size, _MOST_IN_TASK))

    def again(self, numbers: Sequence[int]) -> None:
        """These were dealt out, and were not run."""
        self._alone = None
        self._again.appendleft(numbers)

    def died(self, numbers: Sequence[int]) -> int | None:
        """A worker has died in one of these, so they are run again, in smaller tasks.

        Some executors blame each task that the worker had. So a case that is left is run with no
        other task at all: if a worker dies then, too, it is the case. Returns its number.
        """
        if self._alone is not None:
            fatal, self._alone = self._alone, None
            return fatal
        if len(numbers) == 1:
            self._suspects.extend(numbers)
        else:
            self._again.extendleft(reversed(list(_split(numbers))))
        return None


def _split(numbers: Sequence[int]) -> Iterable[Sequence[int]]:
    size = -(-len(numbers) // _PARTS)
    return (numbers[at : at + size] for at in range(0, len(numbers), size))
