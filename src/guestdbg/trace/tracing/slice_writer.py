"""A file for a viewer of timelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from guestdbg.closing import Closing
from guestdbg.trace.tracing.slices import SliceFile, Slices

if TYPE_CHECKING:
    from guestdbg.trace.tracing.event import About, Event
    from guestdbg.trace.tracing.streamed_file import StreamedFile

__all__ = ["SliceForm", "SliceWriter"]

#: Events that are written at once.
_PIECE = 200


class SliceForm(SliceFile, Protocol):
    """What a viewer reads."""

    @property
    def limit(self) -> int | None:
        """Bytes that its viewer can read, if there is a limit."""

    def taken(self) -> bytes:
        """What has been made since, for the end of the file."""


class SliceWriter(Closing):
    """Writes a trace in a viewer's form; an EventWriter."""

    def __init__(self, file: StreamedFile, form: SliceForm) -> None:
        self._file = file
        self._form = form
        self._slices: Slices | None = None
        self._open = True
        self._failure: OSError | None = None

    def begin(self, about: About) -> None:
        """See EventWriter."""
        self._slices = Slices(about, self._form)
        self._put()

    def write(self, events: Sequence[Event]) -> None:
        """See EventWriter."""
        assert self._slices is not None
        if self._failure is not None:
            raise self._failure
        # In pieces: of what has no room on a disk, little is lost.
        for first in range(0, len(events), _PIECE):
            self._slices.add(events[first : first + _PIECE])
            self._put()

    def close(self) -> None:
        """See EventWriter."""
        if not self._open:
            return
        self._open = False
        try:
            if self._slices is not None and self._failure is None:
                self._slices.end()
                self._put()
        finally:
            self._file.close()

    @property
    def notes(self) -> list[str]:
        """What a user of the file has to know."""
        found = []
        if self._slices is not None and self._slices.hidden:
            found.append(
                f"{self._slices.hidden:,} calls were left out, which lie deeper than viewers show"
            )
        if self._form.limit is not None and self._file.written > self._form.limit:
            found.append(
                f"the file has {self._file.written >> 20:,} MiB, more than viewers read of JSON: "
                "write a .pftrace, or trace less"
            )
        return found

    def _put(self) -> None:
        piece = self._form.taken()
        try:
            if piece:
                self._file.add(piece)
        except OSError as error:
            # Slices of this piece are not in the file: it can be added to no more.
            self._failure = error
            raise
