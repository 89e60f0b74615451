"""Steps of the current vCPU: by instruction, call, function, source line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.armed_state import InternalBreakpoint
from guestdbg.debugger.errors import NoDebugInfo, Unsupported
from guestdbg.debugger.vcpu.stop import Stop

if TYPE_CHECKING:
    from guestdbg.debugger.execution.scheduler import Scheduler
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.debugger.program.line_table import LineRow
    from guestdbg.debugger.vcpu.driver import InternalBreakpoints, VcpuDriver

__all__ = ["StepCommands"]


class StepCommands:
    """The step commands of one guest.

    Stepping pauses the other vCPUs, unless the handler of an interrupt comes first and takes long.
    Running to an address, as over a call, does not: the vCPU may wait for one of them.
    """

    def __init__(
        self, scheduler: Scheduler, internal_breakpoints: InternalBreakpoints, info: DebugInfo
    ) -> None:
        self._scheduler = scheduler
        self._internal_breakpoints = internal_breakpoints
        self._info = info

    def step(self, count: int = 1) -> Stop:
        """``count`` instructions, or fewer if something stops the guest before."""
        vcpu, step_alone = self._scheduler.current, self._scheduler.step_alone
        for _ in range(count):
            stop = self._scheduler.replay_turn_of(vcpu) or step_alone(vcpu)
            if stop is not None:
                return stop
        return vcpu.stop("step")

    def run_until(self, addresses: Sequence[int]) -> Stop:
        """Let all vCPUs run until one of them is at one of the addresses."""
        vcpus = self._scheduler.vcpus
        for vcpu in vcpus:
            # One that is at such an address now has to leave it and come back.
            pc = vcpu.cpu.pc
            if pc in addresses:
                vcpu.resume_state.needs_step_over = pc
        breakpoints = [
            InternalBreakpoint(address, vcpu.number) for address in addresses for vcpu in vcpus
        ]
        with self._internal_breakpoints(breakpoints):
            return self._scheduler.run_all()

    def step_over(self) -> Stop:
        """One instruction; a call together with all that it calls."""
        vcpu = self._scheduler.current
        pc = vcpu.cpu.pc
        raw = vcpu.instruction(pc)
        from guestdbg.arm64.instructions import is_call

        if raw is None or not is_call(raw):
            return self.step()
        return self._run_to(vcpu, pc + 4, vcpu.sp())

    def step_out(self) -> Stop:
        """Until the current function has returned. Raises Unsupported if no caller is known."""
        vcpu = self._scheduler.current
        # The caller of the function that has the frame on the stack, not of one inlined into it.
        here = vcpu.locate(vcpu.cpu.pc).outermost
        frames = vcpu.backtrace(vcpu.cpu.pc, 2, here)
        if len(frames) < 2:
            raise Unsupported(
                f"{frames[0].location} has no caller that is known: neither call frame information "
                "nor a frame record leads to one"
            )
        caller = frames[1]
        # Deeper calls that return to the same address have a lower stack pointer there.
        minimum_sp = caller.sp if caller.sp is not None else vcpu.sp()
        return self._run_to(vcpu, caller.pc, minimum_sp)

    def step_line(self, *, into: bool) -> Stop:
        """To the next source line; over calls, or ``into`` those that have lines.

        Raises NoDebugInfo if the PC has no line.
        """
        vcpu = self._scheduler.current
        line = _Line(self._info, vcpu)
        if line.row is None:
            raise NoDebugInfo(f"no line of source is known for {vcpu.locate(line.pc)}")
        while True:
            before = vcpu.progress()
            stop = self._step_within_line(vcpu, into)
            if stop.reason != "step" or (before is not None and vcpu.progress() == before):
                return stop  # stuck at an exception vector that raises an exception itself
            now = _Line(self._info, vcpu)
            if now.row is None:
                if now.is_below(line) or now.function == line.function:
                    continue
                # A branch has entered a function without lines: run until it returns.
                stop = self.step_out()
                if stop.reason != "step":
                    return stop
                now = _Line(self._info, vcpu)
            if now.row is None or now.is_same_line(line):
                continue
            if now.row.start == now.pc:
                return stop
            if now.function != line.function:
                if now.sp < line.sp:
                    return stop
                # Returned into the middle of the caller's line: complete that. The stack pointer
                # is the same there as in a function that has no frame.
                line = now

    def _step_within_line(self, vcpu: VcpuDriver, into: bool) -> Stop:
        """One instruction; a call is stepped into if it has lines and ``into`` is given."""
        pc = vcpu.cpu.pc
        raw = vcpu.instruction(pc)
        from guestdbg.arm64.instructions import is_call

        if raw is None or not is_call(raw):
            return self.step()
        if not into:
            return self.step_over()
        stop = self.step()
        if stop.reason != "step":
            return stop
        if stop.pc != pc + 4 and _row(self._info, stop.pc) is None:
            return self._run_to(vcpu, pc + 4, vcpu.sp())
        return stop

    def _run_to(self, vcpu: VcpuDriver, address: int, minimum_sp: int) -> Stop:
        """Let all run until the vCPU is at ``address`` with at least this stack pointer.

        That is the end of a step.
        """
        with self._internal_breakpoints([InternalBreakpoint(address, vcpu.number, minimum_sp)]):
            stop = self._scheduler.run_all()
        if stop.reason != "until":
            return stop
        return Stop("step", stop.cpu, stop.pc, time=stop.time)


class _Line:
    """Where a vCPU is in the source.

    ``row`` is None if the PC has no line.
    """

    __slots__ = ("function", "pc", "row", "sp")

    def __init__(self, info: DebugInfo, vcpu: VcpuDriver) -> None:
        self.pc = vcpu.cpu.pc
        self.sp = vcpu.sp()
        self.row = _row(info, self.pc)
        self.function = info.locate(self.pc).outermost.function

    def is_same_line(self, other: _Line) -> bool:
        """Whether both are in the same line of the same function."""
        if self.row is None or other.row is None or self.function != other.function:
            return False
        return (self.row.file, self.row.line) == (other.row.file, other.row.line)

    def is_below(self, other: _Line) -> bool:
        """Whether ``other`` has returned to here, or further: the stack pointer is higher."""
        return self.sp > other.sp


def _row(info: DebugInfo, pc: int) -> LineRow | None:
    for image in info.images:
        row = image.lines.at(pc)
        if row is not None:
            return row
    return None
