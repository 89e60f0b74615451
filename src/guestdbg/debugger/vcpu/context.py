"""One vCPU under the debugger: its state, and what is read from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guestdbg.arm64.pstate import exception_level, uses_sp_elx
from guestdbg.debugger.breakpoints.armed_state import OFF
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.memory.address_space import AddressSpace
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT, check_limit
from guestdbg.debugger.vcpu.exception_vectors import ExceptionVectors
from guestdbg.debugger.vcpu.registers import UNPICKLABLE, Cpu
from guestdbg.debugger.vcpu.resume_state import ResumeState
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import (
    ExitInternalError,
    ExitIntr,
    ExitSystemEvent,
    SupportsInstructionCount,
)
from guestdbg.kvm.constants import KVM_SYSTEM_EVENT_SHUTDOWN
from guestdbg.kvm.regs import PC, PSTATE, SP_EL0, SP_EL1, X, sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit, TaskName
    from guestdbg.debugger.breakpoints.point import Point
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.debugger.program.element_name import Element
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.unwind.backtrace import Backtrace
    from guestdbg.debugger.vcpu.stop import Reason
    from guestdbg.kvm import (
        Exit,
        GuestDebug,
        Vcpu,
    )

__all__ = ["VcpuContext"]

_CONTEXTIDR_EL1 = sys_reg("CONTEXTIDR_EL1")
_ZERO_REGISTER = 31
#: This bit of an address says which of the two tables translates it.
_UPPER_HALF = 55
#: A PC at most so many bytes from a hit's is taken to be in the same frame.
_SAME_FRAME_BYTES = 128


class VcpuContext:
    """One vCPU: what is armed on it, and the state that resuming it depends on.

    Attributes:
        number: its place among the guest's vCPUs.
        vcpu: the KVM vCPU.
        cpu: the vCPU as users have it.
        space: the virtual memory as it sees it.
        get: reads a register by its one-reg id.
        vectors: its exception vectors.
        resume_state: what it has to remember from one stop to the next.
        resume_count: how often it was resumed; a hit with another count is stale.
        guest_debug: what KVM_SET_GUEST_DEBUG was given last; None where that is not known.
    """

    def __init__(self, target: Target, number: int, vcpu: Vcpu) -> None:
        self.target = target
        self.guest = target.guest
        self.number = number
        self.vcpu = vcpu
        self._program: tuple[int, DebugInfo | None] = (-1, None)
        self.cpu = Cpu(vcpu, self.locate, self.backtrace, self.variable, self.set_register)
        self.space = AddressSpace(vcpu, target.memory)
        self.get = vcpu.get_one_reg
        self._counting = vcpu if isinstance(vcpu, SupportsInstructionCount) else None
        self.vectors = ExceptionVectors(vcpu)
        self.resume_state = ResumeState()
        self.resume_count = 0
        self.guest_debug: GuestDebug | None = OFF

    def collect_counts(self) -> None:
        """Bring the points' counts and recordings up to date with the hits that the provider
        has decided: a driver does."""

    def __reduce__(self) -> str:
        raise TypeError(UNPICKLABLE)

    def set_register(self, reg_id: int, value: int) -> None:
        """Write a register for the user, by its one-reg id."""
        self.target.will_write()
        self.vcpu.set_one_reg(reg_id, value)

    def set_guest_debug(self, debug: GuestDebug) -> None:
        """KVM_SET_GUEST_DEBUG, unless that is what is set."""
        if self.guest_debug is not debug:
            self.guest_debug = None  # an exception may come before it is set
            self.vcpu.set_guest_debug(debug)
            self.guest_debug = debug

    def forget_step(self) -> None:
        """Give up a step whose instruction may be done and whose exception has not been taken.

        Since Linux 6.14 the exception stays pending when KVM_RUN ends, also if the next ones do not
        step: it would end a later step before its instruction. Turning debugging off clears it.
        """
        self.set_guest_debug(OFF)

    # ---- stops -------------------------------------------------------------------------------

    def stop(
        self, reason: Reason, detail: str = "", hits: Sequence[Hit] = (), *, status: int = 0
    ) -> Stop:
        """A Stop at the present PC."""
        self.resume_state.last_stop_pc = pc = self.get(PC)
        time = self.target.now() if self.target.keeps_time else None
        for hit in hits:
            hit.time = time
        return Stop(reason, self.cpu, pc, tuple(hits), detail, status, time)

    def stop_for_exit(self, exit_: Exit) -> Stop | ExitIntr:
        """What an exit results in that has nothing to do with debugging."""
        if type(exit_) is ExitIntr:
            return exit_
        if isinstance(exit_, ExitSystemEvent):
            off = exit_.type == KVM_SYSTEM_EVENT_SHUTDOWN
            return self.stop("exit", "powered off" if off else str(exit_))
        if isinstance(exit_, ExitInternalError):
            from guestdbg.debugger.vcpu.diagnosis import diagnose

            found = diagnose(self)
            if found.status == "loop":
                return self.stop("error", f"the guest cannot go on: {found.text}")
        return self.stop("error", str(exit_))

    # ---- reading -----------------------------------------------------------------------------

    def locate(self, address: int) -> Location:
        """An address with its function, file and line: of the guest, else of the process that this
        vCPU executes."""
        found = self.target.info.locate(address)
        if found.function is None and not address >> _UPPER_HALF & 1:
            program = self._running_program()
            if program is not None:
                return program.locate(address)
        return found

    def _running_program(self) -> DebugInfo | None:
        """The program of the process that it executes; None for a guest without processes."""
        program_of = self.target.program_of
        if program_of is None:
            return None
        if self._program[0] != self.resume_count:
            self._program = (self.resume_count, program_of(self.vcpu))
        return self._program[1]

    def sp(self) -> int:
        """The stack pointer in use."""
        return self.get(SP_EL1 if uses_sp_elx(self.get(PSTATE)) else SP_EL0)

    def progress(self) -> tuple[int, int] | None:
        """The PC, and how many instructions have retired; None if the provider does not count."""
        return (self.get(PC), self._counting.instructions) if self._counting is not None else None

    def x(self, number: int | None) -> int:
        """X0 to X30; 0 for the zero register and for None."""
        return 0 if number is None or number == _ZERO_REGISTER else self.get(X[number])

    def registers(self) -> list[int]:
        """X0 to X30, and the stack pointer in use."""
        return [*map(self.get, X), self.sp()]

    def matches(self, point: Point, unprivileged: bool) -> bool:
        """Whether a point is for the present exception level, context and task.

        ``unprivileged``: the access is one of EL0 though the vCPU may be at EL1 (LDTR, STTR).
        """
        el, context = point.el, point.context
        if el != "any":
            at_el0 = unprivileged or exception_level(self.get(PSTATE)) == 0
            if at_el0 != (el == "el0"):
                return False
        if context is not None and self.get(_CONTEXTIDR_EL1) & 0xFFFF_FFFF != context:
            return False
        return point.task is None or point.task.matches(self)

    def instruction(self, pc: int) -> int | None:
        """The instruction at ``pc``; None if that cannot be read."""
        try:
            return int.from_bytes(self.space.read(pc, 4), "little")
        except AddressError:
            return None

    def try_read(self, address: int, length: int) -> bytes | None:
        """Guest virtual memory; None if that cannot be read."""
        try:
            return self.space.read(address, length)
        except AddressError:
            return None

    def element(self, address: int, size: int, variable: tuple[str, int] | None) -> Element | None:
        """The variable, member or element that has these bytes."""
        return self.target.info.element(address, size, variable)

    def variable(self, expression: str, location: Location) -> Any:
        """A variable as the code at this location sees it, as a drgn object."""
        from guestdbg.debugger.vcpu.code_state import VcpuCodeState

        return self.target.info.variables.value(expression, VcpuCodeState(self, location))

    def task(self) -> TaskName | None:
        """The task of a Linux guest that it executes; None where that is not known."""
        name_task = self.target.name_task
        return None if name_task is None else name_task(self.vcpu)

    def backtrace(
        self, pc: int, limit: int = DEFAULT_LIMIT, location: Location | None = None
    ) -> Backtrace:
        """The frames from here outwards; frame 0 is shown at ``pc``, or at ``location``."""
        from guestdbg.debugger.unwind.unwinder import Unwinder

        check_limit(limit)
        registers = self.registers()
        info = self.target.info
        now = self.get(PC)
        # After a watched access the registers are those after its instruction. If the access
        # faulted, the PC is at a vector, and the frame is still that of the instruction itself.
        here = now if abs(now - pc) <= _SAME_FRAME_BYTES else pc
        innermost = self.locate(pc) if location is None else location
        images = info.images
        if not exception_level(self.get(PSTATE)) and (program := self._running_program()):
            images = [*images, *program.images]
        unwinder = Unwinder(images, self.locate, self.space.read, info.sources)
        frames = unwinder.frames(registers, here, limit, innermost)
        for n in range(min(len(innermost.chain), len(frames))):
            frames[n] = replace(frames[n], pc=pc)
        return frames
