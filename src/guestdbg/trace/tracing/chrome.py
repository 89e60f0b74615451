"""A trace in the JSON of Chrome's viewer: the "JSON array format" of its Trace Event Format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.trace.tracing.slices import Details

__all__ = ["ChromeForm"]

_PROCESS = 1
_quoted = json.encoder.encode_basestring_ascii


class ChromeForm:
    """Makes events of slices, one on each line.

    A microsecond of the viewer is a thousand instructions. The guest's own time is a counter.
    """

    tail = b"\n]\n"
    #: The longest text that a JavaScript engine parses at once, in bytes.
    limit = 500_000_000

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._begun = False

    def taken(self) -> bytes:
        """The events that have been made since."""
        if not self._pieces:
            return b""
        found = ("," if self._begun else "[") + "\n" + ",\n".join(self._pieces)
        self._begun = True
        self._pieces.clear()
        return found.encode()

    def track(self, number: int, name: str, parent: int | None) -> None:
        """See SliceFile. This form has no groups of tracks."""
        self._add(f'"ph":"M","tid":{number},"name":"thread_name","args":{{"name":{_quoted(name)}}}')
        self._add(
            f'"ph":"M","tid":{number},"name":"thread_sort_index","args":{{"sort_index":{number}}}'
        )

    def begin(self, track: int, time: int, name: str, details: Details) -> None:
        """See SliceFile."""
        self._add(
            f'"ph":"B","tid":{track},"ts":{_microseconds(time)},"name":{_quoted(name)}'
            + _arguments(details)
        )

    def end(self, track: int, time: int) -> None:
        """See SliceFile."""
        self._add(f'"ph":"E","tid":{track},"ts":{_microseconds(time)}')

    def instant(self, track: int, time: int, name: str, details: Details) -> None:
        """See SliceFile."""
        self._add(
            f'"ph":"i","s":"t","tid":{track},"ts":{_microseconds(time)},"name":{_quoted(name)}'
            + _arguments(details)
        )

    def counter(self, track: int, time: int, value: int) -> None:
        """See SliceFile."""
        self._add(
            f'"ph":"C","tid":{track},"ts":{_microseconds(time)},"name":"guest time",'
            f'"args":{{"ns":{value}}}'
        )

    def _add(self, members: str) -> None:
        self._pieces.append(f'{{"pid":{_PROCESS},{members}}}')


def _microseconds(time: int) -> str:
    return f"{time // 1000}.{time % 1000:03}"


def _arguments(details: Details) -> str:
    if not details:
        return ""
    return ',"args":' + json.dumps(dict(details))
