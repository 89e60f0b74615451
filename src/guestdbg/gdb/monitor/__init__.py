"""The `monitor` commands: a registry, and a file for each few of them.

A command is a function of the session and its arguments (a list of words) that returns the text to
print, and raises GuestdbgError for what was wrong. ``add`` makes it known.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.gdb.session import Session

__all__ = ["MODULES", "Command", "MonitorError", "add", "commands", "execute"]

#: The modules of this package that add commands.
MODULES = ("general", "memory", "console", "watching")


class MonitorError(GuestdbgError):
    """A monitor command that cannot be understood, or not be done."""


@dataclass(frozen=True, slots=True)
class Command:
    """``name`` and ``arguments`` as `monitor help` shows them; ``what`` is a line of help.

    ``raw``: the arguments are handed over as one text, as they were written.
    """

    name: str
    arguments: str
    what: str
    run: Callable[[Session, list[str]], str]
    raw: bool = False


_COMMANDS: dict[str, Command] = {}


def add(command: Command) -> None:
    """Make a command known."""
    assert command.name not in _COMMANDS, command.name
    _COMMANDS[command.name] = command


def commands() -> dict[str, Command]:
    """All commands by name."""
    for name in MODULES:
        import_module(f"{__name__}.{name}")
    return dict(sorted(_COMMANDS.items()))


def execute(session: Session, line: str) -> str:
    """Run one line. Raises MonitorError and what the commands raise."""
    known = commands()
    name, _, rest = line.strip().partition(" ")
    if not name:
        name = "help"
    if name not in known:
        near = [n for n in known if n.startswith(name)]
        if len(near) != 1:
            raise MonitorError(f"there is no monitor command {name!r}: {', '.join(near or known)}")
        name = near[0]
    command = known[name]
    if command.raw:
        return command.run(session, [rest.strip()])
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise MonitorError(f"{rest!r}: {error}") from None
    return command.run(session, words)
