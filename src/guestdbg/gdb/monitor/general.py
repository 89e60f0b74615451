"""`monitor help`, `caps`, `debug-state`, `hit`, `reset`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64 import registers
from guestdbg.debugger import Breakpoint, Watch
from guestdbg.gdb.monitor import Command, MonitorError, add, commands
from guestdbg.kvm import SupportsDebugState, constants

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

_SHOWN = (
    "KVM_CAP_GUEST_DEBUG_HW_BPS",
    "KVM_CAP_GUEST_DEBUG_HW_WPS",
    "KVM_CAP_SET_GUEST_DEBUG2",
    "KVM_CAP_MAX_VCPUS",
)


def _nothing_more(words: list[str], name: str) -> None:
    if words:
        raise MonitorError(f"monitor {name} takes no arguments")


def show_help(session: Session, words: list[str]) -> str:
    """All commands, a line each."""
    rows = [(f"{c.name} {c.arguments}".rstrip(), c.what) for c in commands().values()]
    width = max(len(left) for left, _ in rows)
    return "".join(f"{left:{width}}  {what}\n" for left, what in rows)


def caps(session: Session, words: list[str]) -> str:
    """What the provider has."""
    _nothing_more(words, "caps")
    board = session.guest.board
    lines = [f"provider {board.kvm.provider}, {len(board.vcpus)} vCPU"]
    for name in _SHOWN:
        answer = board.vm.check_extension(getattr(constants, name))
        lines.append(f"{name} {answer:#x}" if name.endswith("2") else f"{name} {answer}")
    return "\n".join(lines) + "\n"


def debug_state(session: Session, words: list[str]) -> str:
    """What is armed, and whose the debug registers are."""
    _nothing_more(words, "debug-state")
    guest = session.guest
    lines = []
    for key, point in session.inserted:
        how = ""
        if isinstance(point, Watch):
            how = f"watchpoint, {point.access} of {point.length} bytes"
        elif isinstance(point, Breakpoint):
            how = f"{point.kind} breakpoint"
            if key.address in session.inserted.guards:
                how += ", guarded by a watchpoint"
        lines.append(f"Z{key.type} at {key.address:#x}: {how}, {point.hits} hits")
    armed = guest.arming.armed
    for name, control, value in (
        ("DBGB", armed.dbg_bcr, armed.dbg_bvr),
        ("DBGW", armed.dbg_wcr, armed.dbg_wvr),
    ):
        for n, (cr, vr) in enumerate(zip(control, value, strict=False)):
            if cr & 1:
                lines.append(f"{name}CR{n}_EL1 {cr:#x}, {name}VR{n}_EL1 {vr:#x}")
    if not lines:
        lines.append(
            "nothing is armed (GDB takes its points out while the guest stands; "
            "`set breakpoint always-inserted on` leaves them in)"
        )
    vcpu = session.core.vcpu
    if isinstance(vcpu, SupportsDebugState):
        lines.append(f"vCPU {vcpu.id}: {vcpu.debug_state}")
    return "\n".join(lines) + "\n"


def hit(session: Session, words: list[str]) -> str:
    """The access that stopped the guest, with the value before it and now."""
    _nothing_more(words, "hit")
    event = session.last_hit
    if event is None or event.hit is None:
        raise MonitorError("nothing has been hit yet")
    lines = []
    for one in event.hits:
        if not isinstance(one.point, Watch):
            lines.append(f"vCPU {one.vcpu.id}: breakpoint at {one.location}, pc {one.pc:#x}")
            continue
        lines.append(
            f"vCPU {one.vcpu.id}: {one.access} of {one.size} bytes at {one.address:#x} "
            f"by {one.location}, pc {one.pc:#x}"
        )
        if one.old_bytes is not None:
            start = one.point.address if one.point.scalar else one.address
            now = session.core.peek(start, len(one.old_bytes))
            lines.append(f"  before: {_value(one.old_bytes)}")
            made = one.vcpu.pc != one.pc
            lines.append(f"  {'now' if made else 'now (it is still to be made)'}: {_value(now)}")
    return "\n".join(lines) + "\n"


def _value(data: bytes | None) -> str:
    if data is None:
        return "not to be read"
    return hex(int.from_bytes(data, "little")) if len(data) in (1, 2, 4, 8) else data.hex(" ", 8)


def register(session: Session, words: list[str]) -> str:
    """A register's fields in words."""
    if len(words) != 1:
        raise MonitorError("monitor register NAME, as in: monitor register esr_el1")
    value = session.core.cpu.reg(words[0])
    layout = registers.by_name(words[0])
    what = layout.summary(value) if layout.summary else layout.title
    lines = [f"{layout.name} = {value:#x}: {what}"]
    lines += [f"  {x.bits:>8}  {x}" for x in layout.describe(value) if x.value or x.text]
    return "\n".join(lines) + "\n"


def reset(session: Session, words: list[str]) -> str:
    """The guest as it was loaded."""
    _nothing_more(words, "reset")
    session.guest.reset()
    session.restarted()
    return (
        f"the guest stands at its entry, {session.core.cpu.pc:#x}\n"
        "(GDB does not know yet: `maintenance flush register-cache`, or `stepi`)\n"
    )


add(Command("help", "", "this list", show_help))
add(Command("caps", "", "the provider, and what debug hardware it has", caps))
add(Command("debug-state", "", "what is armed, and whose the debug registers are", debug_state))
add(Command("hit", "", "the last access or breakpoint: who, where, the value before and now", hit))
add(Command("register", "NAME", "a system register's fields, in words", register))
add(Command("reset", "", "load the guest anew and start it at its entry", reset))
