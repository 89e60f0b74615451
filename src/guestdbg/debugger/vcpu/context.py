"""One vCPU under the debugger: letting it run, and what its exits come to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.armed_state import OFF, STEP_DISARMED
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.memory.address_space import AddressSpace
from guestdbg.debugger.memory.brk_patches import BRK_IMMEDIATE
from guestdbg.debugger.unwind.unwinder import Frame, Unwinder
from guestdbg.debugger.vcpu.breakpoint_handler import BreakpointHandler
from guestdbg.debugger.vcpu.exception_injection import hand_back, would_take
from guestdbg.debugger.vcpu.exception_vectors import ExceptionVectors
from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper
from guestdbg.debugger.vcpu.hit_programs import HitProgramSet
from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints
from guestdbg.debugger.vcpu.registers import UNPICKLABLE, Cpu
from guestdbg.debugger.vcpu.single_step import SingleStepper
from guestdbg.debugger.vcpu.stop import Reason, Stop
from guestdbg.debugger.vcpu.watchpoint_handler import WatchpointHandler
from guestdbg.kvm import (
    Exit,
    ExitDebug,
    ExitHit,
    ExitIntr,
    ExitSystemEvent,
    GuestDebug,
    Vcpu,
)
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.kvm.regs import core_reg, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["VcpuContext"]

log = logging.getLogger(__name__)

_PC = core_reg("pc")
_PSTATE = core_reg("pstate")
_SP_EL0 = core_reg("sp")
_SP_EL1 = core_reg("sp_el1")
_X = tuple(core_reg(f"x{n}") for n in range(31))
_CONTEXTIDR_EL1 = sys_reg("CONTEXTIDR_EL1")

_EC_SHIFT = 26
_EC_BREAKPOINT, _EC_STEP, _EC_WATCHPOINT, _EC_BRK = 0x30, 0x32, 0x34, 0x3C
_BRK_COMMENT = 0xFFFF
# Watch hits between which the board is not looked after.
_AT_A_STRETCH = 256
#: Instructions between the PC after a hit and that of the hit, for them to be in one frame.
_NEAR = 128


class VcpuContext:
    """One vCPU: what is armed on it, and where in its stops it is.

    Attributes:
        stood: the PC at the last Stop, until the vCPU is let go again.
        stop_number: counts the times the vCPU was let go; tells hits of the past from the present.
        current: what ``set_guest_debug`` was given last.
    """

    def __init__(self, guest: Guest, number: int, vcpu: Vcpu) -> None:
        self.guest = guest
        self.number = number
        self.vcpu = vcpu
        self.cpu = Cpu(vcpu, guest.locate)
        self.space = AddressSpace(vcpu, guest.memory)
        self.get = vcpu.get_one_reg
        self.current: GuestDebug | None = OFF
        self.stood: int | None = None
        self.stop_number = 0
        self.vectors = ExceptionVectors(vcpu)
        self.devices = MmioWatchpoints(self)
        self.sequences = ExclusiveStepper(self)
        self.watching = WatchpointHandler(self)
        self.arrivals = BreakpointHandler(self)
        self.stepping = SingleStepper(self)
        self.deciding = HitProgramSet(self)

    def __reduce__(self) -> str:
        raise TypeError(UNPICKLABLE)

    # ---- running -----------------------------------------------------------------------------

    def advance(self) -> Stop | ExitIntr:
        """Run until something ends the run, or the provider gives the turn back (ExitIntr)."""
        guest, vcpu, board = self.guest, self.vcpu, self.guest.board
        run, watchpoint, deciding = vcpu.run, self.watching.hit, self.deciding
        arrivals = self.arrivals
        outcome: Stop | ExitIntr | None
        stretch = 0
        if self.stood is not None:
            self.resumed()
        if self.sequences.debug is not None:
            self.sequences.resume()
        while not guest.attention:
            if arrivals.reported is not None:
                outcome = arrivals.leave()
                if outcome is not None:
                    return outcome
                continue
            wanted = self.sequences.debug or guest.arming.armed
            if self.current is not wanted:
                self.current = None
                vcpu.set_guest_debug(wanted)
                self.current = wanted
            if deciding.arming is not guest.arming or self.sequences.debug or arrivals.interrupted:
                plainly = self.sequences.debug is not None or arrivals.interrupted
                deciding.follow(None if plainly else guest.arming)
            self.stop_number += 1
            # The board need not be asked about the stops that a watch makes by the thousand.
            if stretch:
                stretch -= 1
                exit_ = run()
                if type(exit_) is ExitHit:
                    outcome = deciding.hit(exit_)
                    if outcome is not None:
                        return outcome
                    continue
                if type(exit_) is not ExitDebug:
                    exit_ = board.carry_on(vcpu, exit_)
            else:
                exit_ = board.run(vcpu)
                stretch = _AT_A_STRETCH
            if type(exit_) is ExitHit:
                outcome = deciding.hit(exit_)
            elif type(exit_) is not ExitDebug:
                stretch = 0
                outcome = self.other(exit_)
            elif exit_.far is not None:
                outcome = watchpoint(exit_)
            else:
                outcome = self.debug(exit_)
            if outcome is not None:
                return outcome
        return ExitIntr()

    def other(self, exit_: Exit) -> Stop | ExitIntr | None:
        """An exit that is not KVM_EXIT_DEBUG."""
        if self.devices.hits:
            stop = self.devices.report()
            if stop is not None or type(exit_) is ExitIntr:
                return stop
        if type(exit_) is ExitIntr:
            return exit_
        return self.ended(exit_)

    def set(self, wanted: GuestDebug) -> None:
        """KVM_SET_GUEST_DEBUG, unless that is what is set."""
        if self.current is not wanted:
            self.current = None  # until it is known to be done: an exception may come between
            self.vcpu.set_guest_debug(wanted)
            self.current = wanted

    def sp(self) -> int:
        """The stack pointer in use."""
        pstate = self.get(_PSTATE)
        return self.get(_SP_EL1 if pstate >> 2 & 3 and pstate & 1 else _SP_EL0)

    def stop(self, reason: Reason, detail: str = "", hits: Sequence[Hit] = ()) -> Stop:
        """A Stop at where the vCPU stands."""
        self.stood = pc = self.get(_PC)
        return Stop(reason, self.cpu, pc, tuple(hits), detail)

    def resumed(self) -> None:
        """Let go again after a stop: nothing is left to be finished if the PC was moved by hand."""
        if self.get(_PC) != self.stood:
            self.sequences.abandon()
            self.watching.reported_before_access = None
            self.arrivals.interrupted.clear()
        self.stood = None

    def reset(self) -> None:
        """The vCPU has been reset: nothing of what it did before is left to be finished."""
        self.sequences.abandon()
        self.watching.reported_before_access = None
        self.arrivals.interrupted.clear()
        self.devices.hits.clear()
        self.deciding.follow(None)
        self.current = self.arrivals.reported = self.stood = None
        self.stop_number += 1

    def ended(self, exit_: Exit) -> Stop | ExitIntr:
        """The Stop that an exit means which no debugger asked for."""
        if type(exit_) is ExitIntr:
            return exit_
        if isinstance(exit_, ExitSystemEvent):
            off = exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN
            return self.stop("exit", "powered off" if off else str(exit_))
        return self.stop("error", str(exit_))

    # ---- debug exits -------------------------------------------------------------------------

    def debug(self, exit_: ExitDebug) -> Stop | ExitIntr | None:
        """KVM_EXIT_DEBUG of any class but a step that was asked for."""
        ec = exit_.hsr >> _EC_SHIFT
        if ec & ~1 == _EC_WATCHPOINT:
            return self.watching.hit(exit_)
        if ec & ~1 == _EC_BREAKPOINT:
            return self.arrivals.hit(exit_)
        # A BRK of the guest's own may lie under ours, and is executed when ours is left.
        if ec == _EC_BRK and exit_.hsr & _BRK_COMMENT == BRK_IMMEDIATE:
            pc = self.get(_PC)
            if self.arrivals.is_ours(pc):
                if pc in self.guest.arming.software:
                    return self.arrivals.arrive(pc, exit_)
                return self.arrivals.pass_by(pc)
        if ec & ~1 == _EC_STEP:
            # The guest's own are masked while it is debugged: one of ours that was broken off.
            self.current = None
            return None
        return self.hand_back(exit_)

    def hand_back(self, exit_: ExitDebug, *, leaving: bool = False) -> Stop | ExitIntr | None:
        """Give the guest a debug exception that is its own.

        ``leaving`` says that it came of executing the instruction under a breakpoint of ours.
        """
        pc = self.get(_PC)
        if not would_take(self.vcpu, exit_.hsr):
            # Routed to userspace it is not masked, but at EL1 it would have been: on to what it
            # came before, which may be our own BRK at the same place.
            here = not leaving and pc in self.guest.arming.software and self.arrivals.is_ours(pc)
            if here and exit_.hsr >> _EC_SHIFT & ~1 == _EC_BREAKPOINT:
                return self.arrivals.arrive(pc, exit_)
            stepped = self.stepping.single(pc, STEP_DISARMED)
            if type(stepped) is not ExitDebug:
                return self.other(stepped)
            return self.devices.report()
        vector = hand_back(self.vcpu, exit_.hsr, exit_.far)
        log.debug(
            "vCPU %d: a debug exception of the guest's own (hsr %#x) at %#x: it goes on at %#x",
            self.number,
            exit_.hsr,
            pc,
            vector,
        )
        return None

    # ---- looking -----------------------------------------------------------------------------

    def concerned(self, el: str, context: int | None, unprivileged: bool) -> bool:
        """Whether the present exception level and context are those that a point is for."""
        if el != "any":
            at_el0 = unprivileged or self.get(_PSTATE) >> 2 & 3 == 0
            if at_el0 != (el == "el0"):
                return False
        return context is None or self.get(_CONTEXTIDR_EL1) & 0xFFFF_FFFF == context

    def word(self, pc: int) -> int | None:
        """The instruction at ``pc``, None where nothing can be read."""
        try:
            return int.from_bytes(self.space.read(pc, 4), "little")
        except AddressError:
            return None

    def peek(self, address: int, length: int) -> bytes | None:
        """Guest virtual memory, None where nothing can be read."""
        try:
            return self.space.read(address, length)
        except AddressError:
            return None

    def x(self, number: int | None) -> int:
        """X0 to X30, or 0 for the zero register."""
        return 0 if number is None or number == 31 else self.get(_X[number])

    def backtrace(self, pc: int, limit: int) -> list[Frame]:
        """The frames from here outwards; frame 0 is shown at ``pc``."""
        registers = [self.get(reg) for reg in _X]
        registers.append(self.sp())
        guest = self.guest
        now = self.get(_PC)
        # After a watched access the registers are those behind the instruction; if it faulted,
        # the frame is still that of the instruction itself.
        here = now if abs(now - pc) <= _NEAR else pc
        unwinder = Unwinder(guest.images, guest.locate, self.space.read)
        frames = unwinder.frames(registers, here, limit)
        frames[0] = Frame(0, pc, frames[0].sp, guest.locate(pc))
        return frames
