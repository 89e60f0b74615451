"""`continue`, `step`, `next`, `stepi`, `nexti`, `finish`, `until`, `reset`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import NoDebugInfo
from guestdbg.tui.commands.command import Command, Resume
from guestdbg.tui.errors import CommandError

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Stop
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS", "count_of", "repeated"]

_MOST_STEPS = 1_000_000_000


def count_of(text: str) -> int:
    """The argument of a step: a number from 1 on, by default 1."""
    if not text:
        return 1
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_STEPS:
        raise CommandError(f"{text!r} is not a number of steps: 1 is the least")
    return int(text)


def repeated(step: Callable[[], Stop], count: int) -> Callable[[], Stop]:
    """Do a step so many times, or until something else stops the guest."""

    def action() -> Stop:
        stop = step()
        for _ in range(count - 1):
            if stop.reason != "step":
                break
            stop = step()
        return stop

    return action


def _continue(session: Session, text: str) -> Resume:
    if text:
        count = count_of(text)
        # As in GDB: the point that the guest is stopped at is passed over.
        for point in session.guest.points:
            if any(point.number == each.point.number for each in session.last_hits):
                point.ignore = point.hits + count - 1
    return Resume()


def _line(guest: Guest, *, into: bool) -> Stop:
    """To the next line; where none is known, one instruction."""
    try:
        return guest.step_line(into=into)
    except NoDebugInfo:
        return guest.step() if into else guest.step_over()


def _step(session: Session, text: str) -> Resume:
    return Resume(repeated(lambda: _line(session.guest, into=True), count_of(text)))


def _next(session: Session, text: str) -> Resume:
    return Resume(repeated(lambda: _line(session.guest, into=False), count_of(text)))


def _stepi(session: Session, text: str) -> Resume:
    count = count_of(text)
    return Resume(lambda: session.guest.step(count))


def _nexti(session: Session, text: str) -> Resume:
    return Resume(repeated(session.guest.step_over, count_of(text)))


def _finish(session: Session, text: str) -> Resume:
    if text:
        raise CommandError("finish takes no arguments")
    return Resume(session.guest.step_out)


def _until(session: Session, text: str) -> Resume:
    if not text:
        raise CommandError("until WHERE: a function, an address or FILE:LINE")
    where = int(text, 16) if text.startswith("0x") else text
    session.guest.execution.resolve(text)  # its errors come before the guest runs
    return Resume(lambda: session.guest.run(until=where))


def _reset(session: Session, text: str) -> Resume:
    if text:
        raise CommandError("reset takes no arguments")

    def action() -> None:
        session.guest.reset()
        session.say("the guest is loaded again, and stopped at its entry")

    return Resume(action)


COMMANDS = (
    Command(
        ("continue", "c"),
        "[COUNT]",
        "run until something stops the guest",
        _continue,
        ("Ctrl-C stops it. With COUNT, pass over the point that was hit COUNT - 1 times.",),
        repeats=True,
    ),
    Command(("step", "s"), "[COUNT]", "to the next line, into calls", _step, repeats=True),
    Command(("next", "n"), "[COUNT]", "to the next line, over calls", _next, repeats=True),
    Command(("stepi", "si"), "[COUNT]", "one instruction", _stepi, repeats=True),
    Command(("nexti", "ni"), "[COUNT]", "one instruction, over calls", _nexti, repeats=True),
    Command(("finish", "fin"), "", "until the function has returned", _finish, repeats=True),
    Command(
        ("until", "advance", "u"),
        "WHERE",
        "run to a place",
        _until,
        completes="symbol",
    ),
    Command(("reset", "run", "r"), "", "load the guest again", _reset),
)
