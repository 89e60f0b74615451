"""Letting the vCPUs run: turns, time and instruction limits, interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from guestdbg.debugger.breakpoints.armed_state import InternalBreakpoint
from guestdbg.debugger.errors import InvalidLocation, Unsupported
from guestdbg.debugger.validation import integer
from guestdbg.debugger.vcpu.driver import VcpuDriver
from guestdbg.debugger.vcpu.semihosting_exits import WAITS_FOR_INPUT
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import (
    ExitIntr,
    SupportsPausedVcpus,
)
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED
from guestdbg.machine import ReplayError

if TYPE_CHECKING:
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.vcpu.driver import InternalBreakpoints
    from guestdbg.debugger.vcpu.stop import Reason
    from guestdbg.kvm import (
        SupportsInstructionCount,
    )

__all__ = ["Checkpoints", "RecordedTurns", "ResumeAction", "Scheduler"]

#: A vCPU's turn where several share the thread: instructions, or seconds if the provider does not
#: count instructions.
TURN_INSTRUCTIONS = 100_000
TURN_SECONDS = 0.005
#: The turn of those that run while another is stepped.
TURN_BESIDE_STEPS = 2_000
#: Steps within a range after which the others get their turn again.
_STEPS_PER_TURN = 500

#: Turns that a step has, with the handler of an interrupt, before the others have turns too.
_TURNS_ALONE = 100

#: Runs in succession that retire nothing, after which a vCPU gives up its turn.
_FUTILE_RUNS = 8

#: A limit that no guest reaches; the provider's count has 64 bits.
_NO_LIMIT = 1 << 62

#: How long all vCPUs wait for a network before an interruption or a time-out is looked at.
_NETWORK_SECONDS = 0.05

_IDLE = "every vCPU waits (WFI, or powered off) for an interrupt that nothing will raise"


class ResumeAction(NamedTuple):
    """How one vCPU is resumed: to run, or to step.

    A step is one instruction, and then as many as it takes until the PC is outside the addresses
    from ``start`` to before ``end``.
    """

    step: bool = False
    start: int = 0
    end: int = 0


class Checkpoints(Protocol):
    """Who takes snapshots of the guest while it runs.

    Attributes:
        due: so many instructions over all vCPUs are retired when the next one is to be taken.
    """

    due: int

    def take(self) -> None:
        """It is due. No vCPU runs."""

    def stopped(self) -> None:
        """A run of the guest has ended. It was not repeated."""


class RecordedTurns(Protocol):
    """The turns that the vCPUs had in a run before, which are to be the same again."""

    def of(self, turn: int) -> tuple[int, int] | None:
        """The place of the vCPU that had this turn of the board, and its instruction count at the
        end of it; None: there was no such turn."""

    def last_pc(self) -> int | None:
        """The PC of the vCPU of the last turn when that was over; None: that does not matter.

        After its last instruction an exception may have been taken, or a semihosting call made.
        """

    def ended(self) -> None:
        """The last one is over: there are others now (``of``), or the vCPUs have turns of their own
        (``Scheduler.recorded`` is None)."""


class _Until:
    """Recorded turns up to the start of one of them."""

    def __init__(self, turns: RecordedTurns, turn: int) -> None:
        self._turns = turns
        self._turn = turn

    def of(self, turn: int) -> tuple[int, int] | None:
        """See ``RecordedTurns``."""
        return self._turns.of(turn) if turn < self._turn else None

    def last_pc(self) -> int | None:
        """See ``RecordedTurns``."""
        return None

    def ended(self) -> None:
        """The turn begins now."""


class Scheduler:
    """Runs the vCPUs of a guest in turns, in one thread, and stops them all together.

    Attributes:
        vcpus: the vCPUs by their place.
        checkpoints: takes snapshots as the guest runs; None: nobody does.
        recorded: the turns to repeat; None: the guest runs for the first time.
    """

    def __init__(self, target: Target, internal_breakpoints: InternalBreakpoints) -> None:
        self._target = target
        self.vcpus: tuple[VcpuDriver, ...] = tuple(
            VcpuDriver(target, number, vcpu, internal_breakpoints, self.take_short_turn)
            for number, vcpu in enumerate(target.vcpus)
        )
        self._internal_breakpoints = internal_breakpoints
        self._turn = 0
        vm, ids = target.board.vm, frozenset(vcpu.id for vcpu in target.vcpus)
        #: Where vCPUs may wait for each other, the machine knows which of them are paused.
        self._pausing = vm if len(ids) > 1 and isinstance(vm, SupportsPausedVcpus) else None
        self._others = tuple(ids - {vcpu.id} for vcpu in target.vcpus)
        #: By place, the instruction count at which a turn ends that a stop has broken off.
        self._turn_ends: list[int | None] = [None] * len(self.vcpus)
        self.checkpoints: Checkpoints | None = None
        self.recorded: RecordedTurns | None = None
        self._interrupted = False
        #: A stop that something beside the vCPU has asked for: its vCPU, reason and detail.
        self._requested: tuple[int, Reason, str] | None = None
        self._timed_out = False
        self._timeout: float | None = None
        self._max_instructions: int | None = None
        #: The count of instructions over all vCPUs at which the run ends.
        self._stop_at: int | None = None
        #: How much console input the guest had left when it was idle last.
        self._pending_input = 0

    @property
    def current(self) -> VcpuDriver:
        """The vCPU whose turn it is: the one that stopped last."""
        return self.vcpus[self._turn]

    def select(self, number: int) -> None:
        """Make a vCPU the current one."""
        self._turn = number

    def interrupt(self) -> None:
        """Stop the guest; from any thread. If it is not running, the next run stops at once."""
        self._interrupted = True
        self._wake()

    def forget_interrupt(self) -> None:
        """Take back an ``interrupt`` that has not ended a run."""
        self._interrupted = False

    def request_stop(self, reason: Reason, detail: str) -> None:
        """End the run with the Stop of the current vCPU, which is in a device access.

        Only the thread that runs the guest may call it.
        """
        self._requested = self._turn, reason, detail
        self._target.attention = True
        # The board goes on after a device access, until the vCPU is kicked.
        self.current.vcpu.kick()

    def _wake(self) -> None:
        self._target.attention = True
        for vcpu in self._target.vcpus:
            vcpu.kick()

    def _time_out(self) -> None:
        self._timed_out = True
        self._wake()

    def until_stop(
        self, action: Callable[[], Stop], timeout: float | None, max_instructions: int | None
    ) -> Stop:
        """Do ``action`` within ``timeout`` seconds and ``max_instructions`` over all vCPUs."""
        timer: threading.Timer | None = None
        if timeout is not None:
            if not isinstance(timeout, int | float):
                raise InvalidLocation(f"timeout is {timeout!r}: it must be a number of seconds")
            if not 0 <= timeout <= threading.TIMEOUT_MAX:
                raise InvalidLocation(f"a timeout of {timeout} seconds: it is 0 or more")
            timer = threading.Timer(timeout, self._time_out)
            timer.daemon = True
        self._timed_out = False
        self._timeout = timeout
        self._max_instructions = max_instructions
        self._set_limit(max_instructions)
        try:
            if timer is not None:
                timer.start()
            stop = action()
            if self.checkpoints is not None and self.recorded is None:
                self.checkpoints.stopped()
            return stop
        finally:
            if timer is not None:
                timer.cancel()
            self._stop_at = None
            self._target.lift_limits()

    def step_alone(self, vcpu: VcpuDriver) -> Stop | None:
        """Step the current vCPU, while the others are paused. None: the step is complete.

        If an interrupt is taken first, its handler may wait for another vCPU, which has a lock.
        When it takes long, the others have their turns too. With a history they have them also
        when the vCPU waits.
        """
        pausing = self._pausing
        if pausing is None or self._has_history:
            return self._step_alone(vcpu)
        pausing.paused = self._others[vcpu.number]
        try:
            return self._step_alone(vcpu)
        finally:
            pausing.paused = frozenset()

    @property
    def _has_history(self) -> bool:
        """Whether the run is recorded or repeated.

        Then a WFI does not depend on which vCPUs are paused: turns are recorded, and pauses not.
        """
        return self.checkpoints is not None or self.recorded is not None

    def _step_alone(self, vcpu: VcpuDriver) -> Stop | None:
        turns = 0
        while True:
            stop = None
            if self._target.attention or self._stop_at is not None:
                stop = self._pending_stop()
            if stop is None:
                outcome = vcpu.step()
                if outcome is None:
                    return None
                if type(outcome) is Stop:
                    stop = outcome
                else:
                    assert isinstance(outcome, ExitIntr)
                    turns += 1
                    if self.recorded is not None:
                        stop = self.replay_turn_of(vcpu)
                    elif outcome.idle and self._has_history and len(self.vcpus) > 1:
                        stop = self._let_others_wake(vcpu)
                    elif outcome.idle and self._is_idle():
                        stop = self._idle_stop()
                    elif turns >= _TURNS_ALONE:
                        others = self._run_others(vcpu)
                        stop = others if isinstance(others, Stop) else None
            if stop is not None:
                vcpu.unfinished_step = None
                return stop

    def _let_others_wake(self, vcpu: VcpuDriver) -> Stop | None:
        """A vCPU that is stepped waits: let the others run, which may wake it."""
        outcome = self._run_others(vcpu)
        if outcome is False and self._is_idle():
            return self._idle_stop()
        return outcome if isinstance(outcome, Stop) else None

    def _run_others(self, *stepped: VcpuDriver) -> Stop | bool:
        """Give each of the other vCPUs a turn; whether one of them has done something, or time
        has advanced."""
        if self._pausing is not None:
            self._pausing.paused = frozenset()
        is_active = False
        for vcpu in self.vcpus:
            if vcpu not in stepped:
                self._turn = vcpu.number
                before = vcpu.progress()
                outcome = self._pending_stop() or self.take_short_turn(vcpu)
                if isinstance(outcome, Stop):
                    return outcome
                is_active = is_active or not outcome.idle or vcpu.progress() != before
        self._turn = stepped[0].number
        return is_active

    @property
    def turn_ends(self) -> tuple[int | None, ...]:
        """By place, the instruction count at which a turn ends that a stop has broken off."""
        return tuple(self._turn_ends)

    @turn_ends.setter
    def turn_ends(self, ends: Sequence[int | None]) -> None:
        self._turn_ends = list(ends)

    def run_all(self) -> Stop:
        """Let all vCPUs run, in turns, until something stops one of them."""
        while self.recorded is not None:
            stop = self.replay(self.recorded)
            if stop is None:
                # It is where it has stopped then, perhaps at a breakpoint.
                outcome = self.current.report_reached()
                stop = outcome if isinstance(outcome, Stop) else None
            if stop is None:
                stop = self._go_to_last_pc(self.recorded)
            if stop is not None:
                return stop
            self.recorded.ended()
        return self._run_all()

    def _go_to_last_pc(self, turns: RecordedTurns) -> Stop | None:
        """The turns are over but for what happened after the last instruction.

        Returns the Stop of what ends the run there.
        """
        board, pc = self._target.board, turns.last_pc()
        board.deliver_inputs()
        driver = next(each for each in self.vcpus if each.vcpu.id == board.position.vcpu)
        if pc is None or driver.cpu.pc == pc:
            return None
        self._turn = driver.number
        count = self._counter(driver.number).instructions
        self._limit(driver.number, count + 1)
        with self._internal_breakpoints([InternalBreakpoint(pc, driver.number)]):
            outcome = driver.advance()
        if isinstance(outcome, Stop) and outcome.reason != "until":
            return outcome
        if driver.cpu.pc != pc or self._counter(driver.number).instructions != count:
            raise ReplayError(
                f"this run is not the recorded one: vCPU {driver.vcpu.id} came to {pc:#x} after "
                f"{count} instructions"
            )
        return None

    def replay(self, turns: RecordedTurns) -> Stop | None:
        """Let the vCPUs have these turns, until something stops one of them, or all are over.

        Returns None in the second case. Raises ReplayError if the guest does not do what it did.
        """
        return self._replay(turns, self._take_recorded_turn)

    def replay_instructions(
        self, turns: RecordedTurns, place: int, visit: Callable[[], object]
    ) -> Stop | None:
        """The same, and ``visit`` is called after each instruction of the vCPU at this place."""

        def take_turn(turn: int, end: int) -> Stop | None:
            vcpu = self._counter(self._turn)
            if self._turn != place or vcpu.instructions >= end:
                return self._take_recorded_turn(turn, end)
            while (count := vcpu.instructions) < end:
                stop = self._take_recorded_turn(turn, count + 1)
                if vcpu.instructions > count:
                    visit()
                if stop is not None or self._target.attention:
                    return stop
            return None

        return self._replay(turns, take_turn)

    def _replay(
        self, turns: RecordedTurns, take_turn: Callable[[int, int], Stop | None]
    ) -> Stop | None:
        board = self._target.board
        while True:
            if (stop := self._pending_stop()) is not None:
                return stop
            turn = board.turn
            place, end = turns.of(turn) or (self._turn, -1)
            if self._counter(place).instructions >= end:
                turn += 1
                following = turns.of(turn)
                if following is None:
                    return None
                place, end = following
            self._turn = place
            stop = take_turn(turn, end)
            if stop is not None:
                return stop

    def _take_recorded_turn(self, turn: int, end: int) -> Stop | None:
        """Let the current vCPU run to the end of a turn, or of what may run now.

        A turn of no instructions is taken too: a vCPU may have waited in it, until a timer.
        """
        driver, vcpu = self.current, self._counter(self._turn)
        futile = 0
        while True:
            limit = end
            if self._stop_at is not None:
                limit = min(limit, vcpu.instructions + self._stop_at - self.retired())
            if self.checkpoints is not None:
                left = self.checkpoints.due - self.retired()
                limit = min(limit, vcpu.instructions + max(0, left))
            self._limit(driver.number, limit)
            before = driver.progress()
            outcome = driver.advance()
            if isinstance(outcome, Stop):
                return outcome
            if vcpu.instructions >= limit or self._target.attention:
                return None
            # A kick, which may be from before, ends a run that has done nothing yet.
            futile = futile + 1 if driver.progress() == before else 0
            if outcome.idle or futile == _FUTILE_RUNS:
                raise ReplayError(
                    f"this run is not the recorded one: vCPU {driver.vcpu.id} had turn {turn} "
                    f"until it had retired {end} instructions, and waits after "
                    f"{vcpu.instructions}"
                )

    def replay_turn_of(self, driver: VcpuDriver) -> Stop | None:
        """While turns are repeated: go to the next place where this vCPU has one.

        So it can be stepped. Returns the Stop of what happens before.
        """
        while (turns := self.recorded) is not None:
            turn = self._target.board.turn
            while (found := turns.of(turn)) is not None:
                place, end = found
                if place == driver.number and self._counter(place).instructions < end:
                    return self.replay(_Until(turns, turn))
                turn += 1
            stop = self.replay(turns)
            if stop is not None:
                return stop
            turns.ended()
        return None

    def _counter(self, place: int) -> SupportsInstructionCount:
        vcpu = self._target.counting[place]
        assert vcpu is not None  # only such turns are recorded
        return vcpu

    def _limit(self, place: int, instructions: int) -> None:
        """End the next run of a vCPU when it has retired so many instructions."""
        vcpu = self._target.limiting[place]
        assert vcpu is not None
        self._target.limits[place] = instructions
        vcpu.max_instructions = instructions
        self._target.limited = True

    def _run_all(self) -> Stop:
        """The same where the guest runs for the first time."""
        vcpus = self.vcpus
        idle = 0
        while True:
            stop = self._pending_stop()
            if stop is not None:
                return stop
            vcpu = vcpus[self._turn]
            before = vcpu.progress()
            outcome = self._take_turn(vcpu)
            if isinstance(outcome, Stop):
                return outcome
            if self._turn_ends[self._turn] is not None:
                continue  # the run may end here; the turn goes on when it is continued
            if not outcome.idle:
                idle = 0
            # One that did something before it waited may have woken those that waited before.
            elif vcpu.progress() != before:
                idle = 1
            else:
                idle += 1
            if idle >= len(vcpus) and self._is_idle():
                return self._idle_stop()
            self._turn = (self._turn + 1) % len(vcpus)

    def run_some(self, actions: Mapping[int, ResumeAction]) -> Stop:
        """Resume the vCPUs with these numbers, each by its action; the others are paused.

        If some run and some step, those that run get short turns between the steps.
        """
        vcpus = self.vcpus
        if not isinstance(actions, Mapping) or not all(
            isinstance(number, int) and isinstance(action, ResumeAction)
            for number, action in actions.items()
        ):
            raise InvalidLocation(
                f"{actions!r}: it must be a ResumeAction by the number of the vCPU, such as "
                "{0: ResumeAction(step=True)}"
            )
        for number in actions:
            if not 0 <= number < len(vcpus):
                raise InvalidLocation(f"there is no vCPU {number}: this guest has {len(vcpus)}")
        if not actions:
            raise InvalidLocation("no vCPU is to be resumed")
        running = [vcpu for vcpu in vcpus if vcpu.number in actions]
        stepping = [vcpu for vcpu in running if actions[vcpu.number].step]
        running = [vcpu for vcpu in running if not actions[vcpu.number].step]
        if len(running) == len(vcpus) or (self.recorded is not None and not stepping):
            return self.run_all()
        if self.recorded is not None:
            return self._step_recorded(stepping[0], actions[stepping[0].number])
        pausing = self._pausing
        if pausing is not None and not self._has_history:
            pausing.paused = frozenset(v.vcpu.id for v in vcpus if v.number not in actions)
        try:
            return self._run_some(running, stepping, actions)
        finally:
            if pausing is not None:
                pausing.paused = frozenset()
            for vcpu in stepping:
                vcpu.unfinished_step = None

    def _step_recorded(self, driver: VcpuDriver, action: ResumeAction) -> Stop:
        """Step where turns are repeated: the others have those that they had."""
        while True:
            stop = self.replay_turn_of(driver)
            if stop is not None:
                return stop
            self._turn = driver.number
            outcome = self._step_range(driver, action, alone=True)
            if isinstance(outcome, Stop):
                return outcome

    def _run_some(
        self,
        running: list[VcpuDriver],
        stepping: list[VcpuDriver],
        actions: Mapping[int, ResumeAction],
    ) -> Stop:
        turn = TURN_BESIDE_STEPS if stepping else TURN_INSTRUCTIONS
        while True:
            idle = is_still = True
            for vcpu in running + stepping:
                self._turn = vcpu.number
                before = vcpu.progress()
                if actions[vcpu.number].step:
                    action = actions[vcpu.number]
                    outcome = self._step_range(vcpu, action, alone=not running)
                else:
                    outcome = self._pending_stop() or self._take_turn(vcpu, turn)
                if isinstance(outcome, Stop):
                    return outcome
                is_still = is_still and vcpu.progress() == before
                idle = idle and outcome.idle and is_still
            if is_still and self._has_history and len(actions) < len(self.vcpus):
                # They wait, perhaps for what a paused one does: see _has_history.
                others = self._run_others(*running, *stepping)
                if isinstance(others, Stop):
                    return others
                if others:
                    continue
            if idle and self._is_idle():
                return self._idle_stop()

    def _step_range(
        self, vcpu: VcpuDriver, action: ResumeAction, *, alone: bool
    ) -> Stop | ExitIntr:
        """Step a vCPU; ExitIntr if it waits, or if others run and it is their turn.

        The end of the range is not waited for by a vCPU that retires nothing: its exception vector
        raises an exception itself, and it would step there for ever.
        """
        steps = 0
        before = vcpu.progress()
        while True:
            stop = self._pending_stop()
            if stop is not None:
                return stop
            outcome = vcpu.step()
            if type(outcome) is Stop:
                return outcome
            if outcome is not None:
                assert isinstance(outcome, ExitIntr)
                if outcome.idle or not alone or self._has_history:
                    return outcome
                continue
            after = vcpu.progress()
            stuck = after is not None and after == before
            if stuck or not action.start <= vcpu.cpu.pc < action.end:
                return vcpu.stop("step")
            before = after
            steps += 1
            if steps >= _STEPS_PER_TURN and not alone:
                return ExitIntr()

    def _idle_stop(self) -> Stop:
        """The Stop of a guest whose vCPUs all wait."""
        for vcpu in self.vcpus:
            if vcpu.resume_state.waits_for_input:
                self._turn = vcpu.number
                return vcpu.stop("idle", WAITS_FOR_INPUT)
        return self.current.stop("idle", _IDLE)

    def _is_idle(self) -> bool:
        """Whether nothing will wake vCPUs that all wait: no stop is pending, nor any input.

        Input counts only if the guest has read some, or some was added, since it was idle last: a
        guest that waits and does not read its console is not woken by it. A guest with network
        connections is woken by what comes from there: that is waited for here.
        """
        board = self._target.board
        if self._target.attention:
            return False
        if board.inputs.pending:
            # A board delivers them when a vCPU is run, and one that is powered off is not.
            board.deliver_inputs()
            return False
        pending = board.console.pending_input
        changed, self._pending_input = pending != self._pending_input, pending
        if pending and changed:
            return False
        return not board.wait_for_input(_NETWORK_SECONDS)

    def _pending_stop(self) -> Stop | None:
        """The Stop for an interruption, the end of the time or of the instructions."""
        target = self._target
        if target.attention:
            target.attention = False
            if self._requested is not None:
                (self._turn, reason, detail), self._requested = self._requested, None
                target.attention = self._interrupted or self._timed_out
                return self.current.stop(reason, detail)
            if self._interrupted:
                self._interrupted = False
                return self.current.stop("interrupt")
            if self._timed_out:
                self._timed_out = False
                return self.current.stop("timeout", f"after {self._timeout:g} seconds")
        checkpoints = self.checkpoints
        if checkpoints is not None and self.retired() >= checkpoints.due:
            checkpoints.take()
        if self._stop_at is not None and self.retired() >= self._stop_at:
            return self.current.stop("limit", f"after {self._max_instructions} instructions")
        return None

    def take_short_turn(self, driver: VcpuDriver) -> Stop | ExitIntr:
        """Let a vCPU run for a turn as they are between steps."""
        return self._take_turn(driver, TURN_BESIDE_STEPS)

    def _take_turn(self, driver: VcpuDriver, turn: int = TURN_INSTRUCTIONS) -> Stop | ExitIntr:
        if len(self.vcpus) == 1:
            if self.checkpoints is not None:
                due = self.checkpoints.due
                self._limit(0, due if self._stop_at is None else min(due, self._stop_at))
            return driver.advance()
        vcpu = driver.vcpu
        if vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
            self._turn_ends[driver.number] = None  # it may have been in one when it powered off
            if self._target.vector_catch is not None:
                self._target.vector_catch.powered_off(driver.number)
            return ExitIntr(idle=True)
        counting = self._target.counting[driver.number]
        if counting is not None and self._target.limiting[driver.number] is not None:
            # A stop does not end the turn either: with points and without, a guest runs the same.
            end = self._turn_ends[driver.number]
            if end is None or end <= counting.instructions:
                end = counting.instructions + turn
            limit = end
            if self._stop_at is not None:
                limit = min(limit, counting.instructions + self._stop_at - self.retired())
            self._turn_ends[driver.number] = end
            self._limit(driver.number, limit)
            # A kick does not end the turn: when it comes depends on the host, which must not decide
            # in which order the guest's instructions are executed. If nothing retires again and
            # again, it is not kicks: the vCPU waits for another one.
            futile = 0
            while True:
                before = counting.instructions
                outcome = driver.advance()
                if isinstance(outcome, Stop):
                    return outcome
                futile = futile + 1 if counting.instructions == before else 0
                if outcome.idle or futile == _FUTILE_RUNS or counting.instructions >= end:
                    self._turn_ends[driver.number] = None
                    return outcome
                if self._target.attention or counting.instructions >= limit:
                    return outcome
        timer = threading.Timer(TURN_SECONDS, vcpu.kick)
        timer.daemon = True
        timer.start()
        try:
            return driver.advance()
        finally:
            timer.cancel()

    # ---- instruction limits ------------------------------------------------------------------

    def retired(self) -> int:
        """Instructions retired by all vCPUs; raises Unsupported if the provider counts none."""
        total = 0
        for vcpu in self._target.counting:
            if vcpu is None:
                raise Unsupported(
                    "this provider does not count instructions: give a timeout instead of "
                    "max_instructions"
                )
            total += vcpu.instructions
        return total

    def _set_limit(self, max_instructions: int | None) -> None:
        if max_instructions is None:
            return
        if integer("max_instructions", max_instructions) < 0:
            raise InvalidLocation(f"max_instructions is {max_instructions}: 0 is the least")
        target = self._target
        max_instructions = min(max_instructions, _NO_LIMIT)
        self._stop_at = self.retired() + max_instructions
        for number, vcpu in enumerate(target.counting):
            if vcpu is None or target.limiting[number] is None:
                raise Unsupported(
                    "this provider cannot stop after a number of instructions: give a timeout"
                )
            target.limits[number] = vcpu.instructions + max_instructions
        target.limited = True
        target.apply_limits()
