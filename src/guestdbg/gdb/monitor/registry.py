"""All monitor commands by name, `monitor help`, and the execution of a line."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from guestdbg.gdb.monitor import (
    console,
    general,
    history,
    linux,
    memory,
    qemu,
    registers,
    snapshots,
    watch,
)
from guestdbg.gdb.monitor.command import Command, MonitorError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

__all__ = ["COMMANDS", "execute"]


def _help(session: SessionState, words: list[str]) -> str:
    """All commands, one per line."""
    rows = [(f"{c.name} {c.arguments}".rstrip(), c.summary) for c in COMMANDS.values()]
    width = max(len(left) for left, _ in rows)
    return "".join(f"{left:{width}}  {summary}\n" for left, summary in rows)


def _by_name(*commands: Command) -> dict[str, Command]:
    found = {command.name: command for command in sorted(commands, key=lambda c: c.name)}
    assert len(found) == len(commands), "two commands with one name"
    return found


#: All commands, in alphabetical order.
COMMANDS: dict[str, Command] = _by_name(
    Command("help", "", "list the commands", _help),
    *general.COMMANDS,
    *registers.COMMANDS,
    *memory.COMMANDS,
    *snapshots.COMMANDS,
    *history.COMMANDS,
    *console.COMMANDS,
    *watch.COMMANDS,
    *qemu.COMMANDS,
    *linux.COMMANDS,
)


def execute(session: SessionState, line: str) -> str:
    """Run one line; the text that it prints. A command may be abbreviated to a unique prefix.

    Raises MonitorError, and the errors of the commands.
    """
    name, _, rest = line.strip().partition(" ")
    if not name:
        name = "help"
    if name not in COMMANDS:
        near = [n for n in COMMANDS if n.startswith(name)]
        if len(near) != 1:
            raise MonitorError(
                f"there is no monitor command {name!r}: {', '.join(near or COMMANDS)}"
            )
        name = near[0]
    command = COMMANDS[name]
    if command.raw:
        return command.run(session, [rest.strip()])
    try:
        words = shlex.split(rest)
    except ValueError as error:
        raise MonitorError(f"{rest!r}: {error}") from None
    return command.run(session, words)
