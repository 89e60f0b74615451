"""What `guestdbg run` does at each hit: count, print, log, and end the run when it is enough."""

import json
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

from guestdbg.cli import hits
from guestdbg.cli.terminal import Terminal
from guestdbg.debugger import STOP, Hit, Point
from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec


class Sink(Protocol):
    """Something that is told of hits."""

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None: ...


class Lines:
    """Hits as lines for people."""

    def __init__(self, terminal: Terminal, *, backtrace: bool) -> None:
        self._terminal = terminal
        self._backtrace = backtrace

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        line = hits.line(number, spec.name, hit)
        frames = hits.frames(hit.backtrace()) if self._backtrace else None
        self._terminal.line(*([line, frames] if frames else [line]))


class Log:
    """Hits as JSON lines; each object says in `event` what it is."""

    def __init__(self, file: TextIO, *, backtrace: bool) -> None:
        self._file = file
        self._backtrace = backtrace

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        backtrace = hit.backtrace() if self._backtrace else None
        self.write(hits.record(number, spec.text, hit, backtrace))

    def write(self, document: dict[str, Any]) -> None:
        self._file.write(json.dumps(document) + "\n")


@dataclass
class Tracer:
    """Hands every hit to the sinks, and ends the run at the `limit`th (None: never).

    `total` counts the hits of all points.
    """

    sinks: list[Sink]
    limit: int | None
    total: int = 0

    def attach(self, point: Point, spec: BreakSpec | WatchSpec) -> None:
        """Makes itself the point's handler."""

        def handler(hit: Hit) -> object:
            if self.total == self.limit:
                # One instruction can hit several points; what is beyond the limit is not told.
                return STOP
            self.total += 1
            for sink in self.sinks:
                sink.hit(self.total, spec, hit)
            return STOP if self.total == self.limit else None

        point(handler)
