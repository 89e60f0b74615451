"""Letting one vCPU run, and deciding what each of its exits leads to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.exception_class import BREAKPT, BRK64, EC_SHIFT, SOFTSTP, WATCHPT
from guestdbg.debugger.breakpoints.armed_state import STEP_DISARMED, InternalBreakpoint
from guestdbg.debugger.memory.brk_patches import BRK_IMMEDIATE
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.debugger.vcpu.exception_injection import inject, would_take
from guestdbg.debugger.vcpu.single_step import EC_EITHER_EL, STEPPED, SingleStepper
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitDebug, ExitHit, ExitHlt, ExitIntr, SupportsInstructionCount
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_MP_STATE_STOPPED,
)
from guestdbg.kvm.regs import PC

if TYPE_CHECKING:
    # The handlers of debug exits are imported at run time for a guest that has any.
    from guestdbg.debugger.breakpoints.vector_catch import VectorCatch
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.vcpu.breakpoint_handler import BreakpointHandler
    from guestdbg.debugger.vcpu.dma_watchpoints import DmaWatchpoints
    from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper
    from guestdbg.debugger.vcpu.hit_programs import HitProgramSet
    from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints
    from guestdbg.debugger.vcpu.resume_state import ResumeState
    from guestdbg.debugger.vcpu.stop import Outcome
    from guestdbg.debugger.vcpu.watchpoint_handler import WatchpointHandler
    from guestdbg.kvm import Exit, Vcpu

__all__ = ["InternalBreakpoints", "TakeTurn", "VcpuDriver"]

log = logging.getLogger(__name__)

#: Arms breakpoints of the debugger's own inside a ``with`` block.
InternalBreakpoints = Callable[[Sequence[InternalBreakpoint]], AbstractContextManager[None]]
#: Lets a vCPU run for a short turn: ``Scheduler.take_short_turn``.
TakeTurn = Callable[["VcpuDriver"], Stop | ExitIntr]

_BRK_COMMENT = 0xFFFF
_STEP_CONTROL = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW | KVM_GUESTDBG_SINGLESTEP
#: The exit of a completed step, with which a breakpoint that it reaches is reported.
_STEP_EXIT = ExitDebug(STEPPED | 1 << 25)  # ESR_ELx.IL: a 32-bit instruction
#: Debug exits and hits that are handled before the board is asked for pending work again.
_EXITS_BETWEEN_BOARD_POLLS = 256


class UnfinishedStep(NamedTuple):
    """A step that is complete, or can be made, when the vCPU gets to an address.

    Attributes:
        address: that of the instruction; of a WFI, that of the next one.
        sp: the least stack pointer there: an interrupt handler has a lower one.
        interrupted: an interrupt was taken instead of the instruction, which is yet to be executed.
    """

    address: int
    sp: int
    interrupted: bool


class VcpuDriver(VcpuContext):
    """Runs one vCPU, and hands each of its exits to the part that handles it.

    What handles debug exits is made when it is first needed.

    Attributes:
        stepper: executes single instructions.
        unfinished_step: the step that the next ``step()`` goes on with. The scheduler forgets it at
            the end of a run.
    """

    def __init__(
        self,
        target: Target,
        number: int,
        vcpu: Vcpu,
        internal_breakpoints: InternalBreakpoints,
        take_turn: TakeTurn,
    ) -> None:
        super().__init__(target, number, vcpu)
        self._internal_breakpoints = internal_breakpoints
        self._take_turn = take_turn
        self.unfinished_step: UnfinishedStep | None = None
        self._last_injected: tuple[int, int] | None = None
        self.stepper = SingleStepper(self)
        self._hit_programs: HitProgramSet | None = None

    @cached_property
    def mmio(self) -> MmioWatchpoints:
        """Hits on device registers."""
        from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints

        return MmioWatchpoints(self)

    @cached_property
    def dma(self) -> DmaWatchpoints:
        """Hits of devices on memory."""
        from guestdbg.debugger.vcpu.dma_watchpoints import DmaWatchpoints

        return DmaWatchpoints(self, self.mmio)

    @cached_property
    def exclusives(self) -> ExclusiveStepper:
        """Runs over exclusive sequences."""
        from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper

        return ExclusiveStepper(self)

    @cached_property
    def watchpoints(self) -> WatchpointHandler:
        """Handles watchpoint exits."""
        from guestdbg.debugger.vcpu.watchpoint_handler import WatchpointHandler

        return WatchpointHandler(
            self, self.stepper, self.exclusives, self.mmio, self.inject_debug_exception
        )

    @cached_property
    def breakpoints(self) -> BreakpointHandler:
        """Handles breakpoint exits."""
        from guestdbg.debugger.vcpu.breakpoint_handler import BreakpointHandler

        return BreakpointHandler(
            self,
            self.stepper,
            self.exclusives,
            self.mmio,
            inject=self.inject_debug_exception,
            handle_other_exit=self.handle_other_exit,
            report_before_sequence=self.watchpoints.report_before_sequence,
        )

    @property
    def hit_programs(self) -> HitProgramSet:
        """The hits that the provider decides by itself."""
        if self._hit_programs is None:
            from guestdbg.debugger.vcpu.hit_programs import HitProgramSet

            self._hit_programs = HitProgramSet(self, self.exclusives)
        return self._hit_programs

    def collect_counts(self) -> None:
        """Bring the points up to date with the hits that the provider has decided."""
        if self._hit_programs is not None:
            self._hit_programs.collect()

    def outdate_hit_programs(self) -> None:
        """What hit programs were made from has changed: they have to be made again."""
        if self._hit_programs is not None:
            self._hit_programs.invalidate()

    def _remove_hit_programs(self) -> None:
        if self._hit_programs is not None:
            self._hit_programs.sync(None)

    # ---- running -----------------------------------------------------------------------------

    def advance(self) -> Stop | ExitIntr:
        """Run until the run of the guest ends, or the vCPU gives up its turn (ExitIntr)."""
        try:
            if self.target.vector_catch is not None:
                return self._advance_with_catch(self.target.vector_catch)
            return self._advance()
        finally:
            # What the provider has counted belongs to the points before another vCPU runs.
            self.collect_counts()

    def _advance_with_catch(self, catch: VectorCatch) -> Stop | ExitIntr:
        """The same where semihosting calls are caught at the exception vectors."""
        while catch.was_off(self.number):
            # KVM resets a vCPU that another one has powered on when it runs next, and VBAR_EL1 with
            # it: it is 0 during the first instruction.
            if self.target.attention:
                return ExitIntr()
            running = self.target.armed.running
            self._remove_hit_programs()
            self.set_guest_debug(replace(running, control=running.control | _STEP_CONTROL))
            self.resume_count += 1
            exit_ = self.target.board.run(self.vcpu)
            if type(exit_) is ExitIntr:
                return exit_
            catch.powered_on(self.number)
            outcome = self._handle_exit(exit_)
            if outcome is not None:
                return outcome
        catch.refresh(self.number, self.vcpu, self.space)
        outcome = self._advance()
        idle = type(outcome) is ExitIntr and outcome.idle
        if idle and self.vcpu.get_mp_state() == KVM_MP_STATE_STOPPED:
            catch.powered_off(self.number)
        return outcome

    # One function: this loop runs at every stop, where a call more is measurable.
    def _advance(self) -> Stop | ExitIntr:  # noqa: C901
        target, vcpu, board, state = self.target, self.vcpu, self.target.board, self.resume_state
        run, hit_programs = vcpu.run, self._hit_programs
        outcome: Outcome
        exits_before_poll = 0
        if state.last_stop_pc is not None:
            self.note_resumed()
        if state.sequence is not None:
            self.exclusives.note_resumed()
        while not target.attention:
            if state.needs_step_over is not None:
                outcome = self.breakpoints.step_over()
                if outcome is not None:
                    return outcome
                continue
            sequence, armed = state.sequence, target.armed
            debug = armed.running if sequence is None else sequence.debug
            if self.guest_debug is not debug:
                self.guest_debug = None
                vcpu.set_guest_debug(debug)
                self.guest_debug = debug
            # The provider knows neither of exclusive sequences nor of breakpoints that must not be
            # reported again: hits are decided here then.
            if hit_programs is None and (armed.watches or armed.breakpoints):
                hit_programs = self.hit_programs
            if hit_programs is not None:
                decided_there = armed if sequence is None and not state.interrupted else None
                if hit_programs.armed is not decided_there:
                    hit_programs.sync(decided_there)
                if not hit_programs.current:
                    hit_programs.continue_counts()
            self.resume_count += 1
            # Handling a hit does not touch the board: after one, the board is not asked for
            # pending work at once, which costs more than the hit.
            if exits_before_poll:
                exits_before_poll -= 1
                exit_ = run()
                if type(exit_) is ExitHit:
                    outcome = self.hit_programs.handle_hit(exit_)
                    if outcome is not None:
                        return outcome
                    continue
                if type(exit_) is not ExitDebug:
                    exit_ = board.carry_on(vcpu, exit_)
            else:
                exit_ = board.run(vcpu)
                # A replay stops the vCPU where an input was delivered: only the board does that.
                exits_before_poll = 0 if board.inputs.replaying else _EXITS_BETWEEN_BOARD_POLLS
            if type(exit_) is ExitHit:
                outcome = self.hit_programs.handle_hit(exit_)
            elif type(exit_) is not ExitDebug:
                exits_before_poll = 0
                outcome = self.handle_non_debug_exit(exit_)
            elif exit_.far is not None:
                outcome = self.watchpoints.handle_hit(exit_)
            else:
                outcome = self.handle_debug_exit(exit_)
            if outcome is not None:
                return outcome
        return ExitIntr()

    def step(self) -> Outcome:
        """Execute one instruction, with watches armed. ExitIntr: call it again to go on.

        An exclusive sequence counts as one instruction. If an interrupt is taken instead of the
        instruction, its handler runs first. A breakpoint at the address that the step reaches is
        reported, as in a run.
        """
        catch = self.target.vector_catch
        if catch is not None:
            catch.refresh(self.number, self.vcpu, self.space)
        outcome = self._step()
        if outcome is not None:
            return outcome
        # No breakpoint is armed during a step, and its address is reached all the same.
        return self.report_reached()

    def report_reached(self) -> Outcome:
        """Report a breakpoint at the PC, which the vCPU has reached without running into it."""
        if not self.target.armed.breakpoints:
            return None
        pc = self.get(PC)
        if pc not in self.target.armed.breakpoints or pc == self.resume_state.needs_step_over:
            return None
        return self.breakpoints.handle_hit(pc, _STEP_EXIT)

    def _step(self) -> Outcome:
        pc = self.get(PC)
        state = self.resume_state
        if state.last_stop_pc is not None:
            self.note_resumed()
        if self.unfinished_step is not None:
            return self._finish_step(self.unfinished_step)
        state.needs_step_over = None
        if state.sequence is None:
            if self.target.armed.reports_before:
                stop = self.watchpoints.report_before_sequence(pc)
                if stop is not None or self.get(PC) != pc:
                    return stop
            if not self.exclusives.begin(pc):
                return self._step_plain(pc)
        self._remove_hit_programs()
        while state.sequence is not None:
            if self.target.attention:
                return ExitIntr()
            self.set_guest_debug(state.sequence.debug)
            self.resume_count += 1
            exit_ = self.target.board.run(self.vcpu)
            outcome = self._handle_exit(exit_)
            if outcome is not None:
                return outcome
        return None

    def _step_plain(self, pc: int) -> Outcome:
        exit_ = self.stepper.step(pc, self.target.armed.step_watching)
        if type(exit_) is ExitIntr:
            after = self.get(PC)
            if after != pc:  # a WFI is complete when its vCPU does not wait any more
                self.unfinished_step = UnfinishedStep(after, self.sp(), interrupted=False)
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return self.handle_other_exit(exit_)
        if self.get(PC) != pc + 4 and self.vectors.taken_instead(pc):
            if self.target.step_into_interrupts:
                return None
            sp = self.vectors.sp_before()
            if pc in self.target.armed.breakpoints:
                # The step began at it: coming back to it is not a new hit.
                self.resume_state.interrupted.add((pc, sp))
            self.unfinished_step = UnfinishedStep(pc, sp, interrupted=True)
            return self._finish_step(self.unfinished_step)
        # An access that was reported before has been made now, without its watch.
        self.resume_state.reported_before_access = None
        return self.mmio.report() if self.resume_state.device_hits else None

    def _finish_step(self, unfinished: UnfinishedStep) -> Outcome:
        """Go on with a step for one turn. ExitIntr: it is not complete yet."""
        pc = unfinished.address
        with self._internal_breakpoints([InternalBreakpoint(pc, self.number, unfinished.sp)]):
            outcome = self._take_turn(self)
        if type(outcome) is ExitIntr:
            return outcome
        self.unfinished_step = None
        if outcome.reason != "until":
            return outcome
        state = self.resume_state
        state.last_stop_pc = None
        if not unfinished.interrupted:
            return None
        state.needs_step_over = None
        return self._step_plain(pc)

    # ---- the state that resuming depends on --------------------------------------------------

    def note_resumed(self) -> None:
        """The vCPU is resumed after a Stop: if the PC was set by hand, nothing is pending."""
        state = self.resume_state
        if self.get(PC) != state.last_stop_pc:
            self.exclusives.abandon()
            state.forget_instruction()
        state.last_stop_pc = None

    def reset(self) -> None:
        """The vCPU has been reset: nothing of what it did before is left to finish."""
        self.exclusives.abandon()
        self.resume_state.clear()
        self._remove_hit_programs()
        self.guest_debug = None
        self.resume_count += 1
        self._last_injected = None

    def restore(self, state: ResumeState) -> None:
        """The vCPU was put back to where ``state`` was copied; the points are those of now."""
        self.guest_debug = None  # KVM has what was armed then
        self.resume_count += 1  # hits from before are stale
        self.resume_state = state.copy()
        self._last_injected = None  # the same again is no loop: it is the past once more
        self.exclusives.note_restored()

    # ---- exits -------------------------------------------------------------------------------

    def handle_non_debug_exit(self, exit_: Exit) -> Outcome:
        """Any exit but KVM_EXIT_DEBUG."""
        if self.resume_state.device_hits:
            stop = self.mmio.report()
            if stop is not None or type(exit_) is ExitIntr:
                return stop
        if type(exit_) is ExitHlt:
            from guestdbg.debugger.vcpu.semihosting import perform_call

            return perform_call(self, exit_)
        return self.stop_for_exit(exit_)

    def _handle_exit(self, exit_: Exit) -> Outcome:
        """Any exit, except the end of a step that is under way."""
        if type(exit_) is ExitDebug:
            return self.handle_debug_exit(exit_)
        return self.handle_non_debug_exit(exit_)

    def handle_debug_exit(self, exit_: ExitDebug) -> Outcome:
        """KVM_EXIT_DEBUG, except the end of a step that is under way."""
        ec = exit_.hsr >> EC_SHIFT
        if ec & ~1 == WATCHPT:
            return self.watchpoints.handle_hit(exit_)
        if ec & ~1 == BREAKPT:
            return self.breakpoints.handle_exit(exit_)
        # A BRK of the guest's own may lie under the debugger's. It is executed when the debugger's
        # is stepped over.
        if ec == BRK64 and exit_.hsr & _BRK_COMMENT == BRK_IMMEDIATE:
            pc = self.get(PC)
            if self.breakpoints.has_brk(pc):
                if pc in self.target.armed.brk_addresses:
                    return self.breakpoints.handle_hit(pc, exit_)
                return self.breakpoints.step_over_alias(pc)
        if ec & ~1 == SOFTSTP:
            # The guest's own steps are masked while it is debugged from userspace: this one is of
            # the debugger's, and was broken off.
            self.guest_debug = None
            return None
        return self.inject_debug_exception(exit_)

    def handle_other_exit(self, exit_: Exit) -> Outcome:
        """A step of one instruction has ended with another exit than that of the step.

        The instruction itself made the exit: no breakpoint of the debugger's was armed.
        """
        if type(exit_) is not ExitDebug or self.target.armed.uses_hardware:
            return self._handle_exit(exit_)
        # Without USE_HW the debug registers are the guest's, and the debugger's BRK was not in
        # memory: the exception is the guest's own.
        return self.inject_debug_exception(exit_, stepping_over=True)

    def inject_debug_exception(self, exit_: ExitDebug, *, stepping_over: bool = False) -> Outcome:
        """Give the guest a debug exception that is its own.

        ``stepping_over``: it came from executing the instruction under a reported breakpoint.
        """
        pc = self.get(PC)
        if not would_take(self.vcpu, exit_.hsr):
            # With MDCR_EL2.TDE the exception is routed to EL2 although it would be masked at EL1.
            # The guest must not see it: execute the instruction that it was taken before. That may
            # be a BRK of the debugger's at the same address.
            if (
                not stepping_over
                and exit_.hsr >> EC_SHIFT & ~1 == BREAKPT
                and pc in self.target.armed.brk_addresses
                and self.breakpoints.has_brk(pc)
            ):
                return self.breakpoints.handle_hit(pc, exit_)
            stepped = self.stepper.step(pc, STEP_DISARMED)
            if type(stepped) is not ExitDebug:
                return self.handle_non_debug_exit(stepped)
            return self.mmio.report()
        if isinstance(self.vcpu, SupportsInstructionCount):
            # No instruction limit would end this: nothing retires between.
            here = (pc, self.vcpu.instructions)
            if here == self._last_injected:
                from guestdbg.debugger.vcpu.diagnosis import syndrome_words

                return self.stop(
                    "error",
                    f"the guest cannot go on: the code at its exception vector {pc:#x} raises an "
                    f"exception itself, again and again: {syndrome_words(exit_.hsr)}",
                )
            self._last_injected = here
        vector = inject(self.vcpu, exit_.hsr, exit_.far)
        log.debug(
            "vCPU %d: a debug exception of the guest's own (hsr %#x) at %#x: it goes on at %#x",
            self.number,
            exit_.hsr,
            pc,
            vector,
        )
        return None
