"""A monitor command, and the error it raises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.gdb.session_state import SessionState

__all__ = ["Command", "MonitorError", "refuse_arguments"]


class MonitorError(GuestdbgError):
    """A monitor command that is malformed, or cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Command:
    """A monitor command.

    Attributes:
        name: its name.
        arguments: its arguments as `monitor help` shows them.
        summary: one line of help.
        run: takes the session and the arguments, and returns the text to print. Raises
            GuestdbgError.
        raw: the arguments are passed as one string, as they were typed.
    """

    name: str
    arguments: str
    summary: str
    run: Callable[[SessionState, list[str]], str]
    raw: bool = False


def refuse_arguments(words: list[str], name: str) -> None:
    """For commands without arguments. Raises MonitorError if there are any."""
    if words:
        raise MonitorError(f"monitor {name} takes no arguments")
