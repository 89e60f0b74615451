"""What a log of hits is, and the one where none is written; ``log_files`` has those in files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from guestdbg.debugger import Hit
    from guestdbg.debugger.breakpoints.spec_parser import BreakSpec, WatchSpec

__all__ = ["HitLog", "NoLog"]


class HitLog(Protocol):
    """A log. If its file cannot be written any more (a full disk), it ends with what it has."""

    failed: bool

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None: ...

    def write(self, document: dict[str, Any]) -> None:
        """Add something that is no hit: its member `event` says what."""

    def close(self) -> None: ...


class NoLog:
    """The log where none is written."""

    failed = False

    def hit(self, number: int, spec: BreakSpec | WatchSpec, hit: Hit) -> None:
        """Not kept."""

    def write(self, document: dict[str, Any]) -> None:
        """Not kept."""

    def close(self) -> None:
        """There is no file."""
