"""What a command of the prompt is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.debugger import Stop
    from guestdbg.tui.session import Session

__all__ = ["Command", "Quit", "Resume"]


@dataclass(frozen=True)
class Resume:
    """The guest is to run or to be moved: the thread does ``action`` and reports its Stop.

    Without an action the guest runs until something stops it, in slices of time. None as a Stop
    says that the guest was moved, and that there is nothing to report.
    """

    action: Callable[[], Stop | None] | None = None


class Quit(Exception):
    """The user has asked for the end."""


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
        names: its name, and what else it is called.
        arguments: what follows, for the help.
        summary: one line for the list of commands.
        run: carries it out; gets the rest of the line.
        details: more lines for `help NAME`.
        completes: what an argument is: "symbol", "point", "command", "info", or "" for nothing.
        repeats: an empty line does it again.
    """

    names: tuple[str, ...]
    arguments: str
    summary: str
    run: Callable[[Session, str], Resume | None]
    details: tuple[str, ...] = ()
    completes: str = ""
    repeats: bool = False
