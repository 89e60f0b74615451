"""``--show``: what the kernel of a Linux guest did when the run ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from rich.text import Text

    from guestdbg.debugger import Guest

__all__ = ["lines", "what"]

_WHAT: dict[str, Callable[[Any], Any]] = {
    "tasks": lambda linux: linux.tasks(),
    "threads": lambda linux: linux.tasks(threads=True),
    "dmesg": lambda linux: "\n".join(map(str, linux.dmesg())),
    "modules": lambda linux: linux.modules(),
    "mounts": lambda linux: linux.mounts(),
    "interrupts": lambda linux: linux.interrupts(),
}


def what(text: str) -> tuple[str, ...]:
    """The names of what is shown, from a list with commas; the type of an option."""
    found = tuple(each.strip() for each in text.split(","))
    for each in found:
        if each not in _WHAT:
            raise click.BadParameter(f"{each!r} cannot be shown; {', '.join(_WHAT)} can be.")
    return found


def lines(guest: Guest, shown: tuple[str, ...]) -> list[Text]:
    """The lines that show it, or why it cannot be shown."""
    from rich.text import Text

    found: list[Text] = []
    for name in shown:
        found.append(Text(f"-- {name}", "bold"))
        try:
            text = str(_WHAT[name](guest.linux))
        except GuestdbgError as error:
            text = f"   not known: {error}"
        found += [Text(_printable(line)) for line in text.splitlines()]
    return found


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in line)
