"""Which vCPU of a guest ran how long, in its order."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence

from guestdbg.machine import Position

__all__ = ["Turns", "UpTo"]

#: No vCPU retires so many instructions.
_MOST = 1 << 62


class Turns:
    """The turns of a run: of each, the vCPU, and its instruction count at the end.

    Attributes:
        start: where the run begins.
        end: where it has come to: the end of the last turn.
    """

    def __init__(self, start: Position, counts: Sequence[int]) -> None:
        """``counts``: how many instructions each vCPU had retired at ``start``, by its place."""
        self.start = self.end = start
        self._counts = tuple(counts)
        self._vcpus = array("B")
        self._ends = array("Q")

    def append(self, end: Position) -> None:
        """The turn of this position ends there, and another one begins."""
        assert end.turn == self.start.turn + len(self._ends)
        self._vcpus.append(end.vcpu)
        self._ends.append(end.instructions)

    def of(self, turn: int) -> tuple[int, int] | None:
        """See ``RecordedTurns`` of the scheduler."""
        place = turn - self.start.turn
        if 0 <= place < len(self._ends):
            return self._vcpus[place], self._ends[place]
        return (self.end.vcpu, self.end.instructions) if turn == self.end.turn else None

    def last_pc(self) -> int | None:
        """Not known here."""
        return None

    def ended(self) -> None:
        """Nothing is to be done: who repeats the turns looks at what the guest does then."""

    def __len__(self) -> int:
        """How many are over."""
        return len(self._ends)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Of each that is over, its vCPU, and the instruction count of that at the end."""
        return zip(self._vcpus, self._ends, strict=True)

    @property
    def retired(self) -> int:
        """How many instructions all vCPUs had retired at ``end``."""
        counts = list(self._counts)
        for vcpu, instructions in (*self, (self.end.vcpu, self.end.instructions)):
            counts[vcpu] = instructions
        return sum(counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many instructions each vCPU had retired at ``start``, by its place."""
        return self._counts

    def adopt(self, turns: Iterable[tuple[int, int]], end: Position) -> None:
        """Have these turns after ``start``, and then one that goes on to ``end``.

        Raises:
            ValueError: a vCPU that there is not, or one that goes back.
        """
        counts = list(self._counts)
        vcpus, ends = array("B"), array("Q")
        for vcpu, instructions in (*turns, (end.vcpu, end.instructions)):
            if not 0 <= vcpu < len(counts):
                raise ValueError(f"a turn of vCPU {vcpu}, which there is not")
            if not counts[vcpu] <= instructions < _MOST:
                raise ValueError(
                    f"a turn of vCPU {vcpu} from {counts[vcpu]} to {instructions} instructions"
                )
            counts[vcpu] = instructions
            vcpus.append(vcpu)
            ends.append(instructions)
        if end.turn != self.start.turn + len(ends) - 1:
            raise ValueError(f"{len(ends)} turns from turn {self.start.turn} on to {end.turn}")
        self._vcpus, self._ends, self.end = vcpus[:-1], ends[:-1], end

    def truncate(self, end: Position) -> None:
        """Forget what came after ``end``."""
        del self._vcpus[max(0, end.turn - self.start.turn) :]
        del self._ends[max(0, end.turn - self.start.turn) :]
        self.end = end

    def forget(self, start: Position, counts: Sequence[int]) -> None:
        """Forget what came before ``start``, where the vCPUs had retired so many instructions."""
        count = start.turn - self.start.turn
        del self._vcpus[:count]
        del self._ends[:count]
        self.start, self._counts = start, tuple(counts)

    def before(self, position: Position) -> Position | None:
        """The position one instruction before, also in an earlier turn; None at ``start``."""
        for turn in range(position.turn, self.start.turn - 1, -1):
            here = position if turn == position.turn else self._end_of(turn)
            if here.instructions > self._start_of(here):
                return here._replace(instructions=here.instructions - 1)
        return None

    def back(self, position: Position, count: int) -> Position | None:
        """Where the vCPU of ``position`` had retired ``count`` instructions less.

        None: that is before ``start``.
        """
        target = position.instructions - count
        for turn in range(position.turn, self.start.turn - 1, -1):
            here = position if turn == position.turn else self._end_of(turn)
            if here.vcpu == position.vcpu and target >= self._start_of(here):
                return here._replace(instructions=target)
        return None

    def first(self, vcpu: int) -> Position | None:
        """Where a vCPU was when its first turn began; None: it has had none."""
        for turn in range(self.start.turn, self.end.turn + 1):
            here = self._end_of(turn)
            if here.vcpu == vcpu:
                return here._replace(instructions=self._counts[vcpu])
        return None

    def last(self, vcpu: int, before: Position) -> Position | None:
        """Where a vCPU is at ``before``: the end of its last turn, or that position.

        None: it has had no turn.
        """
        if before.vcpu == vcpu:
            return before
        for turn in range(before.turn - 1, self.start.turn - 1, -1):
            here = self._end_of(turn)
            if here.vcpu == vcpu:
                return here
        return None

    def _end_of(self, turn: int) -> Position:
        found = self.of(turn)
        assert found is not None
        return Position(turn, *found)

    def _start_of(self, position: Position) -> int:
        """The instruction count of a turn's vCPU when it began."""
        for place in range(position.turn - self.start.turn - 1, -1, -1):
            if self._vcpus[place] == position.vcpu:
                return self._ends[place]
        return self._counts[position.vcpu]

    @property
    def memory_size(self) -> int:
        """Bytes: nine for each turn, and what the arrays have allocated for more."""
        return sys.getsizeof(self._ends) + sys.getsizeof(self._vcpus)


class UpTo:
    """The turns up to a position."""

    def __init__(self, turns: Turns, end: Position) -> None:
        self._turns = turns
        self._end = end

    def of(self, turn: int) -> tuple[int, int] | None:
        """See ``RecordedTurns`` of the scheduler."""
        if turn < self._end.turn:
            return self._turns.of(turn)
        return (self._end.vcpu, self._end.instructions) if turn == self._end.turn else None

    def last_pc(self) -> int | None:
        """The guest is there as soon as it has retired so many instructions."""
        return None

    def ended(self) -> None:
        """The guest is there."""
