"""`type`, `echo`, `quit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.machine.escapes import unescape
from guestdbg.tui.commands.command import Command, Quit
from guestdbg.tui.errors import CommandError

if TYPE_CHECKING:
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS"]


def _type(session: Session, text: str) -> None:
    if not text:
        raise CommandError(r"type TEXT, with \n for the Enter key: type version\n")
    try:
        data = unescape(text)
    except ValueError as error:
        raise CommandError(f"type: {error}") from None
    session.guest.board.console.feed(data)


def _echo(session: Session, text: str) -> None:
    session.say(text)


def _quit(session: Session, text: str) -> None:
    raise Quit


COMMANDS = (
    Command(
        ("type",),
        "TEXT",
        "type to the guest's console",
        _type,
        (
            r"\n is Enter, \e Escape, \xNN any byte, as in: type version\n",
            "In the pane of the console (F6) every key goes to the guest.",
        ),
    ),
    Command(("echo",), "TEXT", "print a line", _echo),
    Command(("quit", "q", "exit"), "", "end the guest and the interface", _quit),
)
