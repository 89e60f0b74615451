"""`reverse-step` and its like, `goto`, `history`, `last`: the past of a guest with history."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestdbg.debugger import NoDebugInfo
from guestdbg.machine import Position
from guestdbg.terminal_text import hits
from guestdbg.tui.commands.command import Command, Resume
from guestdbg.tui.commands.running import count_of, repeated
from guestdbg.tui.errors import CommandError

if TYPE_CHECKING:
    from guestdbg.debugger import Stop
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS"]


def _back(step: Callable[[Session], Stop]) -> Callable[[Session, str], Resume]:
    def run(session: Session, text: str) -> Resume:
        return Resume(repeated(lambda: step(session), count_of(text)))

    return run


def _line(session: Session, *, into: bool) -> Stop:
    history: Any = session.guest.history
    try:
        stop: Stop = history.reverse_step_line(into=into)
    except NoDebugInfo:
        stop = history.reverse_step_instruction() if into else history.reverse_step_over()
    return stop


def _instruction(session: Session) -> Stop:
    stop: Stop = session.guest.history.reverse_step_instruction()
    return stop


def _continue(session: Session, text: str) -> Resume:
    if text:
        raise CommandError("reverse-continue takes no arguments")
    return Resume(session.guest.reverse_run)


def _finish(session: Session, text: str) -> Resume:
    if text:
        raise CommandError("reverse-finish takes no arguments")
    return Resume(session.guest.reverse_step_out)


def _goto(session: Session, text: str) -> Resume:
    history = session.guest.history
    begin, end = history.begin, history.end  # without a history, the error says so at once

    def action() -> None:
        history.goto(_time(session, text, begin, end))

    _time(session, text, begin, end)
    return Resume(action)


def _time(session: Session, text: str, begin: Position, end: Position) -> Any:
    if text in ("begin", "beginning", "start"):
        return begin
    if text in ("end", "now"):
        return end
    try:
        if text.startswith("#"):
            return session.times[int(text[1:])]
        if text[:1] in ("+", "-"):
            here = session.guest.history.now.position
            return here._replace(instructions=max(0, here.instructions + int(text, 0)))
        numbers = [int(part, 0) for part in text.replace(",", "").split(":")]
    except (ValueError, KeyError):
        numbers = []
    if len(numbers) == 1:
        return numbers[0]
    if len(numbers) == 3:
        return Position(*numbers)
    raise CommandError(
        "goto begin | end | #HIT | INSTRUCTIONS | +N | -N | TURN:VCPU:INSTRUCTIONS"
        + (f": there is no hit {text}" if text.startswith("#") else "")
    )


def _history(session: Session, text: str) -> Resume | None:
    history = session.guest.history
    if text == "on":
        history.start()
    elif text == "off":
        return Resume(history.stop)
    elif text == "branch":
        history.branch()
        session.say(f"this is the present now: {history.now}")
        return None
    elif text:
        raise CommandError("history [on | off | branch]")
    if not history.on:
        session.say("history is off: `history on` records from here, --history from the start")
        return None
    past = " (in the past)" if history.in_past else ""
    session.say(f"begin {history.begin}   now {history.now}{past}   end {history.end}")
    session.say(f"{history.memory_size >> 10:,} KiB of snapshots")
    return None


def _last(session: Session, text: str) -> None:
    words = text.split()
    history = session.guest.history
    kind = words[0] if words else ""
    if kind in ("write", "read", "execution"):
        words = words[1:]
    else:
        kind = "write"
    if not words:
        raise CommandError("last [write|read|execution] WHAT")
    what = " ".join(words)
    ask: dict[str, Callable[[str], Any]] = {
        "write": history.last_write,
        "read": history.last_read,
        "execution": history.last_execution,
    }
    hit = ask[kind](what)
    if hit is None:
        session.say(f"{what}: none since the beginning of the history")
        return
    session.say_all([hits.line(0, what, hit), hits.frames(hit.backtrace())])
    session.say(f"   goto {':'.join(map(str, hit.time.position))}", "dim")


COMMANDS = (
    Command(
        ("reverse-step", "rs"),
        "[COUNT]",
        "back to the line before, into calls",
        _back(lambda session: _line(session, into=True)),
        repeats=True,
    ),
    Command(
        ("reverse-next", "rn"),
        "[COUNT]",
        "back to the line before, over calls",
        _back(lambda session: _line(session, into=False)),
        repeats=True,
    ),
    Command(
        ("reverse-stepi", "rsi"),
        "[COUNT]",
        "one instruction back",
        _back(_instruction),
        (),
        "",
        True,
    ),
    Command(
        ("reverse-nexti", "rni"),
        "[COUNT]",
        "one instruction back, over calls",
        _back(lambda session: session.guest.reverse_step_over()),
        repeats=True,
    ),
    Command(
        ("reverse-continue", "rc"), "", "back to the last hit of a point", _continue, repeats=True
    ),
    Command(("reverse-finish",), "", "back to the call of the function", _finish),
    Command(
        ("goto",),
        "begin | end | #HIT | N | +N | -N | TURN:VCPU:N",
        "go to a time of the history",
        _goto,
        ("N counts instructions. #HIT is the number of a hit that was shown.",),
    ),
    Command(("history",), "[on | off | branch]", "show the history, or record it", _history),
    Command(
        ("last",),
        "[write|read|execution] WHAT",
        "who did it last, without moving the guest",
        _last,
        completes="symbol",
    ),
)
