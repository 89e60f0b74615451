"""Letting the vCPUs run: turns, time and instruction limits, interruption."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import InvalidLocation, Unsupported
from guestdbg.debugger.validation import integer
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitIntr, SupportsInstructionCount, SupportsInstructionLimit
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["ResumeAction", "Scheduler"]

#: A vCPU's turn where several share the thread: instructions, or seconds where nothing counts them.
TURN_INSTRUCTIONS = 100_000
TURN_SECONDS = 0.005
#: The turn of those that run while another is stepped.
TURN_BESIDE_STEPS = 2_000
#: Steps within a range after which the others get their turn again.
_STEPS_AT_A_STRETCH = 500

#: Instructions that nobody will see the end of; what a provider counts in has 64 bits.
_FOR_EVER = 1 << 62

_IDLE = "every vCPU waits (WFI, or powered off) for an interrupt that nothing will bring"


@dataclass(frozen=True, slots=True)
class ResumeAction:
    """What one vCPU is to do when it is let go: run, or take a step.

    A step is one instruction, and then as many as it takes to leave the addresses from ``start``
    to before ``end``.
    """

    step: bool = False
    start: int = 0
    end: int = 0


class Scheduler:
    """Runs the vCPUs of a guest in turns, in one thread, and stops them all together."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._turn = 0
        self._limits: dict[int, int] = {}
        self._interrupted = False
        self._timed_out = False
        self._timeout: float | None = None
        self._max_instructions: int | None = None
        self._stop_at: int | None = None
        self._untaken = 0

    @property
    def current(self) -> VcpuContext:
        """The vCPU whose turn it is: the one that stopped last."""
        return self._guest.cores[self._turn]

    def interrupt(self) -> None:
        """Stop the guest; from any thread. One that is not running stops as soon as it is run."""
        self._interrupted = True
        self._wake()

    def forget_interrupt(self) -> None:
        """Take an ``interrupt`` back that no run has ended with."""
        self._interrupted = False

    def _wake(self) -> None:
        self._guest.attention = True
        for core in self._guest.cores:
            core.vcpu.kick()

    def _time_out(self) -> None:
        self._timed_out = True
        self._wake()

    def until_stop(
        self, move: Callable[[], Stop], timeout: float | None, max_instructions: int | None
    ) -> Stop:
        """Make a move within ``timeout`` seconds and ``max_instructions`` over all vCPUs."""
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
            return move()
        finally:
            if timer is not None:
                timer.cancel()
            self._clear_limits()

    def settle(self, move: Callable[[], Stop | ExitIntr | None]) -> Stop | None:
        """Make a move of one vCPU, as often as it is given up for nothing (a stray kick).

        None when the move was made and there is nothing to say of it.
        """
        while True:
            if self._guest.attention or self._stop_at is not None:
                stop = self._due()
                if stop is not None:
                    return stop
            outcome = move()
            if outcome is None or type(outcome) is Stop:
                return outcome
            assert isinstance(outcome, ExitIntr)
            if outcome.idle and not self._guest.attention and not self._input():
                return self.current.stop("idle", _IDLE)

    def all(self) -> Stop:
        """Let all vCPUs run, in turns, until something stops one of them."""
        guest = self._guest
        cores = guest.cores
        idle = 0
        while True:
            stop = self._due()
            if stop is not None:
                return stop
            outcome = self._take_turn(cores[self._turn])
            if isinstance(outcome, Stop):
                return outcome
            idle = idle + 1 if outcome.idle else 0
            if idle >= len(cores) and not guest.attention and not self._input():
                return self.current.stop("idle", _IDLE)
            self._turn = (self._turn + 1) % len(cores)

    def some(self, moves: Mapping[int, ResumeAction]) -> Stop:
        """Resume the vCPUs with these numbers, each by its ``ResumeAction``; the others are held.

        Where some run and some step, those that run get short turns beside the steps.
        """
        guest = self._guest
        for number in moves:
            if not 0 <= number < len(guest.cores):
                raise InvalidLocation(
                    f"there is no vCPU {number}: this guest has {len(guest.cores)}"
                )
        if not moves:
            raise InvalidLocation("no vCPU is to move")
        runners = [
            core for core in guest.cores if core.number in moves and not moves[core.number].step
        ]
        steppers = [
            core for core in guest.cores if core.number in moves and moves[core.number].step
        ]
        if len(runners) == len(guest.cores):
            return self.all()
        turn = TURN_BESIDE_STEPS if steppers else TURN_INSTRUCTIONS
        while True:
            idle = True
            for core in runners:
                self._turn = core.number
                outcome = self._due() or self._take_turn(core, turn)
                if isinstance(outcome, Stop):
                    return outcome
                idle = idle and outcome.idle
            for core in steppers:
                self._turn = core.number
                stepped = self._step(core, moves[core.number], alone=not runners)
                if isinstance(stepped, Stop):
                    return stepped
                idle = idle and stepped.idle
            if idle and not guest.attention and not self._input():
                return self.current.stop("idle", _IDLE)

    def _step(self, core: VcpuContext, go: ResumeAction, *, alone: bool) -> Stop | ExitIntr:
        """Step a vCPU; ExitIntr where it waits, or has been at it for so long that others wait."""
        steps = 0
        while True:
            stop = self._due()
            if stop is not None:
                return stop
            outcome = core.stepping.step()
            if type(outcome) is Stop:
                return outcome
            if outcome is not None:
                assert isinstance(outcome, ExitIntr)
                if outcome.idle:
                    return outcome
                continue
            if not go.start <= core.cpu.pc < go.end:
                return core.stop("step")
            steps += 1
            if steps >= _STEPS_AT_A_STRETCH and not alone:
                return ExitIntr()

    def _input(self) -> bool:
        """Whether the console still has something for the guest that it may yet take.

        A guest that waits and takes nothing is not woken by it.
        """
        left = self._guest.board.console.pending_input
        taken, self._untaken = left != self._untaken, left
        return bool(left) and taken

    def _due(self) -> Stop | None:
        """What there is to stop for, other than what the guest does."""
        guest = self._guest
        if guest.attention:
            guest.attention = False
            if self._interrupted:
                self._interrupted = False
                return self.current.stop("interrupt")
            if self._timed_out:
                self._timed_out = False
                return self.current.stop("timeout", f"after {self._timeout:g} seconds")
        if self._stop_at is not None and self._left(self._stop_at) <= 0:
            return self.current.stop("limit", f"after {self._max_instructions} instructions")
        return None

    def _take_turn(self, core: VcpuContext, turn: int = TURN_INSTRUCTIONS) -> Stop | ExitIntr:
        if len(self._guest.cores) == 1:
            return core.advance()
        if core.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
            return ExitIntr(idle=True)
        vcpu = core.vcpu
        if isinstance(vcpu, SupportsInstructionLimit) and isinstance(
            vcpu, SupportsInstructionCount
        ):
            if self._stop_at is not None:
                turn = min(turn, self._left(self._stop_at))
            self._limits[core.number] = vcpu.instructions + turn
            vcpu.max_instructions = self._limits[core.number]
            self._guest.limited = True
            return core.advance()
        timer = threading.Timer(TURN_SECONDS, vcpu.kick)
        timer.daemon = True
        timer.start()
        try:
            return core.advance()
        finally:
            timer.cancel()

    # ---- instruction limits ------------------------------------------------------------------

    def retired(self) -> int:
        """Instructions retired by all vCPUs; raises Unsupported where nobody counts them."""
        total = 0
        for core in self._guest.cores:
            if not isinstance(core.vcpu, SupportsInstructionCount):
                raise Unsupported(
                    "this provider does not count instructions: give a timeout instead of "
                    "max_instructions"
                )
            total += core.vcpu.instructions
        return total

    def _left(self, stop_at: int) -> int:
        return stop_at - self.retired()

    def _set_limit(self, max_instructions: int | None) -> None:
        if max_instructions is None:
            return
        if integer("max_instructions", max_instructions) < 0:
            raise InvalidLocation(f"max_instructions is {max_instructions}: 0 is the least")
        guest = self._guest
        max_instructions = min(max_instructions, _FOR_EVER)
        self._stop_at = self.retired() + max_instructions
        for core in guest.cores:
            vcpu = core.vcpu
            if not isinstance(vcpu, SupportsInstructionLimit) or not isinstance(
                vcpu, SupportsInstructionCount
            ):
                raise Unsupported(
                    "this provider cannot stop after a number of instructions: give a timeout"
                )
            self._limits[core.number] = vcpu.instructions + max_instructions
        guest.limited = True
        self.apply_limits()

    def _clear_limits(self) -> None:
        self._stop_at = None
        self._limits.clear()
        if self._guest.limited:
            self._guest.limited = False
            for core in self._guest.cores:
                if isinstance(core.vcpu, SupportsInstructionLimit):
                    core.vcpu.max_instructions = None

    def apply_limits(self) -> None:
        """Put the limits back that a single step had to lift."""
        for core in self._guest.cores:
            limit = self._limits.get(core.number)
            if limit is not None and isinstance(core.vcpu, SupportsInstructionLimit):
                core.vcpu.max_instructions = limit

    def select(self, number: int) -> None:
        """Make a vCPU the current one."""
        self._turn = number
