"""Single steps of one vCPU, and all that may come instead of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.armed_state import InternalBreakpoint
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import (
    Exit,
    ExitDebug,
    ExitIntr,
    GuestDebug,
    SupportsInstructionLimit,
)
from guestdbg.kvm.regs import core_reg

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["EC_EITHER_EL", "STEPPED", "SingleStepper"]

_PC = core_reg("pc")
#: The class of a software step in ESR_EL2, from EL0 or EL1: they differ in the lowest bit.
STEPPED, EC_EITHER_EL = 0x32 << 26, 0x3E << 26


class SingleStepper:
    """The single steps of one vCPU."""

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self._guest = core.guest
        self._vcpu = core.vcpu
        self._get = core.vcpu.get_one_reg

    def step(self) -> Stop | ExitIntr | None:
        """One instruction, with watches armed; None when it went by unremarked.

        An exclusive sequence counts as one instruction. An interrupt that is taken instead of the
        instruction is run to its end first.
        """
        core = self._core
        pc = self._get(_PC)
        if core.stood is not None:
            core.resumed()
        core.arrivals.reported = None
        sequences = core.sequences
        if sequences.debug is None and not sequences.begin(pc):
            return self._plain(pc)
        core.deciding.follow(None)
        while sequences.debug is not None:
            if self._guest.attention:
                return ExitIntr()
            core.set(sequences.debug)
            core.stop_number += 1
            exit_ = self._guest.board.run(self._vcpu)
            outcome = core.debug(exit_) if type(exit_) is ExitDebug else core.other(exit_)
            if outcome is not None:
                return outcome
        return None

    def _plain(self, pc: int) -> Stop | ExitIntr | None:
        core = self._core
        exit_ = self.single(pc, self._guest.arming.step_watching)
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return self.instead(exit_)
        if self._get(_PC) != pc + 4 and core.vectors.taken_instead(pc):
            return self._interrupted(pc, core.vectors.sp_before())
        # An access that was told before it, and has now been made with its watch disarmed.
        core.watching.reported_before_access = None
        return core.devices.report() if core.devices.hits else None

    def instead(self, exit_: Exit) -> Stop | ExitIntr | None:
        """What the instruction itself came to, with no breakpoint of ours before it."""
        core = self._core
        if type(exit_) is not ExitDebug:
            return core.other(exit_)
        if self._guest.arming.hardware:
            return core.debug(exit_)
        # Nothing of ours was in the hardware, and our BRK out of memory.
        return core.hand_back(exit_, leaving=True)

    def _interrupted(self, pc: int, sp: int) -> Stop | ExitIntr | None:
        """An interrupt came first: let its handler run, then step."""
        core, guest = self._core, self._guest
        with guest.points.temporaries([InternalBreakpoint(pc, core.number, sp)]):
            outcome = guest.runloop.settle(core.advance)
            if outcome is None or outcome.reason != "until":
                return outcome
        core.arrivals.reported = core.stood = None
        return self._plain(pc)

    def single(self, pc: int, debug: GuestDebug) -> Exit:
        """Run the instruction at ``pc`` alone; whatever exit ended that.

        A kick in between is remembered by the guest, so the step is carried through.
        """
        core = self._core
        if pc in self._guest.arming.software:
            return self.under(pc, debug)
        if core.current is not debug:
            core.set(debug)
        core.stop_number += 1
        exit_ = self._vcpu.run()
        return exit_ if type(exit_) is ExitDebug else self.finish(exit_)

    def under(self, pc: int, debug: GuestDebug) -> Exit:
        """The same for an instruction that lies under a BRK of ours."""
        memory = self._guest.memory
        physical = self._core.space.translate(pc)
        memory.lift(physical)
        self._core.set(debug)
        try:
            return self.finish(None)
        finally:
            memory.drop(physical)

    def finish(self, exit_: Exit | None) -> Exit:
        """Carry a step through; ``exit_`` is what it has come to so far, None before it began."""
        guest, vcpu = self._guest, self._vcpu
        try:
            while True:
                if exit_ is None:
                    self._core.stop_number += 1
                    exit_ = guest.board.run(vcpu)
                elif type(exit_) is not ExitDebug:
                    exit_ = guest.board.carry_on(vcpu, exit_)
                if type(exit_) is not ExitIntr:
                    return exit_
                if vcpu.immediate_exit:
                    vcpu.immediate_exit = False
                elif exit_.idle:
                    return exit_
                elif guest.limited and isinstance(vcpu, SupportsInstructionLimit):
                    vcpu.max_instructions = None
                exit_ = None
        finally:
            if guest.limited:
                guest.runloop.apply_limits()
