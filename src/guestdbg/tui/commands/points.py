"""`break`, `tbreak`, `watch`, `rwatch`, `awatch`, `log`, `delete`, `enable`, `disable`, …"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import Breakpoint, Watch
from guestdbg.debugger.breakpoints.conditions.expression import Condition
from guestdbg.debugger.breakpoints.spec_parser import parse_break, parse_watch
from guestdbg.tui.commands.command import Command
from guestdbg.tui.errors import CommandError

if TYPE_CHECKING:
    from guestdbg.debugger import Point
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS"]

_TASK = re.compile(r"^(?P<what>.*?)\s+task\s+(?P<task>\S+)(?P<rest>\s+if\b.*)?$", re.DOTALL)
#: The access that a word for a watch says; nothing: what follows says it.
_LOGGED = {"watch": "", "w": "", "rwatch": "r", "awatch": "rw"}
_WHERE = (
    "WHERE is a function (main), function+0x10, an address (0x40080000) or a line (queue.c:25).",
    "The condition can use registers (x0, sp, ESR_EL1), variables, count, and memory (u32[x0]).",
    "`task NAME` or `task PID` limits it to a process of a Linux guest.",
)
_WHAT = (
    "WHAT is a variable, a member (queue.tail), a symbol or an address, with a length in bytes "
    "(0x40090000,64).",
    "It may end in :r, :w (the default) or :rw. The condition can also use new, old, pc, address, "
    "size, function.",
    "`task NAME` or `task PID` limits it to a process of a Linux guest.",
)


def _task(text: str) -> tuple[str, int | str | None]:
    """The text without `task NAME`, and that task."""
    match = _TASK.match(text)
    if match is None:
        return text, None
    name = match["task"]
    task = int(name) if name.isascii() and name.isdecimal() else name
    return match["what"] + (match["rest"] or ""), task


def _break(session: Session, text: str, *, stops: bool = True, once: bool = False) -> None:
    if not text:
        text = f"{session.cpu.pc:#x}"
    text, task = _task(text)
    spec = parse_break(text, "break")
    where = spec.where
    if isinstance(where, str) and where.isdecimal():
        where = f"{_current_file(session)}:{where}"
    elif isinstance(where, str) and where.startswith("*"):
        raise CommandError(f"an address is written without *: break {where[1:].strip()}")
    point = session.guest.break_(where, when=spec.condition, task=task)
    session.added(point, spec.name, stops=stops)
    if once:
        session.temporary.add(point.number)
    _said(session, point)


def _current_file(session: Session) -> str:
    file = session.cpu.location.file
    if file is None:
        raise CommandError("no source file is known here: break FILE:LINE")
    return file


def _watch(session: Session, text: str, *, access: str = "", stops: bool = True) -> None:
    text, task = _task(text)
    spec = parse_watch(text, "watch")
    point = session.guest.watch(
        spec.where,
        spec.length,
        access="read" if access == "r" else "any" if access == "rw" else spec.access,
        when=spec.condition,
        task=task,
    )
    session.added(point, spec.name, stops=stops)
    _said(session, point)


def _said(session: Session, point: Point) -> None:
    session.say(describe(session, point))
    if isinstance(point, Breakpoint) and point.why_software:
        session.say(f"   it is a BRK instruction: {point.why_software}", "dim")
    if isinstance(point, Breakpoint | Watch) and (why := session.guest.why_unreachable(point)):
        session.say(f"   nothing can reach it now: {why}", "dim")


def describe(session: Session, point: Point) -> str:
    """A point in one line."""
    label = session.labels.get(point.number, point.name)
    if isinstance(point, Watch):
        where = f"{point.length} bytes at {point.address:#x}"
        kind = {"read": "read watch", "any": "access watch"}.get(point.access, "watch")
    elif isinstance(point, Breakpoint):
        places = [f"{a:#x} ({session.guest.locate(a)})" for a in point.addresses[:4]]
        where, kind = ", ".join(places), "breakpoint"
        if len(point.addresses) > 4:
            where += f" and {len(point.addresses) - 4} more places"
    else:
        where, kind = "", "point"
    text = f"#{point.number} {kind} {label}  {where}"
    if isinstance(point.when, Condition):
        text += f"  if {point.when.text}"
    if point.number in session.temporary:
        text += "  once"
    if point.handler is not None:
        text += "  logged, does not stop"
    if not point.enabled:
        text += "  disabled"
    return text + (f"  {point.hits:,} hits" if point.seen else "")


def _log(session: Session, text: str) -> None:
    word, _, rest = text.partition(" ")
    rest = rest.strip()
    if word in ("break", "b"):
        _break(session, rest, stops=False)
    elif word in _LOGGED:
        _watch(session, rest, access=_LOGGED[word], stops=False)
    else:
        raise CommandError("log break WHERE, log watch WHAT, log rwatch WHAT or log awatch WHAT")


def _each(session: Session, text: str, do: Callable[[Point], object]) -> None:
    """Do something to the points of these numbers, or to all of them."""
    words = text.replace(",", " ").split()
    points = [session.point(word) for word in words] if words else list(session.guest.points)
    if not points:
        raise CommandError("there are no breakpoints and watches")
    for point in points:
        do(point)


def _delete(session: Session, text: str) -> None:
    _each(session, text, lambda point: point.delete())


def _enable(session: Session, text: str) -> None:
    def enable(point: Point) -> None:
        point.enabled = True

    _each(session, text, enable)


def _disable(session: Session, text: str) -> None:
    def disable(point: Point) -> None:
        point.enabled = False

    _each(session, text, disable)


def _condition(session: Session, text: str) -> None:
    number, _, condition = text.partition(" ")
    point = session.point(number)
    point.when = condition.strip().removeprefix("if ").strip() or None
    session.say(describe(session, point))


def _ignore(session: Session, text: str) -> None:
    number, _, count = text.partition(" ")
    point = session.point(number)
    if not count.strip().isdecimal():
        raise CommandError("ignore NUMBER COUNT: so many hits are passed over")
    point.ignore = point.hits + int(count)
    session.say(f"the next {int(count):,} hits of #{point.number} do not stop the guest")


COMMANDS = (
    Command(
        ("break", "b", "hbreak"),
        "[WHERE] [task NAME] [if CONDITION]",
        "stop when code is reached; without WHERE, here",
        _break,
        _WHERE,
        "symbol",
    ),
    Command(
        ("tbreak", "tb"),
        "WHERE [if CONDITION]",
        "the same, once",
        lambda session, text: _break(session, text, once=True),
        _WHERE,
        "symbol",
    ),
    Command(
        ("watch", "w"),
        "WHAT[:r|w|rw] [task NAME] [if CONDITION]",
        "stop after memory is written",
        _watch,
        _WHAT,
        "symbol",
    ),
    Command(
        ("rwatch",),
        "WHAT [if CONDITION]",
        "stop after memory is read",
        lambda session, text: _watch(session, text, access="r"),
        _WHAT,
        "symbol",
    ),
    Command(
        ("awatch",),
        "WHAT [if CONDITION]",
        "stop after memory is read or written",
        lambda session, text: _watch(session, text, access="rw"),
        _WHAT,
        "symbol",
    ),
    Command(
        ("log",),
        "break|watch|rwatch|awatch …",
        "show the hits as they occur, without stopping",
        _log,
        ("As `guestdbg run` does: log watch queue.tail if new > 8",),
        "log",
    ),
    Command(("delete", "d"), "[NUMBER …]", "delete points, or all", _delete, (), "point"),
    Command(("enable",), "[NUMBER …]", "arm points again", _enable, (), "point"),
    Command(("disable",), "[NUMBER …]", "disarm points", _disable, (), "point"),
    Command(
        ("condition",),
        "NUMBER [CONDITION]",
        "give a point another condition, or none",
        _condition,
        (),
        "point",
    ),
    Command(("ignore",), "NUMBER COUNT", "pass over the next hits", _ignore, (), "point"),
)
