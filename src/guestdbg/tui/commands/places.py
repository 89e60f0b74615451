"""`backtrace`, `frame`, `up`, `down`, `list`, `vcpu`: which code is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.terminal_text.hits import frames as frame_lines
from guestdbg.tui.commands.command import Command
from guestdbg.tui.errors import CommandError
from guestdbg.tui.evaluation import integer

if TYPE_CHECKING:
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS"]

_MOST_FRAMES = 10_000


def _backtrace(session: Session, text: str) -> None:
    limit = int(text) if text.isdecimal() and 0 < int(text) <= _MOST_FRAMES else DEFAULT_LIMIT
    if text and not text.isdecimal():
        raise CommandError("backtrace [LIMIT]")
    found = session.cpu.backtrace(limit)
    if found:
        session.say(f"#0 {found[0].location}  {found[0].pc:#x}", "bold")
        callers = frame_lines(found)
        if callers.plain:
            session.say_all(callers.split("\n"))


def _select(session: Session, number: int) -> None:
    frames = session.frames()
    if not 0 <= number < len(frames):
        raise CommandError(f"there is no frame {number}: the frames are 0 to {len(frames) - 1}")
    session.frame, session.place = number, None
    session.say(str(frames[number]))


def _frame(session: Session, text: str) -> None:
    if text and not text.isdecimal():
        raise CommandError("frame [NUMBER]")
    _select(session, int(text) if text else session.frame)


def _steps(text: str) -> int:
    if text and not text.isdecimal():
        raise CommandError("up [COUNT], down [COUNT]")
    return int(text or 1)


def _up(session: Session, text: str) -> None:
    last = len(session.frames()) - 1
    if session.frame >= last:
        raise CommandError("this is the outermost frame that is known")
    _select(session, min(last, session.frame + _steps(text)))


def _down(session: Session, text: str) -> None:
    if session.frame == 0:
        raise CommandError("this is the innermost frame")
    _select(session, max(0, session.frame - _steps(text)))


def _list(session: Session, text: str) -> None:
    if not text:
        session.place = None
        return
    if text.startswith(("$", "*", "0x")) or text == "pc":
        session.place = integer(session.guest, session.cpu, text.removeprefix("*"))
        return
    if text.isdecimal():
        file = session.cpu.location.file
        if file is None:
            raise CommandError("no source file is known here: list FILE:LINE")
        text = f"{file}:{text}"
    code = session.guest.execution.resolve(text)
    session.place = code.addresses[0] if code.addresses else None


def _vcpu(session: Session, text: str) -> None:
    if not text.isdecimal():
        numbers = ", ".join(str(cpu.id) for cpu in session.guest.vcpus)
        raise CommandError(f"vcpu NUMBER: {numbers}")
    session.guest.select(int(text))
    session.frame, session.place = 0, None


COMMANDS = (
    Command(("backtrace", "bt", "where"), "[LIMIT]", "the callers", _backtrace),
    Command(("frame", "f"), "[NUMBER]", "show the code of a frame", _frame),
    Command(("up",), "[COUNT]", "to the caller", _up, repeats=True),
    Command(("down",), "[COUNT]", "back from it", _down, repeats=True),
    Command(
        ("list", "l", "disassemble"),
        "[WHERE]",
        "show other code; without WHERE, where the guest is",
        _list,
        completes="symbol",
    ),
    Command(("vcpu", "thread", "t"), "NUMBER", "select a vCPU", _vcpu),
)
