"""Executing one instruction of a vCPU alone, whatever exits come before it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.exception_class import EC_SHIFT, SOFTSTP
from guestdbg.kvm import (
    ExitDebug,
    ExitHlt,
    ExitIntr,
    SupportsInstructionLimit,
)

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.kvm import (
        Exit,
        GuestDebug,
    )

__all__ = ["EC_EITHER_EL", "STEPPED", "SingleStepper"]

#: ``hsr & EC_EITHER_EL == STEPPED``: the exit is a software step. Its class has a lowest bit that
#: says whether the Exception level changed.
STEPPED, EC_EITHER_EL = SOFTSTP << EC_SHIFT, 0x3E << EC_SHIFT


class SingleStepper:
    """The single steps of one vCPU."""

    def __init__(self, context: VcpuContext) -> None:
        self._context = context
        self._target = context.target
        self._vcpu = context.vcpu

    def step(self, pc: int, debug: GuestDebug) -> Exit:
        """Execute the instruction at ``pc``, armed with ``debug``; the exit that ended it.

        A kick does not end it, except a WFI: the scheduler remembers what it was for.
        """
        context = self._context
        if pc in self._target.armed.brk_addresses:
            return self.step_under_brk(pc, debug)
        if self._target.vector_catch is not None:
            context.set_guest_debug(debug)
            return self._stepped(pc, self.run_to_step_exit(None))
        if context.guest_debug is not debug:
            context.set_guest_debug(debug)
        context.resume_count += 1
        # The board need only know where another vCPU's turn begins.
        board, vcpu = self._target.board, self._vcpu
        exit_ = vcpu.run() if board.turn_vcpu is vcpu else board.run(vcpu)
        return exit_ if type(exit_) is ExitDebug else self.run_to_step_exit(exit_)

    def step_under_brk(self, pc: int, debug: GuestDebug) -> Exit:
        """The same for an instruction that the debugger has replaced by a BRK."""
        memory = self._target.memory
        physical = self._context.space.translate(pc)
        memory.remove(physical)
        self._context.set_guest_debug(debug)
        try:
            return self._stepped(pc, self.run_to_step_exit(None))
        finally:
            memory.reinsert(physical)

    def _stepped(self, pc: int, exit_: Exit) -> Exit:
        """The exit of a step. The exception of a semihosting call becomes the call's exit."""
        catch, context = self._target.vector_catch, self._context
        if catch is None or type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return exit_
        return catch.stepped(context.number, context.vcpu, context.space, pc) or exit_

    def run_to_step_exit(self, exit_: Exit | None) -> Exit:
        """Complete a step; ``exit_`` is the last exit of the vCPU, None before the first run.

        What KVM emulates (MMIO, system registers, hypercalls) exits before the step does. A vCPU
        that waits in a WFI gives up its turn (ExitIntr): a step of it has no end that is known.
        """
        target, vcpu, board = self._target, self._vcpu, self._target.board
        try:
            while True:
                if exit_ is None:
                    self._context.resume_count += 1
                    exit_ = board.run(vcpu)
                elif type(exit_) is not ExitDebug:
                    exit_ = board.carry_on(vcpu, exit_)
                if type(exit_) is ExitHlt and target.semihosting is None:
                    from guestdbg.debugger.vcpu.semihosting import report_call

                    report_call(self._context, exit_)
                    exit_ = None
                    continue
                if type(exit_) is not ExitIntr or exit_.idle or exit_.waiting:
                    if type(exit_) is not ExitDebug:
                        self._context.forget_step()
                    return exit_
                if target.limited and isinstance(vcpu, SupportsInstructionLimit):
                    # The limit is reached before the instruction: it counts after the step.
                    vcpu.max_instructions = None
                exit_ = None
        finally:
            if target.limited:
                target.apply_limits()
