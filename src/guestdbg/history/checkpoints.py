"""Snapshots of a run, within a memory budget: closer together where the run is now."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

from guestdbg.debugger.execution.snapshot import GuestSnapshot
from guestdbg.machine import Position

__all__ = ["Checkpoint", "CheckpointStore"]

#: Beside its pages, a snapshot has so many bytes at most: registers, TLBs, devices.
OVERHEAD = 64 << 10


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A snapshot of the run.

    Attributes:
        position: where it was taken.
        retired: how many instructions all vCPUs had retired.
        snapshot: the guest as it was.
        inputs: how many inputs had come in before.
        pc: of the vCPU of the position.
        after_write: the user of the debugger had changed the guest there: no earlier snapshot leads
            to what follows.
    """

    position: Position
    retired: int
    snapshot: GuestSnapshot
    inputs: int
    pc: int
    after_write: bool


class CheckpointStore:
    """The snapshots of a run, in their order.

    Args:
        budget: bytes that they may take.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._checkpoints: list[Checkpoint] = []
        #: Of each, the bytes of the pages that the one before it does not have.
        self._sizes: list[int] = []

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._checkpoints)

    def __len__(self) -> int:
        return len(self._checkpoints)

    def __getitem__(self, place: int) -> Checkpoint:
        return self._checkpoints[place]

    def add(self, checkpoint: Checkpoint) -> None:
        """Add one at the end."""
        self._checkpoints.append(checkpoint)
        self._sizes.append(self._size(len(self._checkpoints) - 1))

    def _size(self, place: int) -> int:
        own = self._checkpoints[place].snapshot.board.vm
        before = self._checkpoints[place - 1].snapshot.board.vm if place else None
        return OVERHEAD + own.memory_size_beside(before)

    def _remove(self, place: int) -> None:
        del self._checkpoints[place], self._sizes[place]
        if place < len(self._checkpoints):
            self._sizes[place] = self._size(place)

    def place_before(self, position: Position) -> int:
        """The place of the last one at ``position`` or before it; -1: there is none."""
        return bisect.bisect_right(self._checkpoints, position, key=attrgetter("position")) - 1

    def written_after(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """The first one after ``checkpoint`` at which the user had changed the guest."""
        start = 0 if checkpoint is None else self._place_of(checkpoint) + 1
        return next((c for c in self._checkpoints[start:] if c.after_write), None)

    def written_before(self, place: int) -> Checkpoint | None:
        """The last such one up to a place."""
        return next((c for c in self._checkpoints[place::-1] if c.after_write), None)

    def _place_of(self, checkpoint: Checkpoint) -> int:
        place = self.place_before(checkpoint.position)
        while place >= 0 and self._checkpoints[place] is not checkpoint:
            place -= 1
        return place

    def truncate(self, position: Position) -> None:
        """Forget those after ``position``."""
        kept = self.place_before(position) + 1
        del self._checkpoints[kept:], self._sizes[kept:]

    @property
    def memory_size(self) -> int:
        """Bytes that they take: pages that several of them have count once."""
        return sum(self._sizes)

    def fit(self) -> bool:
        """Keep within the budget; whether the beginning of the history was dropped for it."""
        dropped = False
        while self.memory_size > self.budget and len(self._checkpoints) > 1:
            place = self._least_useful()
            if place is None:
                place, dropped = 0, True
            self._remove(place)
        return dropped

    def _least_useful(self) -> int | None:
        """The one whose neighbours are closest together for their distance from the end.

        None: no one can be left out but the first.
        """
        all_ = self._checkpoints
        end = all_[-1].retired
        best: tuple[float, int] | None = None
        for place in range(1, len(all_) - 1):
            if all_[place].after_write:
                continue
            gap = all_[place + 1].retired - all_[place - 1].retired
            value = gap / (end - all_[place].retired + 1)
            if best is None or value < best[0]:
                best = value, place
        return None if best is None else best[1]
