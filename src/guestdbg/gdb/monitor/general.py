"""`monitor backtrace`, `caps`, `debug-state`, `diagnose`, `hit`, `reset`, `status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger import Breakpoint, Watch
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.gdb.monitor.command import Command, MonitorError, refuse_arguments
from guestdbg.gdb.thread_words import describe
from guestdbg.kvm import SupportsDebugState, constants

if TYPE_CHECKING:
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.gdb.session_state import SessionState

_SHOWN = (
    "KVM_CAP_GUEST_DEBUG_HW_BPS",
    "KVM_CAP_GUEST_DEBUG_HW_WPS",
    "KVM_CAP_SET_GUEST_DEBUG2",
    "KVM_CAP_MAX_VCPUS",
)


def caps(session: SessionState, words: list[str]) -> str:
    """The provider and its debug capabilities."""
    refuse_arguments(words, "caps")
    board = session.guest.board
    lines = [f"provider {board.kvm.provider}, {len(board.vcpus)} vCPU"]
    for name in _SHOWN:
        answer = board.vm.check_extension(getattr(constants, name))
        lines.append(f"{name} {answer:#x}" if name.endswith("2") else f"{name} {answer}")
    return "\n".join(lines) + "\n"


def debug_state(session: SessionState, words: list[str]) -> str:
    """The armed breakpoints and watchpoints, and the owner of the debug registers."""
    refuse_arguments(words, "debug-state")
    lines = []
    for key, point in session.breakpoints:
        how = ""
        if isinstance(point, Watch):
            how = f"watchpoint, {point.access} of {point.length} bytes"
        elif isinstance(point, Breakpoint):
            how = f"{point.kind} breakpoint"
            if key.address in session.breakpoints.guards:
                how += ", guarded by a watchpoint"
        lines.append(f"Z{key.type} at {key.address:#x}: {how}, {point.hits} hits")
    armed = session.execution.armed
    for name, control, value in (
        ("DBGB", armed.dbg_bcr, armed.dbg_bvr),
        ("DBGW", armed.dbg_wcr, armed.dbg_wvr),
    ):
        for n, (cr, vr) in enumerate(zip(control, value, strict=False)):
            if cr & 1:
                lines.append(f"{name}CR{n}_EL1 {cr:#x}, {name}VR{n}_EL1 {vr:#x}")
    if not lines:
        lines.append(
            "nothing is armed (GDB removes its breakpoints while the guest is stopped; "
            "`set breakpoint always-inserted on` leaves them inserted)"
        )
    vcpu = session.context.vcpu
    if isinstance(vcpu, SupportsDebugState):
        lines.append(f"vCPU {vcpu.id}: {vcpu.debug_state}")
    return "\n".join(lines) + "\n"


def backtrace(session: SessionState, words: list[str]) -> str:
    """The frames of the current vCPU, inlined functions included."""
    if len(words) > 1 or (words and not words[0].isdecimal()):
        raise MonitorError("monitor backtrace [LIMIT], as in: monitor backtrace 100")
    limit = int(words[0]) if words else DEFAULT_LIMIT
    return f"{session.context.cpu.backtrace(limit)}\n"


def hit(session: SessionState, words: list[str]) -> str:
    """The last hit: the access, its instruction, and the value before it and now."""
    refuse_arguments(words, "hit")
    stop = session.last_hit
    if stop is None or stop.hit is None:
        raise MonitorError("nothing has been hit yet")
    lines = []
    for one in stop.hits:
        if not isinstance(one.point, Watch):
            lines.append(f"vCPU {one.vcpu.id}: breakpoint at {one.location}, pc {one.pc:#x}")
            continue
        lines.append(
            f"vCPU {one.vcpu.id}: {one.access} of {one.size} bytes at {one.address:#x} "
            f"by {one.location}, pc {one.pc:#x}"
        )
        if one.old_bytes is not None:
            start = one.point.address if one.point.scalar else one.address
            now = session.context.try_read(start, len(one.old_bytes))
            field = one.point.bit_field
            lines.append(f"  before: {_value(one.old_bytes, field)}")
            executed = one.vcpu.pc != one.pc
            lines.append(
                f"  {'now' if executed else 'now (before the access)'}: {_value(now, field)}"
            )
    return "\n".join(lines) + "\n"


def _value(data: bytes | None, field: BitField | None) -> str:
    if data is None:
        return "not readable"
    if field is not None:
        return str(field.value(int.from_bytes(data, "little")))
    return hex(int.from_bytes(data, "little")) if len(data) in (1, 2, 4, 8) else data.hex(" ", 8)


def status(session: SessionState, words: list[str]) -> str:
    """Why the guest is stopped, and where each vCPU is."""
    refuse_arguments(words, "status")
    lines = []
    stop = session.stopped
    ended = session.guest.ended
    if ended is not None:
        lines.append(f"the guest has ended: it {ended.detail or 'ended'}; monitor reset, or run")
    elif session.threads.resume_actions:
        lines.append("the guest runs")
    elif stop is not None:
        lines.append(f"stopped: {stop}")
    else:
        lines.append("stopped by the debugger")
    for index, context in enumerate(session.execution.vcpus):
        location = session.guest.locate(context.cpu.pc)
        lines.append(f"vCPU {context.vcpu.id}: {describe(session, index)}, {location}")
    return "\n".join(lines) + "\n"


def diagnose(session: SessionState, words: list[str]) -> str:
    """What each vCPU is doing, and what the guest missed on this board and processor."""
    refuse_arguments(words, "diagnose")
    lines = []
    for found in session.guest.diagnose():
        lines.append(f"vCPU {found.vcpu} at {found.location}, pc {found.pc:#x}: {found.status}")
        if found.text:
            lines.append(f"  {found.text}")
    messages = session.guest.messages
    lines += [f"{missing}" for missing in messages.missing_devices]
    lines += [f"{instruction}" for instruction in messages.unimplemented]
    return "\n".join(lines) + "\n"


def reset(session: SessionState, words: list[str]) -> str:
    """Load the guest again; it is stopped at its entry point."""
    refuse_arguments(words, "reset")
    session.restart()
    return (
        f"the guest is stopped at its entry point, {session.context.cpu.pc:#x}\n"
        "(GDB still shows the old registers: `maintenance flush register-cache`, or `stepi`)\n"
    )


COMMANDS = (
    Command("backtrace", "[LIMIT]", "the frames, inlined functions included", backtrace),
    Command("caps", "", "the provider and its debug hardware", caps),
    Command("debug-state", "", "what is armed, and who owns the debug registers", debug_state),
    Command("diagnose", "", "what each vCPU is doing, and what the guest missed here", diagnose),
    Command("hit", "", "the last access or breakpoint: where, and the value before and now", hit),
    Command("reset", "", "load the guest again and stop it at its entry point", reset),
    Command("status", "", "why the guest is stopped, and where each vCPU is", status),
)
