"""Going to a time in a guest's past, and from there on again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.history.aside import Aside
from guestdbg.history.errors import HistoryInterrupted, InThePast, OutsideHistory
from guestdbg.history.filling import Filling
from guestdbg.history.recorder import Recorder
from guestdbg.history.turns import UpTo
from guestdbg.history.waypoints import Waypoint, Waypoints
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Stop
    from guestdbg.debugger.execution.scheduler import RecordedTurns
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.debugger.vcpu.resume_state import ResumeState
    from guestdbg.history.checkpoints import Checkpoint
    from guestdbg.history.recorded_run import RecordedEnd, RecordedRun
    from guestdbg.machine import Input, Position, Time

__all__ = ["END_OF_RECORDED_RUN", "Travel"]

#: The detail of a Stop with the reason "history" there.
END_OF_RECORDED_RUN = "the end of the recorded run"

#: Where the guest goes farther than this from a checkpoint, a snapshot is kept so much before.
_FAR = 2_000_000
_NEAR = 500_000


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where the guest was.

    Attributes:
        snapshot: the guest as it was; or where it was set aside.
        inputs: how many inputs had come in before.
        written: the last checkpoint before at which the user had changed the guest.
        live: whether history ended there.
    """

    snapshot: GuestSnapshot | Aside
    inputs: int
    written: Checkpoint | None
    live: bool = False


class Travel:
    """Moves a guest in its history.

    A guest that is ``live`` is at the end of its history and makes more of it. Otherwise it is in
    its past: it repeats what it did, up to the end, from where it is live again.

    Attributes:
        recorder: what is known of the run.
        live: whether the guest is at the end of its history.
    """

    def __init__(self, guest: Guest, budget: int) -> None:
        self._guest = guest
        self._console = guest.board.console
        self.live = True
        #: The end of the history, while the guest is in its past.
        self._end: _Place | None = None
        self._end_pc = 0
        self._inputs_given = 0
        #: A little before where the guest has gone to last.
        self._near: _Place | None = None
        self._waypoints = Waypoints()
        #: Of a run that was recorded elsewhere: where it ends, until the guest has been there.
        self._unseen_end: RecordedEnd | None = None
        self._played_end: Position | None = None
        self._filling: Filling | None = None
        #: The last checkpoint that the guest has passed at which the user had changed it.
        self._written: Checkpoint | None = None
        self.recorder = Recorder(guest, budget, self._may_write)

    def _may_write(self) -> None:
        if not self.live:
            raise InThePast(
                f"the guest is in its past, at {self.now}: a change there would make another "
                "future. guest.history.branch() makes that the present, and forgets what came "
                "after it; guest.history.goto_end() goes back to the present"
            )

    # ---- where it is -------------------------------------------------------------------------

    @property
    def now(self) -> Time:
        """Where the guest is."""
        return self._guest.execution.now

    @property
    def begin(self) -> Position:
        """Where the history begins."""
        return self.recorder.turns.start

    @property
    def end(self) -> Position:
        """Where the history ends."""
        if self.live:
            self.recorder.note_end()
        return self.recorder.turns.end

    def play(self, run: RecordedRun) -> None:
        """Have the history of another guest, whose run began in the state that this guest has.

        What the guest prints when it repeats it was not seen yet.

        Raises:
            ValueError: what was recorded does not fit together.
        """
        unknown = {each.port for each in run.inputs} - self._guest.board.inputs.ports
        if unknown:
            raise ValueError(f"inputs for {', '.join(sorted(unknown))}, which the guest has not")
        self.recorder.pause()
        self.recorder.adopt(run)
        self.live = False
        self._unseen_end, self._end_pc = run.end, run.end.pc
        self._played_end = run.end.position
        self._filling = Filling(self._guest, self.recorder, lambda: self._inputs_given)
        self._console.seen = self._console.sent
        self._written = self.recorder.checkpoints.written_before(0)
        self._repeat(0)

    # ---- between present and past --------------------------------------------------------------

    def leave_present(self) -> None:
        """Keep the end of the history: the guest goes into its past."""
        if not self.live:
            return
        self._end_pc = self.now.pc
        snapshot = self.recorder.set_aside()  # delivers what was posted
        self._console.flush()
        self._console.seen = self._console.sent
        self.recorder.note_end()
        checkpoints = self.recorder.checkpoints
        written = checkpoints.written_before(len(checkpoints) - 1)
        self._end = _Place(snapshot, len(self.recorder.inputs), written, live=True)
        self.live = False
        self.recorder.pause()

    def last_pc(self) -> int | None:
        """See ``RecordedTurns``."""
        following = self.recorder.checkpoints.written_after(self._written)
        return self._end_pc if following is None else None

    def ended(self) -> None:
        """The guest has repeated all that it did, or all up to a change by the user.

        See ``RecordedTurns``. In the first case it is live again.
        """
        following = self.recorder.checkpoints.written_after(self._written)
        if following is not None:
            self._put(_Place(following.snapshot, following.inputs, following))
            return
        end = self.recorder.turns.end
        if self._end is not None and self.recorder.changed:
            self._put(self._end)  # no checkpoint has what the user has written there
        else:
            self._go_live()
        if end == self._played_end:
            # Here the guest's future begins that nobody has seen: the user decides about it.
            self._guest.execution.request_stop("history", END_OF_RECORDED_RUN)

    def _arrive(self) -> None:
        """If the guest is at the very end of its history, it is live again."""
        if (
            not self.live
            and self._is_at_end
            and self.now.pc == self._end_pc
            and self._inputs_given == len(self.recorder.inputs)
            and self.recorder.checkpoints.written_after(self._written) is None
        ):
            self._go_live()

    def _go_live(self) -> None:
        """The guest is at the end of its history: from here it makes more of it."""
        inputs = len(self.recorder.inputs)
        if self._inputs_given != inputs:
            raise ReplayError(
                f"{self._inputs_given} of {inputs} inputs came in again before the end of the "
                "history"
            )
        unseen, end = self._unseen_end, self._end
        if end is not None and isinstance(end.snapshot, Aside):
            # A turn that was under way goes on, as if the guest had never been elsewhere.
            self._guest.execution.continue_turns(end.snapshot.resume)
        self._present()
        if unseen is not None:
            with self._guest.detached():
                snapshot = self._guest.execution.snapshot()
            unseen.check(self._guest, snapshot)

    def _present(self) -> None:
        self._forget_end()
        self._unseen_end = None
        self.live = True
        self._guest.execution.repeat(None)
        self._guest.board.inputs.stop_replay()
        self._console.flush()
        self.recorder.resume()

    def _forget_end(self) -> None:
        self._drop_near()
        for waypoint in self._waypoints.drop():
            self.recorder.give_up(waypoint.aside)
        if self._end is not None and isinstance(self._end.snapshot, Aside):
            self.recorder.prepare()
            self.recorder.give_up(self._end.snapshot)
        self._end = None

    def of(self, turn: int) -> tuple[int, int] | None:
        """See ``RecordedTurns``: the turns that the guest repeats are those of its history."""
        following = self.recorder.checkpoints.written_after(self._written)
        turns = self.recorder.turns
        return turns.of(turn) if following is None else UpTo(turns, following.position).of(turn)

    def _put(self, place: _Place) -> None:
        """Put the guest to a place in its history."""
        console = self._console
        console.flush()
        if not console.muted:
            console.seen = max(console.seen, console.sent)
        aside = place.snapshot
        snapshot = aside.snapshot if isinstance(aside, Aside) else aside
        if snapshot is not None:
            self._guest.execution.restore(snapshot)
        else:
            assert isinstance(aside, Aside)
            with self._muted():
                self._repeat_to(aside, place.inputs)
        self._written = place.written
        if place.live:
            self._inputs_given = place.inputs
            self._go_live()
            return
        self._repeat(place.inputs)

    def _repeat(self, given: int) -> None:
        """The guest is in its past, where so many inputs had come in: it repeats what it did."""
        inputs, recorded = self._guest.board.inputs, self.recorder.inputs
        self._guest.execution.repeat(self)
        self._inputs_given = given
        inputs.replay_own(recorded.since(given))
        inputs.listener = self._count_input
        if self._filling is not None:
            self._filling.put(self._guest.execution.retired())
            self.recorder.repeat(self._filling)

    @contextmanager
    def silently(self) -> Iterator[None]:
        """Inside a ``with`` block the guest is repeated for a question.

        What it prints is not new, and the places of checkpoints stay as they are.
        """
        with self._muted(), nullcontext() if self._filling is None else self._filling.off():
            yield

    @contextmanager
    def _muted(self) -> Iterator[None]:
        console = self._console
        console.flush()
        before, console.muted = console.muted, True
        try:
            yield
        finally:
            console.flush()
            console.muted = before

    def _count_input(self, input_: Input) -> None:
        self._inputs_given += 1

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Put the guest back to where it is now at the end of a ``with`` block."""
        with self.silently():
            self.leave_present()
            here = self._end if self._is_at_end else None
            if here is None:
                aside = self.recorder.set_aside()
                here = _Place(aside, self._inputs_given, self._written)
            try:
                yield
            finally:
                if not here.live:
                    self.leave_present()
                self._put(here)
                if not here.live and isinstance(here.snapshot, Aside):
                    self.recorder.give_up(here.snapshot)

    @property
    def _is_at_end(self) -> bool:
        return self._guest.board.position == self.recorder.turns.end

    @property
    def inputs_given(self) -> int:
        """How many inputs have come in again, of a guest that is in its past."""
        return self._inputs_given

    # ---- going -------------------------------------------------------------------------------

    def checkpoint_before(self, position: Position) -> int:
        """The place of the last checkpoint at or before a position. Raises OutsideHistory."""
        place = self.recorder.checkpoints.place_before(position)
        if place < 0 or position > self.end:
            raise OutsideHistory(
                f"{position} is not in the history of this guest, which goes from {self.begin} to "
                f"{self.end}"
            )
        return place

    def put_at_checkpoint(self, place: int) -> None:
        """Put the guest to a checkpoint."""
        self.leave_present()
        checkpoints = self.recorder.checkpoints
        checkpoint = checkpoints[place]
        written = checkpoints.written_before(place)
        self._put(_Place(checkpoint.snapshot, checkpoint.inputs, written))

    def begin_before(self, place: int, position: Position, *, at: bool) -> int | Waypoint:
        """The waypoint before a position, or ``at`` it, and after the checkpoint at ``place``.

        Without one it is that place.
        """
        after = self.recorder.checkpoints[place].position
        waypoint = self._waypoints.between(after, position, at=at)
        return place if waypoint is None else waypoint

    def put_at(self, begin: int | Waypoint) -> None:
        """Put the guest to a waypoint, or to the checkpoint at a place."""
        if isinstance(begin, int):
            self.put_at_checkpoint(begin)
            return
        self.leave_present()
        self._put(_Place(begin.aside, begin.inputs, begin.written))

    def keep_waypoint(self) -> Waypoint | None:
        """Keep a snapshot of where the guest is in its past; None: there is no room for it.

        There is none where the debugger remembers something of the points that there are now, such
        as a hit whose instruction was not executed yet: others may be looked for from there.
        """
        aside = self.recorder.set_aside(thin=False)
        if aside.snapshot is None:
            return None
        if any(_remembers_points(each) for each in aside.resume.resume_states):
            self.recorder.give_up(aside)
            return None
        retired = sum(aside.snapshot.instructions)
        waypoint = Waypoint(aside, self._inputs_given, self._written, retired)
        gone = self._waypoints.add(waypoint, self.recorder.checkpoints.budget)
        for each in gone:
            self.recorder.give_up(each.aside)
        return None if waypoint in gone else waypoint

    def _put_before(self, place: int, position: Position) -> None:
        """Put the guest to where it repeats what leads to a position: a checkpoint, or nearer.

        Who goes to a time often goes to others near it: a snapshot is kept a little before it.
        """
        checkpoint, near = self.recorder.checkpoints[place], self._near
        if near is not None:
            there = near.snapshot
            assert isinstance(there, Aside)
            if checkpoint.position < there.time.position <= position:
                self._put(near)
                return
            self._drop_near()
        waypoint = self._waypoints.between(checkpoint.position, position, at=True)
        self.put_at(place if waypoint is None else waypoint)
        start = self.recorder.turns.back(position, _NEAR)
        if start is None or start <= self._guest.board.position:
            return
        way = position.instructions - self._instructions(position.vcpu)
        if way < _FAR or self.run_to(start) is not None:
            return
        aside = self.recorder.set_aside(thin=False)
        if aside.snapshot is not None:
            self._near = _Place(aside, self._inputs_given, self._written)

    def _instructions(self, vcpu: int) -> int:
        """How many a vCPU has retired."""
        provider = self._guest.board.vcpus[vcpu]
        assert isinstance(provider, SupportsInstructionCount)
        return provider.instructions

    def _drop_near(self) -> None:
        if self._near is not None:
            assert isinstance(self._near.snapshot, Aside)
            self.recorder.give_up(self._near.snapshot)
            self._near = None

    def goto(self, position: Position, pc: int | None = None) -> None:
        """Put the guest to a time: every bit of it as it was then.

        Raises OutsideHistory for a time outside the history; ReplayError if the guest does not do
        what it did.
        """
        with self._muted():
            self._goto(position, pc)

    def _goto(self, position: Position, pc: int | None) -> None:
        self.checkpoint_before(position)
        self._arrive()
        if not self.live and self._end is not None and position == self.recorder.turns.end:
            self._put(self._end)
        if self.live and position == self.end and pc in (None, self.now.pc):
            return
        unseen = self._unseen_end if position == self.recorder.turns.end else None
        if unseen is not None and pc is None:
            pc = unseen.pc
        self.visit(position, pc)
        if unseen is not None and pc == unseen.pc:
            self._go_live()

    def _repeat_to(self, aside: Aside, inputs: int) -> None:
        """Put the guest to a place of which there is no snapshot."""
        self.visit(aside.time.position, aside.time.pc)
        while self._inputs_given < inputs:
            if not self._guest.board.inputs.deliver_recorded():
                raise ReplayError(
                    f"{self._inputs_given} of {inputs} inputs came in again before {aside.time}"
                )
        self._guest.execution.resume_from(aside.resume)

    def visit(self, position: Position, pc: int | None = None) -> None:
        """Put the guest to a time as ``goto`` does, and into its past also at the history's end."""
        self.leave_present()  # some checkpoints may have to go for it
        place = self.checkpoint_before(position)
        checkpoints = self.recorder.checkpoints
        while (
            place > 0
            and checkpoints[place].position == position
            and checkpoints[place].after_write
            and pc not in (None, checkpoints[place].pc)
        ):
            place -= 1  # the user has moved the PC there: it was elsewhere before
        with self._guest.execution.only(None):
            self._put_before(place, position)
            stop = self.run_to(position)
            if stop is not None and self._guest.board.position != position:
                raise ReplayError(f"the guest has stopped on the way to {position}: {stop}")
            if pc is not None and self.now.pc != pc:
                self._take_exception(position, pc)

    def run_to(self, position: Position) -> Stop | None:
        """Repeat what the guest did up to a position; the Stop of what happens before.

        Raises HistoryInterrupted if that is an interruption: the guest has not done so much.
        """
        return self._run_to(position, self._guest.execution.replay)

    def run_to_each(
        self,
        position: Position,
        vcpu: int,
        visit: Callable[[], object],
        changed: Callable[[], object],
    ) -> Stop | None:
        """The same, and ``visit`` is called after each instruction of a vCPU.

        ``changed`` is called where the user of the debugger has changed the guest.
        """
        execution = self._guest.execution
        return self._run_to(
            position, lambda turns: execution.replay_instructions(turns, vcpu, visit), changed
        )

    def _run_to(
        self,
        position: Position,
        replay: Callable[[RecordedTurns], Stop | None],
        changed: Callable[[], object] | None = None,
    ) -> Stop | None:
        while True:
            following = self.recorder.checkpoints.written_after(self._written)
            if following is None or following.position >= position:
                return self._replay(position, replay)
            stop = self._replay(following.position, replay)
            if stop is not None:
                return stop
            self._put(_Place(following.snapshot, following.inputs, following))
            if changed is not None:
                changed()

    def _replay(
        self, position: Position, replay: Callable[[RecordedTurns], Stop | None]
    ) -> Stop | None:
        stop = replay(UpTo(self.recorder.turns, position))
        if stop is not None and stop.reason in ("interrupt", "timeout"):
            raise HistoryInterrupted(
                f"interrupted at {self.now}, on the way to {position}: nothing was found out"
            )
        return stop

    def _take_exception(self, position: Position, pc: int) -> None:
        """Go to where an exception, or a semihosting call, after ``position`` leads."""
        following = position._replace(instructions=position.instructions + 1)
        stop = self._guest.execution.replay_to_pc(UpTo(self.recorder.turns, following), pc)
        if stop is None or self._guest.board.position != position:
            raise ReplayError(f"the guest was not at {pc:#x} at {position}")

    def branch(self) -> None:
        """Make the past where the guest is its present, and forget what came after it."""
        if self.live:
            return
        board = self._guest.board
        self.recorder.truncate(board.position, self._inputs_given)
        self._present()
        self._console.seen = 0

    def stop(self) -> None:
        """Go to the end of the history, and record no more."""
        if not self.live:
            self.goto(self.end)
        self.leave()

    def leave(self) -> None:
        """Record no more, and repeat nothing: the guest stays where it is."""
        self._guest.execution.repeat(None)
        self._guest.board.inputs.stop_replay()
        self._console.flush()
        self._console.seen = 0
        self.recorder.stop()


def _remembers_points(state: ResumeState) -> bool:
    return bool(
        state.needs_step_over is not None
        or state.interrupted
        or state.reported_before_access
        or state.sequence
        or state.device_hits
    )
