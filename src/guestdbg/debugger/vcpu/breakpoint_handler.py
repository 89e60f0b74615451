"""One vCPU's arrivals at breakpoints, and how it gets off them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.access_decoder import Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.single_step import EC_EITHER_EL, STEPPED
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitDebug, ExitIntr
from guestdbg.kvm.regs import core_reg

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["BreakpointHandler"]

_PC = core_reg("pc")


class BreakpointHandler:
    """The breakpoint hits of one vCPU.

    Attributes:
        reported: the address of the breakpoint that the vCPU stands at and that has been reported:
            it is stepped off before anything else.
        interrupted: breakpoints (PC and SP) that were reported, and whose instruction an interrupt
            kept from being executed: coming back to one is not a new hit.
    """

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self._guest = core.guest
        self._get = core.vcpu.get_one_reg
        self.reported: int | None = None
        self.interrupted: set[tuple[int, int]] = set()

    def hit(self, exit_: ExitDebug) -> Stop | ExitIntr | None:
        """A breakpoint exit."""
        core = self._core
        pc = self._get(_PC)
        if core.sequences.debug is not None:
            return core.sequences.end(pc)
        arming = self._guest.arming
        if not arming.hardware:
            return core.hand_back(exit_)
        if pc in arming.breakpoints or pc in arming.temporaries:
            return self.arrive(pc, exit_)
        return None

    def arrive(self, pc: int, exit_: ExitDebug) -> Stop | None:
        """The vCPU has come to a breakpoint of ours: tell it to whom it concerns."""
        core, arming = self._core, self._guest.arming
        done: Stop | None = None
        silent = False
        if self.interrupted or pc in arming.temporaries:
            sp = core.sp()
            silent = (pc, sp) in self.interrupted
            self.interrupted.discard((pc, sp))
            for temporary in arming.temporaries.get(pc, ()):
                if temporary.core == core.number and sp >= temporary.minimum_sp:
                    done = core.stop("until")
        points = () if silent else arming.breakpoints.get(pc, ())
        if done is None or points:
            self.reported = pc
        hits = [
            Hit(core, point, pc, Touched(pc, 4, 0), exit_, None)
            for point in points
            if not point.restricted or core.concerned(point.el, point.context, False)
        ]
        stop = dispatch(core, hits) if hits else None
        return stop or done

    def leave(self) -> Stop | ExitIntr | None:
        """Execute the instruction under a breakpoint that has been reported."""
        core = self._core
        pc = self._get(_PC)
        arming = self._guest.arming
        if pc != self.reported or not (pc in arming.breakpoints or pc in arming.temporaries):
            self.reported = None
            return None
        if core.sequences.begin(pc, from_breakpoint=True):
            self.reported = None
            return None
        exit_ = core.stepping.single(pc, arming.step_watching)
        if type(exit_) is ExitIntr:
            return exit_
        self.reported = None
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return core.stepping.instead(exit_)
        if self._get(_PC) != pc + 4 and core.vectors.taken_instead(pc):
            self.interrupted.add((pc, core.vectors.sp_before()))
        return core.devices.report() if core.devices.hits else None

    def is_ours(self, pc: int) -> bool:
        """Whether a BRK of ours is what lies at ``pc``."""
        try:
            return self._guest.memory.is_ours(self._core.space.translate(pc))
        except AddressError:
            return False

    def pass_by(self, pc: int) -> Stop | ExitIntr | None:
        """Execute what lies under a BRK of ours that was reached by another virtual address.

        Breakpoints are virtual: nobody asked for one here.
        """
        core = self._core
        exit_ = core.stepping.under(pc, self._guest.arming.step_watching)
        if type(exit_) is not ExitDebug or exit_.hsr & EC_EITHER_EL != STEPPED:
            return core.stepping.instead(exit_)
        return core.devices.report() if core.devices.hits else None
