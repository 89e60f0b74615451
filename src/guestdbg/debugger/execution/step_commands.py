"""Moving by steps: instructions, calls, functions, lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.arm64.instructions import is_call
from guestdbg.debugger.breakpoints.armed_state import InternalBreakpoint
from guestdbg.debugger.errors import NoDebugInfo, Unsupported
from guestdbg.debugger.vcpu.stop import Stop

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest
    from guestdbg.debugger.program.line_table import LineRow
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["run_until", "step_instructions", "step_line", "step_out", "step_over"]


def step_instructions(core: VcpuContext, count: int) -> Stop:
    """``count`` instructions, or fewer when something stops the guest before."""
    settle, step = core.guest.runloop.settle, core.stepping.step
    for _ in range(count):
        outcome = settle(step)
        if outcome is not None:
            return outcome
    return core.stop("step")


def _step(core: VcpuContext) -> Stop:
    return core.guest.runloop.settle(core.stepping.step) or core.stop("step")


def run_to(core: VcpuContext, address: int, minimum_sp: int) -> Stop:
    """Run until the vCPU is at ``address`` with the stack pointer at ``minimum_sp`` or up.

    The others run too: it may wait for one of them.
    """
    guest = core.guest
    with guest.points.temporaries([InternalBreakpoint(address, core.number, minimum_sp)]):
        return guest.runloop.all()


def run_until(guest: Guest, addresses: Sequence[int]) -> Stop:
    """Let all run until one of them comes to one of the addresses."""
    for core in guest.cores:
        # One that stands at the very place has to come round to it again.
        pc = core.cpu.pc
        if pc in addresses:
            core.arrivals.reported = pc
    places = [
        InternalBreakpoint(address, core.number) for address in addresses for core in guest.cores
    ]
    with guest.points.temporaries(places):
        return guest.runloop.all()


def step_over(core: VcpuContext) -> Stop:
    """One instruction; a call with all that it calls."""
    pc = core.cpu.pc
    raw = core.word(pc)
    if raw is None or not is_call(raw):
        return _step(core)
    return _arrived(run_to(core, pc + 4, core.sp()))


def _arrived(outcome: Stop) -> Stop:
    """A place of the debugger's own was reached: that is a step done."""
    if outcome.reason == "until":
        return Stop("step", outcome.cpu, outcome.pc)
    return outcome


def step_out(core: VcpuContext) -> Stop:
    """To where the present function returns to."""
    frames = core.backtrace(core.cpu.pc, 2)
    if len(frames) < 2:
        raise Unsupported(
            f"{frames[0].location} has no caller that is known: neither call frame information "
            "nor a frame record leads to one"
        )
    caller = frames[1]
    # Deeper calls that return to the same place still have their callers on the stack below.
    minimum = caller.sp if caller.sp is not None else core.sp()
    return _arrived(run_to(core, caller.pc, minimum))


def step_line(core: VcpuContext, *, into: bool) -> Stop:
    """To the next line of source; calls are passed over unless ``into`` and they have lines."""
    guest = core.guest
    pc = core.cpu.pc
    start = _row(guest, pc)
    if start is None:
        raise NoDebugInfo(f"no line of source is known for {guest.locate(pc)}")
    function, sp = _function(guest, pc), core.sp()
    while True:
        pc = core.cpu.pc
        raw = core.word(pc)
        outcome = _call(core, pc, into) if raw is not None and is_call(raw) else _step(core)
        if outcome.reason not in ("step", "until"):
            return outcome
        now = outcome.pc
        row = _row(guest, now)
        if row is None:
            if core.sp() > sp or _function(guest, now) == function:
                continue
            out = step_out(core)  # something without lines was entered by a branch
            if out.reason not in ("step", "until"):
                return out
            row, now = _row(guest, out.pc), out.pc
        if row is None:
            continue
        if (row.file, row.line) == (start.file, start.line) and _function(guest, now) == function:
            continue
        if row.start == now or _function(guest, now) != function:
            if row.start != now and core.sp() > sp:
                start, function, sp = row, _function(guest, now), core.sp()
                continue  # returned into the middle of the caller's line: finish that
            return Stop("step", outcome.cpu, now)


def _call(core: VcpuContext, pc: int, into: bool) -> Stop:
    if not into:
        return step_over(core)
    outcome = _step(core)
    if outcome.reason != "step":
        return outcome
    if outcome.pc != pc + 4 and _row(core.guest, outcome.pc) is None:
        return _arrived(run_to(core, pc + 4, core.sp()))
    return outcome


def _row(guest: Guest, pc: int) -> LineRow | None:
    for image in guest.images:
        row = image.lines.at(pc)
        if row is not None:
            return row
    return None


def _function(guest: Guest, pc: int) -> str | None:
    return guest.locate(pc).function
