"""A guest under the interface, without a screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import guestdbg
from guestdbg.tui.commands.registry import execute
from guestdbg.tui.errors import TuiError
from guestdbg.tui.feed import Feed
from guestdbg.tui.session import Session
from tests.cli.guests import EXAMPLES


class Prompt:
    """Commands one after the other, and what they say."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __call__(self, line: str) -> str:
        """Carry out a line as the thread of the guest does; all that it says."""
        resume = execute(self.session, line)
        if resume is not None:
            guest = self.session.guest
            stop = guest.run(timeout=60) if resume.action is None else resume.action()
            self.session.moved()
            if stop is not None:
                self.session.report(stop)
        return self.said()

    def said(self) -> str:
        return "\n".join(line.plain for line in self.session.feed.take().messages)

    def refused(self, line: str) -> str:
        """The message of the error that a line is refused with."""
        try:
            self(line)
        except guestdbg.GuestdbgError as error:
            return str(error)
        raise AssertionError(f"{line} is not refused")

    @property
    def function(self) -> str | None:
        return self.session.cpu.location.function


@contextmanager
def prompt(guest: str = "queue.elf", **options: Any) -> Iterator[Prompt]:
    feed = Feed()
    path: Path = EXAMPLES / guest
    with guestdbg.load(path, provider="soft", console=feed.print, **options) as loaded:
        yield Prompt(Session(loaded, feed, [EXAMPLES]))


__all__ = ["Prompt", "TuiError", "prompt"]
