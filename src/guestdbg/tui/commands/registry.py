"""All commands by name, `help`, and the execution of a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.tui.commands import (
    general,
    going_back,
    information,
    inspecting,
    places,
    points,
    running,
)
from guestdbg.tui.commands.command import Command
from guestdbg.tui.errors import CommandError

if TYPE_CHECKING:
    from guestdbg.tui.commands.command import Resume
    from guestdbg.tui.session import Session

__all__ = ["COMMANDS", "KEYS", "execute", "find", "split"]

_LONGEST_LINE = 10_000

#: What keys do, for `help keys`.
KEYS = (
    ("F1", "this help"),
    ("F2", "what is shown: source and disassembly, source, disassembly"),
    ("F3", "the pane with the focus on the whole screen, and back"),
    ("F4", "messages, hits, console, stack (where they do not fit beside each other)"),
    ("F5", "continue"),
    ("F6", "to the console: every key goes to the guest; Ctrl-] leaves it"),
    ("F7  F8", "step, next (Shift: one instruction; F19 and F20 are the same)"),
    ("F9", "light, dark, or the terminal's own colours"),
    ("Ctrl-C", "stop the guest"),
    ("Tab", "complete; twice: the panes. Shift-Tab: the panes. Escape: the prompt"),
    ("Up Down", "earlier lines; in a pane: scroll. Ctrl-R: earlier lines with this beginning"),
    ("PgUp PgDn", "scroll the messages"),
    ("Ctrl-D", "on an empty line: quit"),
)


def _help(session: Session, text: str) -> None:
    if text == "keys":
        session.say_all(f"{key:12} {what}" for key, what in KEYS)
        return
    if text:
        command = find(text.split()[0])
        session.say(f"{command.names[0]} {command.arguments}".rstrip(), "bold")
        session.say(f"  {command.summary}")
        if len(command.names) > 1:
            session.say(f"  also: {', '.join(command.names[1:])}")
        session.say_all(f"  {line}" for line in command.details)
        return
    for command in COMMANDS:
        names = ", ".join(command.names[:2])
        session.say(f"{names:18} {command.summary}")
    session.say("help COMMAND says more; help keys: the keys", "bold")


COMMANDS: tuple[Command, ...] = (
    *running.COMMANDS,
    *points.COMMANDS,
    *inspecting.COMMANDS,
    *information.COMMANDS,
    *places.COMMANDS,
    *going_back.COMMANDS,
    *general.COMMANDS,
    Command(("help", "h"), "[COMMAND | keys]", "this list", _help, (), "command"),
)

_BY_NAME = {name: command for command in COMMANDS for name in command.names}


def find(word: str) -> Command:
    """A command by its name, or by the beginning of only one. Raises CommandError."""
    command = _BY_NAME.get(word)
    if command is not None:
        return command
    near = {id(_BY_NAME[name]): _BY_NAME[name] for name in _BY_NAME if name.startswith(word)}
    if word and len(near) == 1:
        return next(iter(near.values()))
    names = sorted(each.names[0] for each in near.values())
    if word and names:
        raise CommandError(f"{word!r} may be {', '.join(names)}")
    raise CommandError(f"there is no command {word[:40]!r}: `help` lists them")


def execute(session: Session, line: str) -> Resume | None:
    """Carry out a line; what the guest is to do then, if anything.

    Raises CommandError, what the library raises, and Quit.
    """
    if len(line) > _LONGEST_LINE:
        raise CommandError(f"the line has {len(line):,} characters: {_LONGEST_LINE:,} are the most")
    word, text = split(line)
    return find(word).run(session, text)


def split(line: str) -> tuple[str, str]:
    """The command's name and the rest: `print/x a` is `print` and `/x a`."""
    line = line.strip()
    end = next((n for n, letter in enumerate(line) if letter in " /\t"), len(line))
    return line[:end], line[end:].strip()
