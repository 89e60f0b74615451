"""Letting the vCPUs run: turns, time and instruction limits, interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from guestdbg.debugger.errors import InvalidLocation, Unsupported
from guestdbg.debugger.target import Target
from guestdbg.debugger.validation import integer
from guestdbg.debugger.vcpu.driver import InternalBreakpoints, VcpuDriver
from guestdbg.debugger.vcpu.semihosting import WAITS_FOR_INPUT
from guestdbg.debugger.vcpu.stop import Reason, Stop
from guestdbg.kvm import (
    ExitIntr,
    SupportsInstructionCount,
    SupportsInstructionLimit,
    SupportsPausedVcpus,
)
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED

__all__ = ["ResumeAction", "Scheduler"]

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


@dataclass(frozen=True, slots=True)
class ResumeAction:
    """How one vCPU is resumed: to run, or to step.

    A step is one instruction, and then as many as it takes until the PC is outside the addresses
    from ``start`` to before ``end``.
    """

    step: bool = False
    start: int = 0
    end: int = 0


class Scheduler:
    """Runs the vCPUs of a guest in turns, in one thread, and stops them all together.

    Attributes:
        vcpus: the vCPUs by their place.
    """

    def __init__(self, target: Target, internal_breakpoints: InternalBreakpoints) -> None:
        self._target = target
        self.vcpus: tuple[VcpuDriver, ...] = tuple(
            VcpuDriver(target, number, vcpu, internal_breakpoints, self.take_short_turn)
            for number, vcpu in enumerate(target.vcpus)
        )
        self._turn = 0
        vm, ids = target.board.vm, frozenset(vcpu.id for vcpu in target.vcpus)
        #: Where vCPUs may wait for each other, the machine knows which of them are paused.
        self._pausing = vm if len(ids) > 1 and isinstance(vm, SupportsPausedVcpus) else None
        self._others = tuple(ids - {vcpu.id} for vcpu in target.vcpus)
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
            return action()
        finally:
            if timer is not None:
                timer.cancel()
            self._stop_at = None
            self._target.lift_limits()

    def step_alone(self, vcpu: VcpuDriver) -> Stop | None:
        """Step the current vCPU, while the others are paused. None: the step is complete.

        If an interrupt is taken first, its handler may wait for another vCPU, which has a lock.
        When it takes long, the others have their turns too.
        """
        pausing = self._pausing
        if pausing is None:
            return self._step_alone(vcpu)
        pausing.paused = self._others[vcpu.number]
        try:
            return self._step_alone(vcpu)
        finally:
            pausing.paused = frozenset()

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
                    if outcome.idle and self._is_idle():
                        stop = self._idle_stop()
                    elif turns >= _TURNS_ALONE:
                        stop = self._run_others(vcpu)
            if stop is not None:
                vcpu.unfinished_step = None
                return stop

    def _run_others(self, stepped: VcpuDriver) -> Stop | None:
        """Give each of the other vCPUs a turn."""
        if self._pausing is not None:
            self._pausing.paused = frozenset()
        for vcpu in self.vcpus:
            if vcpu is not stepped:
                self._turn = vcpu.number
                outcome = self._pending_stop() or self.take_short_turn(vcpu)
                if isinstance(outcome, Stop):
                    return outcome
        self._turn = stepped.number
        return None

    def run_all(self) -> Stop:
        """Let all vCPUs run, in turns, until something stops one of them."""
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
        if len(running) == len(vcpus):
            return self.run_all()
        pausing = self._pausing
        if pausing is not None:
            pausing.paused = frozenset(v.vcpu.id for v in vcpus if v.number not in actions)
        try:
            return self._run_some(running, stepping, actions)
        finally:
            if pausing is not None:
                pausing.paused = frozenset()
            for vcpu in stepping:
                vcpu.unfinished_step = None

    def _run_some(
        self,
        running: list[VcpuDriver],
        stepping: list[VcpuDriver],
        actions: Mapping[int, ResumeAction],
    ) -> Stop:
        turn = TURN_BESIDE_STEPS if stepping else TURN_INSTRUCTIONS
        while True:
            idle = True
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
                idle = idle and outcome.idle and vcpu.progress() == before
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
                if outcome.idle or not alone:
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
        if self._stop_at is not None and self.retired() >= self._stop_at:
            return self.current.stop("limit", f"after {self._max_instructions} instructions")
        return None

    def take_short_turn(self, driver: VcpuDriver) -> Stop | ExitIntr:
        """Let a vCPU run for a turn as they are between steps."""
        return self._take_turn(driver, TURN_BESIDE_STEPS)

    def _take_turn(self, driver: VcpuDriver, turn: int = TURN_INSTRUCTIONS) -> Stop | ExitIntr:
        if len(self.vcpus) == 1:
            return driver.advance()
        vcpu = driver.vcpu
        if vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
            if self._target.vector_catch is not None:
                self._target.vector_catch.powered_off(driver.number)
            return ExitIntr(idle=True)
        if isinstance(vcpu, SupportsInstructionLimit) and isinstance(
            vcpu, SupportsInstructionCount
        ):
            if self._stop_at is not None:
                turn = min(turn, self._stop_at - self.retired())
            limit = vcpu.instructions + turn
            self._target.limits[driver.number] = limit
            vcpu.max_instructions = limit
            self._target.limited = True
            # A kick does not end the turn: when it comes depends on the host, which must not decide
            # in which order the guest's instructions are executed. If nothing retires again and
            # again, it is not kicks: the vCPU waits for another one.
            futile = 0
            while True:
                before = vcpu.instructions
                outcome = driver.advance()
                if isinstance(outcome, Stop) or outcome.idle or self._target.attention:
                    return outcome
                futile = futile + 1 if vcpu.instructions == before else 0
                if futile == _FUTILE_RUNS or vcpu.instructions >= limit:
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
        for vcpu in self._target.vcpus:
            if not isinstance(vcpu, SupportsInstructionCount):
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
        for number, vcpu in enumerate(target.vcpus):
            if not isinstance(vcpu, SupportsInstructionLimit) or not isinstance(
                vcpu, SupportsInstructionCount
            ):
                raise Unsupported(
                    "this provider cannot stop after a number of instructions: give a timeout"
                )
            target.limits[number] = vcpu.instructions + max_instructions
        target.limited = True
        target.apply_limits()
