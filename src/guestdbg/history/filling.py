"""Snapshots of a run that was recorded elsewhere, taken when it is repeated for the first time.

A file has none of them but the first, and those after changes by the user. Without others, each way
back would begin at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestdbg.history.checkpoints import Checkpoint
from guestdbg.history.recorder import MIN_DISTANCE

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.history.recorder import Recorder

__all__ = ["Filling"]

#: At most so many snapshots are taken.
_MOST = 100


class Filling:
    """Takes them: a ``Checkpoints`` of the scheduler.

    Args:
        guest: the guest, which repeats its run.
        recorder: what is known of the run.
        inputs_given: how many inputs had come in before where the guest is.

    Attributes:
        due: when the next one is to be taken.
    """

    def __init__(self, guest: Guest, recorder: Recorder, inputs_given: Callable[[], int]) -> None:
        self._guest = guest
        self._recorder = recorder
        self._inputs_given = inputs_given
        self._on = True
        begin = sum(recorder.turns.counts)
        self._distance = max(MIN_DISTANCE, (recorder.turns.retired - begin) // _MOST)
        self.due = begin + self._distance

    @contextmanager
    def off(self) -> Iterator[None]:
        """None are taken inside a ``with`` block: the places of checkpoints stay as they are."""
        before, self._on = self._on, False
        try:
            yield
        finally:
            self._on = before

    def put(self, retired: int) -> None:
        """The guest was put to where it had retired so many instructions."""
        self.due = retired + self._distance

    def stopped(self) -> None:
        """Nothing that happens between runs matters here."""

    def take(self) -> None:
        """See ``Checkpoints`` of the scheduler. There may be one near here already."""
        recorder, position = self._recorder, self._guest.board.position
        retired = self._guest.execution.retired()
        self.due = retired + self._distance
        before = recorder.checkpoints[recorder.checkpoints.place_before(position)]
        if not self._on or before.position == position:
            return
        if retired - before.retired < self._distance:
            self.due = before.retired + self._distance
            return
        if recorder.has_room(before):
            snapshot = self._guest.execution.snapshot()
            pc, inputs = self._guest.execution.now.pc, self._inputs_given()
            recorder.checkpoints.insert(
                Checkpoint(position, retired, snapshot, inputs, pc, after_write=False)
            )
