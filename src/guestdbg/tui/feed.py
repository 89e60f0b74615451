"""What the thread of the guest has for the interface, which takes it some times a second.

All of it is bounded: a guest that prints or hits faster than anybody can read neither fills the
memory nor keeps the interface busy. What was left out is counted, and said.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text

    from guestdbg.tui.view import View

__all__ = ["CONSOLE_BYTES", "HITS", "Feed", "News"]

#: Bytes of the console, hits, and lines of messages that wait for the interface at most.
CONSOLE_BYTES = 64 << 10
HITS = 32
_MESSAGES = 4000


class News(NamedTuple):
    """What has happened since it was asked for last.

    ``console_lost`` bytes of output came before ``console`` and are left out. So are ``hits_lost``
    hits, which came between ``hits`` or after them. ``view`` is None if nothing has changed.
    """

    console: bytes
    console_lost: int
    hits: list[Text]
    hits_lost: int
    messages: list[Text]
    view: View | None
    running: str | None


@dataclass
class Feed:
    """Between the two threads: any may call any method."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _console: bytearray = field(default_factory=bytearray)
    _console_lost: int = 0
    _hits: list[Text] = field(default_factory=list)
    _hits_uncounted: int = 0
    _hits_left_out: int = 0
    _messages: deque[Text] = field(default_factory=lambda: deque(maxlen=_MESSAGES))
    _view: View | None = None
    _running: str | None = None

    @property
    def wants_hits(self) -> bool:
        """Whether a hit is still shown; if not, it is only counted."""
        return len(self._hits) < HITS

    def print(self, data: bytes) -> None:
        """Output of the guest's console."""
        with self._lock:
            self._console += data
            over = len(self._console) - CONSOLE_BYTES
            if over > 0:
                del self._console[:over]
                self._console_lost += over

    def hit(self, line: Text) -> None:
        """A hit, as a line."""
        with self._lock:
            self._hits.append(line)

    def count_hit(self) -> None:
        """A hit that is not shown. Only the thread of the guest calls this, very often."""
        self._hits_left_out += 1

    def say(self, line: Text) -> None:
        """A line for the user."""
        with self._lock:
            self._messages.append(line)

    def show(self, view: View) -> None:
        """What the panes show from now on."""
        with self._lock:
            self._view = view

    def runs(self, text: str) -> None:
        """How far a running guest has got."""
        self._running = text

    def take(self) -> News:
        """All of it; from then on there is nothing."""
        with self._lock:
            left_out = self._hits_left_out
            news = News(
                bytes(self._console),
                self._console_lost,
                self._hits,
                left_out - self._hits_uncounted,
                list(self._messages),
                self._view,
                self._running,
            )
            self._console.clear()
            self._messages.clear()
            self._console_lost, self._hits_uncounted = 0, left_out
            self._hits = []
            self._view = self._running = None
        return news
