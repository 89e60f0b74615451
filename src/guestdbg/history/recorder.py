"""What is noted while a guest runs: inputs, turns, and snapshots at a distance."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.history.aside import Aside
from guestdbg.history.checkpoints import Checkpoint, CheckpointStore
from guestdbg.history.errors import BudgetTooSmall
from guestdbg.history.recorded_inputs import RecordedInputs
from guestdbg.history.turns import Turns
from guestdbg.kvm import SupportsRepeatedRuns
from guestdbg.machine import format_size

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.execution.scheduler import Checkpoints
    from guestdbg.history.recorded_run import RecordedRun
    from guestdbg.machine import Input, Position

__all__ = ["Recorder"]

log = logging.getLogger(__name__)

#: Instructions from one snapshot to the next: at least, and at most.
MIN_DISTANCE = 10_000_000
MAX_DISTANCE = 1_000_000_000
#: The part of the time that snapshots take where the distance allows it.
_COST = 0.05
#: What a turn takes, and an input beside its data, with what arrays allocate for more.
_TURN_SIZE = 10
_INPUT_SIZE = 40
#: Inputs and turns may take this part of the budget: then the beginning of the history is dropped.
_LOG_PART = 2
#: Before they have used up the budget, a snapshot is taken: this part of it remains for what comes
#: until that happens.
_LOG_RESERVE = 32


class Recorder:
    """Records the run of a guest: a ``Checkpoints`` of its scheduler.

    Args:
        guest: the guest.
        budget: bytes that all of it may take.
        may_write: called before the user changes the guest; it may raise an error.

    Attributes:
        inputs: what came in from outside.
        turns: which vCPU ran how long.
        checkpoints: snapshots of the run.
        branches: how often its end was forgotten, for another one.
        due: when the next one is to be taken.
    """

    def __init__(self, guest: Guest, budget: int, may_write: Callable[[], object]) -> None:
        self._guest = guest
        self._may_write = may_write
        self.checkpoints = CheckpointStore(budget)
        self.branches = 0
        self._distance = MIN_DISTANCE
        self._written = False
        #: When the guest went on from the last snapshot, in the thread's processor time, which the
        #: load of the host does not change, and in instructions; and what one costs of that time.
        self._taken_at, self._retired_at, self._cost = 0.0, 0, 0.0
        self._dropped = False
        #: Bytes of the snapshots that are no checkpoints: of where the guest is put back to.
        self._aside = 0
        #: Bytes that inputs and turns have taken since the last snapshot, and may take until the
        #: next.
        self._log_growth = self._log_room = 0
        board = guest.board
        self.inputs = RecordedInputs()
        snapshot = guest.execution.snapshot()
        self.turns = Turns(board.position, snapshot.instructions)
        self._add(
            Checkpoint(
                board.position,
                sum(snapshot.instructions),
                snapshot,
                0,
                guest.execution.now.pc,
                True,
            )
        )
        #: What a snapshot takes beside the guest's memory, about.
        self._state_size = self.checkpoints.memory_size - snapshot.memory_size
        if self.memory_size > budget:
            raise BudgetTooSmall(self._too_small(self.memory_size))
        self._note_room()
        self.due = sum(snapshot.instructions) + self._distance
        self.resume()

    @property
    def memory_size(self) -> int:
        """Bytes that all of it takes."""
        return self.checkpoints.memory_size + self._others

    @property
    def _others(self) -> int:
        """Bytes of all that is no checkpoint."""
        return self.turns.memory_size + self.inputs.memory_size + self._aside

    @property
    def changed(self) -> bool:
        """Whether the user has changed the guest since it stopped where it is."""
        return self._written

    def resume(self) -> None:
        """Record from here on."""
        self._guest.execution.record(self, self._will_write)
        self._guest.board.inputs.listener = self._note_input
        self._guest.board.on_turn = self._note_turn
        self._taken_at = time.thread_time()
        self._retired_at = self._guest.execution.retired()

    def pause(self) -> None:
        """Do not record what the guest does: it repeats what it did."""
        self._guest.execution.record(None, self._may_write)
        self._guest.board.inputs.listener = None
        self._guest.board.on_turn = None

    def repeat(self, checkpoints: Checkpoints) -> None:
        """The guest repeats what it did, and these are taken meanwhile."""
        self._guest.execution.record(checkpoints, self._may_write)

    def stop(self) -> None:
        """Do not record any more."""
        self.pause()
        self._guest.execution.record(None, None)

    # ---- inputs and turns --------------------------------------------------------------------

    def _note_turn(self, position: Position) -> None:
        self.turns.append(position)
        self._log_growth += _TURN_SIZE
        if self._log_growth > self._log_room:
            self._take_soon()

    def _note_input(self, input_: Input) -> None:
        self.inputs.append(input_)
        self._log_growth += _INPUT_SIZE + len(input_.data)
        if self._log_growth > self._log_room:
            self._take_soon()

    def _will_write(self) -> None:
        self._may_write()
        self._written = True
        self._take_soon()

    def _take_soon(self) -> None:
        """Take the next checkpoint before the guest goes on."""
        self.due = 0
        self._guest.execution.look_up()

    def _note_room(self) -> None:
        """What inputs and turns may take until a checkpoint is taken for their sake."""
        checkpoints = self.checkpoints
        free = checkpoints.budget - self.memory_size - checkpoints.budget // _LOG_RESERVE
        self._log_growth, self._log_room = 0, max(0, free)

    # ---- checkpoints -------------------------------------------------------------------------

    def take(self) -> None:
        """See ``Checkpoints`` of the scheduler.

        Raises:
            BudgetTooSmall: a snapshot of the guest as it is now does not fit in the budget, and
                without one the history cannot go on.
        """
        began = time.thread_time()
        if not self._make_room():
            return
        snapshot = self._guest.execution.snapshot()
        position = self._guest.board.position
        self.turns.end = position
        retired = sum(snapshot.instructions)
        begins_here = not len(self.checkpoints)
        self._add(
            Checkpoint(
                position,
                retired,
                snapshot,
                len(self.inputs),
                self._guest.execution.now.pc,
                self._written,
            )
        )
        self._written = False
        if begins_here:
            self._begin_at_first()
        self._keep_log_small()
        self._note_room()
        if self.memory_size > self.checkpoints.budget:
            # Its devices have more state than they had.
            raise BudgetTooSmall(self._too_small(self.memory_size))
        self._choose_distance(began, retired)
        self.due = retired + self._distance

    def _choose_distance(self, began: float, retired: int) -> None:
        """A snapshot has been taken, and that began then: where is the next one to be?"""
        cost = time.thread_time() - began
        ran, executed = began - self._taken_at, retired - self._retired_at
        self._taken_at, self._retired_at = began + cost, retired
        self._cost = cost if not self._cost else (3 * self._cost + cost) / 4
        if executed > MIN_DISTANCE // 2:  # otherwise it says little
            distance = int(self._cost / _COST * executed / max(ran, 1e-6))
            # Step by step: it was measured once.
            least, most = self._distance // 2, self._distance * 2
            distance = max(least, min(distance, most))
            self._distance = max(MIN_DISTANCE, min(distance, MAX_DISTANCE))

    def stopped(self) -> None:
        """See ``Checkpoints`` of the scheduler: the budget is not exceeded meanwhile either."""
        if self.due == 0:
            with contextlib.suppress(BudgetTooSmall):  # the next run raises it
                self.take()

    def _add(self, checkpoint: Checkpoint) -> None:
        self.checkpoints.add(checkpoint)

    def has_room(self, before: Checkpoint) -> bool:
        """Whether a checkpoint of the guest as it is fits in beside all that there is."""
        self.checkpoints.others = self._others
        return self.checkpoints.room_for(self._next_size(before))

    def _next_size(self, last: Checkpoint | None) -> int:
        """Bytes that a checkpoint takes now, at most, beside the last one."""
        board = self._guest.board
        assert isinstance(board.vm, SupportsRepeatedRuns)
        beside = None if last is None else last.snapshot.board.vm
        size = board.vm.prepare_snapshot(beside) + board.console.pending_input
        return self._state_size + size

    def _make_room(self) -> bool:
        """Make room for the next checkpoint; False: it is not taken now."""
        checkpoints = self.checkpoints
        checkpoints.others = self._others
        size = self._next_size(checkpoints[-1])
        checkpoints.thin_out(size)
        while not checkpoints.room_for(size) and len(checkpoints) > 1:
            checkpoints.drop_first()
            self._begin_at_first()
        if checkpoints.room_for(size):
            return True
        # Only the last one is left, and this one does not fit beside it.
        needed = self._written or self._log_growth > self._log_room
        retired = self._guest.execution.retired()
        if not needed and retired - checkpoints[-1].retired < MAX_DISTANCE:
            return self._postpone(retired)
        alone = self._next_size(None)
        if alone > checkpoints.budget:
            if not needed:
                return self._postpone(retired)
            raise BudgetTooSmall(self._too_small(alone))
        checkpoints.clear()
        return True

    def set_aside(self, *, thin: bool = True) -> Aside:
        """Keep where the guest is now, to put it back there. ``give_up`` frees the memory.

        The beginning of the history is not dropped for it: the guest may be on its way there.
        ``thin``: checkpoints may be left out for it.
        """
        execution, board, checkpoints = self._guest.execution, self._guest.board, self.checkpoints
        board.deliver_inputs()
        time_, resume = execution.now, execution.resume_point()
        place = max(0, checkpoints.place_before(time_.position))
        beside = checkpoints[place]
        checkpoints.others = self._others
        size = self._next_size(beside)
        if thin and place == len(checkpoints) - 1:  # that one is never left out
            checkpoints.thin_out(size)
        if not checkpoints.room_for(size):
            return Aside(time_, resume, None, 0)
        snapshot = execution.snapshot()
        size = snapshot.size_beside(beside.snapshot)
        self._aside += size
        return Aside(time_, resume, snapshot, size)

    def prepare(self) -> None:
        """The guest goes on from the end of the history: the next checkpoint will share the pages
        of the last one."""
        self._next_size(self.checkpoints[-1])

    def give_up(self, aside: Aside) -> None:
        """It is not needed any more."""
        self._aside -= aside.size

    def _postpone(self, retired: int) -> bool:
        """Go on from the checkpoint that there is: the way from there becomes longer."""
        self._distance = min(2 * self._distance, MAX_DISTANCE)
        self.due = retired + self._distance
        return False

    def _keep_log_small(self) -> None:
        """Drop the beginning of the history while inputs and turns take too much."""
        checkpoints = self.checkpoints
        while self._others > checkpoints.budget // _LOG_PART and len(checkpoints) > 1:
            checkpoints.drop_first()
            self._begin_at_first()
        checkpoints.others = self._others
        while not checkpoints.room_for(0) and len(checkpoints) > 1:
            checkpoints.drop_first()
            self._begin_at_first()

    def _begin_at_first(self) -> None:
        """The history begins at another checkpoint than before: what led to it is forgotten."""
        first = self.checkpoints[0]
        self.turns.forget(first.position, first.snapshot.instructions)
        self.inputs.forget(first.inputs)
        self.checkpoints.others = self._others
        if not self._dropped:
            self._dropped = True
            log.warning(
                "history begins at %s now, and moves on: its budget of %s is used up",
                first.position,
                format_size(self.checkpoints.budget),
            )

    def _too_small(self, size: int) -> str:
        return (
            f"a budget of {format_size(self.checkpoints.budget)} for history: one snapshot of this "
            f"guest takes {format_size(size)} already; give more, or do without "
            "(guest.history.stop())"
        )

    def note_writes(self) -> None:
        """The guest has stopped: have a checkpoint after what the user has written since."""
        if self._written:
            self.take()

    def adopt(self, run: RecordedRun) -> None:
        """Have what was recorded of another guest, whose run began in the state that this one has.

        Raises:
            ValueError: it does not fit together.
            BudgetTooSmall: it takes more than the budget.
        """
        self.turns.adopt(run.turns, run.end.position)
        self.inputs = RecordedInputs(run.inputs)
        for checkpoint in run.checkpoints:
            self._add(checkpoint)
        self.checkpoints.others = self._others
        if not self.checkpoints.room_for(0):
            raise BudgetTooSmall(
                f"a budget of {format_size(self.checkpoints.budget)} for history: this recorded "
                f"run takes {format_size(self.memory_size)} already; give more"
            )
        self._note_room()

    def note_end(self) -> None:
        """The guest has stopped: the record goes as far as here."""
        self.turns.end = self._guest.board.position

    def truncate(self, position: Position, inputs: int) -> None:
        """Forget what came after ``position``, and after so many inputs."""
        self.branches += 1
        self.checkpoints.truncate(position)
        self.turns.truncate(position)
        self.inputs.truncate_to(inputs)
        self._note_room()
        self._written = True  # the next checkpoint belongs to another future
        self.due = 0
