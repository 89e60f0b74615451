"""What is noted while a guest runs: inputs, turns, and snapshots at a distance."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from guestdbg.debugger import Guest
from guestdbg.history.checkpoints import Checkpoint, CheckpointStore
from guestdbg.history.errors import BudgetTooSmall
from guestdbg.history.turns import Turns
from guestdbg.machine import InputLog, Position, format_size

__all__ = ["Recorder"]

log = logging.getLogger(__name__)

#: Instructions from one snapshot to the next: at least, and at most.
MIN_DISTANCE = 10_000_000
MAX_DISTANCE = 1_000_000_000
#: The part of the time that snapshots may take.
_MOST_COST = 0.05
_LEAST_COST = 0.01


class Recorder:
    """Records the run of a guest: a ``Checkpoints`` of its scheduler.

    Args:
        guest: the guest.
        budget: bytes that the snapshots may take.
        may_write: called before the user changes the guest; it may raise an error.

    Attributes:
        inputs: what came in from outside.
        turns: which vCPU ran how long.
        checkpoints: snapshots of the run.
        due: when the next one is to be taken.
    """

    def __init__(self, guest: Guest, budget: int, may_write: Callable[[], object]) -> None:
        self._guest = guest
        self._may_write = may_write
        self.checkpoints = CheckpointStore(budget)
        self._distance = MIN_DISTANCE
        self._written = False
        self._taken_at = 0.0
        self._dropped = False
        board = guest.board
        self.inputs = InputLog()
        snapshot = guest.execution.snapshot()
        self.turns = Turns(board.position, snapshot.instructions)
        self._add(
            Checkpoint(board.position, sum(snapshot.instructions), snapshot, 0, guest.cpu.pc, True)
        )
        if self.checkpoints.memory_size > budget:
            raise BudgetTooSmall(
                f"a budget of {format_size(budget)} for history: one snapshot of this guest takes "
                f"{format_size(self.checkpoints.memory_size)} already; give more"
            )
        self.due = sum(snapshot.instructions) + self._distance
        self.resume()

    def resume(self) -> None:
        """Record from here on."""
        self._guest.execution.record(self, self._will_write)
        self._guest.board.inputs.listener = self.inputs.append
        self._guest.board.on_turn = self.turns.append
        self._taken_at = time.perf_counter()

    def pause(self) -> None:
        """Do not record what the guest does: it repeats what it did."""
        self._guest.execution.record(None, self._may_write)
        self._guest.board.inputs.listener = None
        self._guest.board.on_turn = None

    def stop(self) -> None:
        """Do not record any more."""
        self.pause()
        self._guest.execution.record(None, None)

    def _will_write(self) -> None:
        self._may_write()
        self._written = True
        # The next checkpoint is taken before the guest goes on.
        self.due = 0
        self._guest.execution.look_up()

    def take(self) -> None:
        """See ``Checkpoints`` of the scheduler."""
        began = time.perf_counter()
        snapshot = self._guest.execution.snapshot()
        position = self._guest.board.position
        self.turns.end = position
        retired = sum(snapshot.instructions)
        self._add(
            Checkpoint(
                position, retired, snapshot, len(self.inputs), self._guest.cpu.pc, self._written
            )
        )
        self._written = False
        if self.checkpoints.fit():
            self._beginning_dropped()
        cost = time.perf_counter() - began
        ran, self._taken_at = began - self._taken_at, began + cost
        if cost > _MOST_COST * ran and self._distance < MAX_DISTANCE:
            self._distance *= 2
        elif cost < _LEAST_COST * ran and self._distance > MIN_DISTANCE:
            self._distance //= 2
        self.due = retired + self._distance

    def _add(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.add(checkpoint)

    def _beginning_dropped(self) -> None:
        first = self.checkpoints[0]
        self.turns.forget(first.position, first.snapshot.instructions)
        if not self._dropped:
            self._dropped = True
            log.warning(
                "history begins at %s now, and moves on: its budget of %s is used up",
                first.position,
                format_size(self.checkpoints.budget),
            )

    def note_end(self) -> None:
        """The guest has stopped: the record goes as far as here."""
        self.turns.end = self._guest.board.position

    def truncate(self, position: Position, inputs: int) -> None:
        """Forget what came after ``position``, and after so many inputs."""
        self.checkpoints.truncate(position)
        self.turns.truncate(position)
        self.inputs.truncate_to(inputs)
        self._written = True  # the next checkpoint belongs to another future
        self.due = 0
