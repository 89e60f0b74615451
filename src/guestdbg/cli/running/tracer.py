"""What `guestdbg run` does at each hit: count it, print it, and stop at the limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from guestdbg.debugger.breakpoints.point import STOP

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Hit
    from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec


class HitSink(Protocol):
    """Takes hits, numbered from 1."""

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None: ...


class HitLines:
    """Prints hits as lines for people, with `backtrace` frames at most."""

    def __init__(self, terminal: Terminal, *, backtrace: int | None) -> None:
        self._terminal = terminal
        self._backtrace = backtrace

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        from guestdbg.terminal_text import hits

        line = hits.line(number, spec.name, hit)
        frames = hits.frames(hit.backtrace(self._backtrace)) if self._backtrace else None
        self._terminal.line(*([line, frames] if frames else [line]))


class Attachable(Protocol):
    """A point, or one name for several: it takes a handler."""

    def __call__(self, handler: Callable[[Hit], Any], /) -> object: ...


@dataclass
class HitTracer:
    """Passes every hit to the sinks, and stops the run after `limit` hits (None: never).

    `total` is the number of hits of all points together.
    """

    sinks: list[HitSink]
    limit: int | None
    total: int = 0

    def attach(self, point: Attachable, spec: BreakSpec | WatchSpec) -> None:
        """Handle the hits of this point from now on."""

        def handler(hit: Hit) -> object:
            if self.total == self.limit:
                # One instruction can hit several points: hits above the limit are not reported.
                return STOP
            self.total += 1
            for sink in self.sinks:
                sink.hit(self.total, spec, hit)
            return STOP if self.total == self.limit else None

        point(handler)
