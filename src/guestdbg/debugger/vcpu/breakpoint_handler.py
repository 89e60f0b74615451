"""Breakpoint exits of one vCPU, and executing the instruction under a reported breakpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.access_decoder import Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.semihosting import perform_call
from guestdbg.debugger.vcpu.single_step import EC_EITHER_EL, STEPPED
from guestdbg.kvm import ExitDebug, ExitIntr
from guestdbg.kvm.regs import PC

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper
    from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints
    from guestdbg.debugger.vcpu.single_step import SingleStepper
    from guestdbg.debugger.vcpu.stop import Outcome, Stop
    from guestdbg.kvm import Exit, ExitHlt

__all__ = ["BreakpointHandler"]


class BreakpointHandler:
    """The breakpoint hits of one vCPU.

    ``inject`` gives the guest a debug exception that is its own; ``handle_other_exit`` handles the
    exit with which a step ended that is not the step's own; ``report_before_sequence`` calls the
    handlers of watches that are reported before the accesses of an exclusive sequence.
    """

    def __init__(
        self,
        context: VcpuContext,
        stepper: SingleStepper,
        exclusives: ExclusiveStepper,
        mmio: MmioWatchpoints,
        *,
        inject: Callable[[ExitDebug], Outcome],
        handle_other_exit: Callable[[Exit], Outcome],
        report_before_sequence: Callable[[int], Stop | None],
    ) -> None:
        self._context = context
        self._target = context.target
        self._stepper = stepper
        self._exclusives = exclusives
        self._mmio = mmio
        self._inject = inject
        self._handle_other_exit = handle_other_exit
        self._report_before_sequence = report_before_sequence
        self._get = context.vcpu.get_one_reg

    def handle_exit(self, exit_: ExitDebug) -> Outcome:
        """The exit of a hardware breakpoint."""
        pc = self._get(PC)
        if self._context.resume_state.sequence is not None:
            return self._exclusives.end(pc)
        armed = self._target.armed
        if not armed.uses_hardware:
            return self._inject(exit_)
        if pc in armed.catches:
            call = self._call_at(pc)
            if call is not None:
                return perform_call(self._context, call)
            pc = self._get(PC)
        if armed.has_breakpoint(pc):
            return self.handle_hit(pc, exit_)
        return None

    def _call_at(self, pc: int) -> ExitHlt | None:
        """The semihosting call at an exception vector; None if it is something else."""
        context, catch = self._context, self._target.vector_catch
        if catch is None or not catch.is_vector(pc):
            return None
        return catch.call_at(context.number, context.vcpu, context.space)

    def handle_hit(self, pc: int, exit_: ExitDebug) -> Stop | None:
        """The vCPU is at a breakpoint of the debugger's: report it to its points."""
        context, armed = self._context, self._target.armed
        state = context.resume_state
        reached: Stop | None = None
        report = True
        if state.interrupted or pc in armed.internal:
            sp = context.sp()
            report = (pc, sp) not in state.interrupted
            state.interrupted.discard((pc, sp))
            for internal in armed.internal.get(pc, ()):
                if internal.vcpu == context.number and sp >= internal.minimum_sp:
                    reached = context.stop("until")
        points = armed.breakpoints.get(pc, ()) if report else ()
        if reached is None or points:
            state.needs_step_over = pc
        hits = [
            Hit(context, point, pc, Touched(pc, 4, 0), exit_, None)
            for point in points
            if not point.restricted or context.matches(point, False)
        ]
        stop = dispatch(context, hits) if hits else None
        return stop or reached

    def step_over(self) -> Outcome:
        """Execute the instruction under what was reported: a breakpoint, or a watch before its
        access.
        """
        context = self._context
        state = context.resume_state
        pc = self._get(PC)
        armed = self._target.armed
        at_breakpoint = armed.has_breakpoint(pc)
        before_access = state.reported_before_access == (pc, context.sp())
        if pc != state.needs_step_over or not (at_breakpoint or before_access):
            # The PC was set by hand, or the breakpoint was taken out.
            state.needs_step_over = None
            return None
        outcome = self._report_before_sequence(pc)
        if outcome is not None or self._get(PC) != pc:
            return outcome
        if self._exclusives.begin(pc, from_breakpoint=at_breakpoint):
            state.needs_step_over = None
            return None
        exit_ = self._stepper.step(pc, armed.step_watching)
        if type(exit_) is ExitIntr:
            return exit_
        state.needs_step_over = None
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return self._handle_other_exit(exit_)
        if self._get(PC) != pc + 4 and context.vectors.taken_instead(pc):
            if at_breakpoint:
                state.interrupted.add((pc, context.vectors.sp_before()))
        elif before_access:
            state.reported_before_access = None
        return self._mmio.report() if state.device_hits else None

    def has_brk(self, pc: int) -> bool:
        """Whether a BRK of the debugger's is in memory at the virtual address ``pc``."""
        try:
            return self._target.memory.has_brk_at(self._context.space.translate(pc))
        except AddressError:
            return False

    def step_over_alias(self, pc: int) -> Outcome:
        """Execute what lies under a BRK that was reached by another virtual address.

        Breakpoints are at virtual addresses: there is none here.
        """
        exit_ = self._stepper.step_under_brk(pc, self._target.armed.step_watching)
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return self._handle_other_exit(exit_)
        return self._mmio.report() if self._context.resume_state.device_hits else None
