"""`info`: points, registers, where the guest is, its vCPUs, and its operating system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64 import registers
from guestdbg.arm64.errors import UnknownName
from guestdbg.errors import GuestdbgError
from guestdbg.tui.commands.command import Command
from guestdbg.tui.commands.points import describe
from guestdbg.tui.errors import CommandError
from guestdbg.tui.evaluation import evaluate, formatted, integer, short
from guestdbg.tui.printable import printable
from guestdbg.tui.registers import read_registers

if TYPE_CHECKING:
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS", "TOPICS"]

_WIDTH = 160
_MOST_ROWS = 1000
_LAYOUTS = {"CPSR": "SPSR_EL1", "PSTATE": "SPSR_EL1"}


@dataclass(frozen=True)
class _Topic:
    summary: str
    run: Callable[[Session, str], None]


def _points(session: Session, text: str) -> None:
    points = [session.point(word) for word in text.split()] or list(session.guest.points)
    for point in points:
        session.say(describe(session, point))
        if point.unavailable:
            session.say(f"   {point.unavailable:,} times: {point.why_unavailable}", "dim")
    if not points:
        session.say("no breakpoints and watches: break WHERE, watch WHAT")
    hardware = session.guest.hardware
    session.say(
        f"the hardware has {hardware.breakpoints} breakpoint and {hardware.watchpoints} "
        "watchpoint registers",
        "dim",
    )


def _registers(session: Session, text: str) -> None:
    if text:
        for word in text.split():
            _register(session, word.removeprefix("$"))
        return
    for name, value in read_registers(session.cpu).items():
        session.say(f"{name:7} {value:#018x}  {value}")


def _register(session: Session, name: str) -> None:
    """One register; of a system register the fields in words."""
    try:
        layout = registers.by_name(_LAYOUTS.get(name.upper(), name))
    except UnknownName:
        value = evaluate(session.guest, session.cpu, name)
        session.say(f"{name:7} {formatted(session.guest, name, value, 'x')[0]}")
        return
    value = session.cpu.reg(name)
    session.say(f"{name} = {value:#x}: {layout.summary(value) if layout.summary else layout.title}")
    session.say_all(f"  {x.bits:>8}  {x}" for x in layout.describe(value) if x.value or x.text)


def _symbol(session: Session, text: str) -> None:
    if not text:
        raise CommandError("info symbol ADDRESS or NAME")
    address = integer(session.guest, session.cpu, text)
    session.say(f"{address:#x} is {session.guest.locate(address)}")


def _line(session: Session, text: str) -> None:
    address = integer(session.guest, session.cpu, text) if text else session.cpu.pc
    location = session.guest.locate(address)
    if location.file is None:
        raise CommandError(f"no line of source is known for {location}")
    session.say(f"{address:#x} is in {location.file}, line {location.line}, {location.symbolic}")


def _locals(session: Session, text: str) -> None:
    names: dict[str, None] = {}
    pc = session.cpu.pc
    for image in session.guest.images:
        if image.covers(pc):
            for block in image.scopes.at(pc):
                names.update(dict.fromkeys(block.variables))
    for name in names:
        session.say(f"{name} = {short(session.guest, session.cpu, name)}")
    if not names:
        session.say("no local variables are known here")


def _vcpus(session: Session, text: str) -> None:
    current = session.cpu.id
    for found in session.guest.diagnose():
        mark = "=>" if found.vcpu == current else "  "
        session.say(f"{mark} vCPU {found.vcpu} {found.status:10} {found.location} {found.pc:#x}")
        if found.text:
            session.say(f"      {found.text}", "dim")


def _frame(session: Session, text: str) -> None:
    frames = session.frames()
    frame = frames[min(session.frame, len(frames) - 1)]
    session.say(str(frame))
    if frame.sp is not None:
        session.say(f"   sp {frame.sp:#x}")


def _target(session: Session, text: str) -> None:
    guest = session.guest
    board = guest.board
    session.say(f"provider {board.kvm.provider}, {len(guest.vcpus)} vCPU, {board.memory_size:,} B")
    for image in guest.images:
        session.say(f"symbols of {image.path}")
    count = session.instructions()
    if count is not None:
        session.say(f"{count:,} instructions were executed")


def _missing(session: Session, text: str) -> None:
    messages = session.guest.messages
    found = [*messages.missing_devices, *messages.unimplemented]
    session.say_all(str(each) for each in found)
    if not found:
        session.say("the guest has missed no device and no instruction")


def _table(session: Session, records: object) -> None:
    lines = str(records.table(_WIDTH)).splitlines()  # type: ignore[attr-defined]
    session.say_all(printable(line) for line in lines[:_MOST_ROWS])
    if len(lines) > _MOST_ROWS:
        session.say(f"… {len(lines) - _MOST_ROWS:,} more")


def _dmesg(session: Session, text: str) -> None:
    lines = [printable(str(line)) for line in session.guest.linux.dmesg()]
    session.say_all(lines[-(int(text) if text.isdecimal() else 50) :])


TOPICS = {
    "breakpoints": _Topic("points, with their hits", _points),
    "display": _Topic("what is displayed", lambda session, text: _displays(session)),
    "frame": _Topic("the selected frame", _frame),
    "line": _Topic("the source line of an address", _line),
    "locals": _Topic("the local variables of the function", _locals),
    "log": _Topic("the kernel log of a Linux guest", _dmesg),
    "missing": _Topic("devices and instructions that the guest missed", _missing),
    "modules": _Topic(
        "modules of a Linux guest",
        lambda session, text: _table(session, session.guest.linux.modules()),
    ),
    "registers": _Topic("registers; of a system register its fields", _registers),
    "symbol": _Topic("what is at an address", _symbol),
    "target": _Topic("provider, board and files", _target),
    "tasks": _Topic(
        "processes of a Linux guest",
        lambda session, text: _table(session, session.guest.linux.tasks()),
    ),
    "threads": _Topic("the vCPUs", _vcpus),
    "vcpus": _Topic("the vCPUs", _vcpus),
    "watchpoints": _Topic("points, with their hits", _points),
}


def _displays(session: Session) -> None:
    for display in session.displays:
        value = short(session.guest, session.cpu, display.text, display.form)
        session.say(f"{display.number}: {display.text} = {value}")
    if not session.displays:
        session.say("nothing is displayed: display EXPRESSION")


def _info(session: Session, text: str) -> None:
    word, _, rest = text.partition(" ")
    found = [name for name in TOPICS if name.startswith(word)] if word else []
    if word in TOPICS:
        found = [word]
    runs = {id(TOPICS[name].run) for name in found}
    if len(runs) != 1:
        if word:
            raise CommandError(f"info knows no single {word!r}: {', '.join(found or TOPICS)}")
        session.say_all(f"info {name:12} {topic.summary}" for name, topic in TOPICS.items())
        return
    try:
        TOPICS[found[0]].run(session, rest.strip())
    except GuestdbgError:
        raise
    except ValueError as error:
        raise CommandError(f"info {text}: {error}") from error


COMMANDS = (
    Command(
        ("info", "i"),
        "TOPIC",
        "show breakpoints, registers, locals, vcpus, tasks, …",
        _info,
        tuple(f"  info {name:12} {topic.summary}" for name, topic in TOPICS.items()),
        "info",
    ),
)
