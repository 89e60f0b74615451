"""Snapshots of a run, within a memory budget: closer together where the run is now."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from guestdbg.history.thinning import thinned

if TYPE_CHECKING:
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.machine import Position

__all__ = ["Checkpoint", "CheckpointStore"]

#: When snapshots are left out, this part of the budget is freed, so that it is not done each time.
_SLACK = 16
#: What a checkpoint takes beside its snapshot, and the lists that it is in.
_OVERHEAD = 512


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


_position = attrgetter("position")


class CheckpointStore:
    """The snapshots of a run, in their order.

    Args:
        budget: bytes that they may take, with all else that is kept of the run.

    Attributes:
        memory_size: bytes that they take: what several of them have counts once.
        others: bytes that all else takes.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.memory_size = 0
        self.others = 0
        self._checkpoints: list[Checkpoint] = []
        #: Of each, the bytes that the one before it does not have.
        self._sizes: list[int] = []
        #: Those at which the user had changed the guest.
        self._written: list[Checkpoint] = []

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._checkpoints)

    def __len__(self) -> int:
        return len(self._checkpoints)

    def __getitem__(self, place: int) -> Checkpoint:
        return self._checkpoints[place]

    def add(self, checkpoint: Checkpoint) -> None:
        """Add one at the end."""
        before = self._checkpoints[-1] if self._checkpoints else None
        size = _size(checkpoint, before)
        self._checkpoints.append(checkpoint)
        self._sizes.append(size)
        self.memory_size += size
        if checkpoint.after_write:
            self._written.append(checkpoint)

    def insert(self, checkpoint: Checkpoint) -> None:
        """Add one at its place. The user had not changed the guest there."""
        place = self.place_before(checkpoint.position) + 1
        before = self._checkpoints[place - 1] if place else None
        size = _size(checkpoint, before)
        self._checkpoints.insert(place, checkpoint)
        self._sizes.insert(place, size)
        self.memory_size += size
        if place + 1 < len(self._sizes):
            following = _size(self._checkpoints[place + 1], checkpoint)
            self.memory_size += following - self._sizes[place + 1]
            self._sizes[place + 1] = following

    # ---- finding them ------------------------------------------------------------------------

    def place_before(self, position: Position) -> int:
        """The place of the last one at ``position`` or before it; -1: there is none."""
        return bisect.bisect_right(self._checkpoints, position, key=_position) - 1

    def written_after(self, checkpoint: Checkpoint | None) -> Checkpoint | None:
        """The first one after ``checkpoint`` at which the user had changed the guest.

        ``checkpoint`` is such a one itself, or None: the first of all.
        """
        written = self._written
        if checkpoint is None:
            return written[0] if written else None
        place = bisect.bisect_left(written, checkpoint.position, key=_position)
        at = place
        while at < len(written) and written[at].position == checkpoint.position:
            at += 1
            if written[at - 1] is checkpoint:
                return written[at] if at < len(written) else None
        return written[place] if place < len(written) else None  # it is not here any more

    def written_before(self, place: int) -> Checkpoint | None:
        """The last such one up to a place."""
        here = self._checkpoints[place]
        if here.after_write:
            return here
        at = bisect.bisect_right(self._written, here.position, key=_position) - 1
        while at >= 0 and self._written[at].position == here.position:
            if self._place_of(self._written[at]) < place:
                break
            at -= 1
        return self._written[at] if at >= 0 else None

    def _place_of(self, checkpoint: Checkpoint) -> int:
        place = self.place_before(checkpoint.position)
        while self._checkpoints[place] is not checkpoint:
            place -= 1
        return place

    # ---- keeping within the budget -----------------------------------------------------------

    def truncate(self, position: Position) -> None:
        """Forget those after ``position``."""
        kept = self.place_before(position) + 1
        self.memory_size -= sum(self._sizes[kept:])
        del self._checkpoints[kept:], self._sizes[kept:]
        self._written = [c for c in self._checkpoints if c.after_write]

    def clear(self) -> None:
        """Forget all of them."""
        self.memory_size = 0
        self._checkpoints.clear()
        self._sizes.clear()
        self._written.clear()

    def room_for(self, size: int) -> bool:
        """Whether so many bytes fit in beside all that is kept."""
        return self.memory_size + self.others + size <= self.budget

    def thin_out(self, size: int = 0) -> None:
        """Leave snapshots out, but not the first nor the last, so that so many bytes fit in."""
        if self.room_for(size):
            return
        sizes, all_ = self._sizes, self._checkpoints
        room = self.budget - self.others - size
        room -= min(self.budget // _SLACK, max(0, room) // 2)

        def leave_out(place: int, before: int, after: int) -> bool:
            if self.memory_size <= room:
                return False
            following = _size(all_[after], all_[before])
            self.memory_size -= sizes[place] + sizes[after] - following
            sizes[after] = following
            return True

        gone = set(thinned(all_, leave_out))
        self._checkpoints = [c for place, c in enumerate(all_) if place not in gone]
        self._sizes = [s for place, s in enumerate(sizes) if place not in gone]

    def drop_first(self) -> None:
        """Forget the first one: the history begins at the second."""
        first, following = self._checkpoints[0], self._checkpoints[1]
        size = _size(following, None)
        self.memory_size -= self._sizes[0] + self._sizes[1] - size
        self._sizes[1] = size
        del self._checkpoints[0], self._sizes[0]
        if first.after_write:
            del self._written[0]


def _size(checkpoint: Checkpoint, before: Checkpoint | None) -> int:
    """Bytes of a checkpoint that the one before it does not have."""
    return _OVERHEAD + checkpoint.snapshot.size_beside(None if before is None else before.snapshot)
