"""A trace as lines of JSON, one for each event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.trace.tracing.event import About, Event
    from guestdbg.trace.tracing.streamed_file import StreamedFile

__all__ = ["JsonLinesWriter"]

_VERSION = 1
#: Events that are written at once: of what has no room on a disk, little is lost.
_PIECE = 50


class JsonLinesWriter(Closing):
    """Writes a trace as lines of JSON; an EventWriter. `docs/trace.md` has the members."""

    def __init__(self, file: StreamedFile) -> None:
        self._file = file
        self._about: About | None = None
        self._contexts: dict[int, int] = {}

    def begin(self, about: About) -> None:
        """See EventWriter."""
        self._about = about
        head = {
            "event": "begin",
            "form": "guestdbg trace",
            "version": _VERSION,
            "guest": about.guest,
            "vcpus": about.vcpus,
        }
        self._file.add(json.dumps(head).encode() + b"\n")

    def write(self, events: Sequence[Event]) -> None:
        """See EventWriter."""
        for first in range(0, len(events), _PIECE):
            piece = events[first : first + _PIECE]
            lines = [json.dumps(self._record(event)) + "\n" for event in piece]
            self._file.add("".join(lines).encode())

    def close(self) -> None:
        """See EventWriter."""
        self._file.close()

    @property
    def notes(self) -> list[str]:
        """What a user of the file has to know."""
        return []

    def _record(self, event: Event) -> dict[str, Any]:
        found: dict[str, Any] = {
            "event": event.kind,
            "time": event.time,
            "ns": event.nanoseconds,
            "vcpu": event.vcpu,
            "el": event.el,
        }
        match event.kind:
            case "call" | "return":
                found |= self._transfer(event) | {"sp": f"{event.value:#x}"}
                if event.detail:
                    found["arguments"] = dict(_pairs(event.detail))
            case "exception":
                found |= {"exception": event.detail, "esr": f"{event.value:#x}"}
                found |= self._transfer(event)
            case "exception_return":
                found |= self._transfer(event)
            case "context":
                found |= self._context(event)
            case "console":
                found["text"] = event.detail
            case "hit":
                found |= {"pc": f"{event.source:#x}", "hit": event.detail}
        return found

    def _transfer(self, event: Event) -> dict[str, Any]:
        return {
            "from": f"{event.source:#x}",
            "from_function": self._function(event.source, event.vcpu),
            "to": f"{event.target:#x}",
            "to_function": self._function(event.target, event.vcpu),
        }

    def _context(self, event: Event) -> dict[str, Any]:
        assert self._about is not None
        found: dict[str, Any] = {"register": event.detail, "value": f"{event.value:#x}"}
        task = self._about.task(str(event.detail), event.value)
        if task is not None:
            found["task"] = {"pid": task.pid, "comm": task.name}
            if event.detail == "SP_EL0":
                self._contexts[event.vcpu] = event.value
        return found

    def _function(self, address: int, vcpu: int) -> str | None:
        assert self._about is not None
        return self._about.function(address, self._contexts.get(vcpu, 0))


def _pairs(detail: object) -> list[tuple[str, str]]:
    return [(str(name), str(text)) for name, text in detail] if isinstance(detail, tuple) else []
