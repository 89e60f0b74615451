"""What a guest prints during a case: its end is kept, and patterns are looked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

__all__ = ["CaseConsole"]

_KEPT = 64 << 10
_WINDOW = 4096


class CaseConsole:
    """The output of the case that runs.

    Attributes:
        outcome: that of the first pattern that has matched; None: none has.
        matched: the text that did.
        on_match: called when one does.
    """

    def __init__(self, patterns: Sequence[tuple[re.Pattern[bytes], str]]) -> None:
        self._patterns = patterns
        self._data = bytearray()
        self.outcome: str | None = None
        self.matched = b""
        self.on_match: Callable[[], object] = lambda: None

    def begin(self) -> None:
        """A case begins."""
        self._data.clear()
        self.outcome = None
        self.matched = b""

    def feed(self, data: bytes) -> None:
        """The guest has printed this."""
        self._data += data
        if len(self._data) > 2 * _KEPT:
            del self._data[:-_KEPT]
        if self._patterns and self.outcome is None:
            self._look(data)

    def _look(self, data: bytes) -> None:
        window = bytes(self._data[-(_WINDOW + len(data)) :])
        for pattern, outcome in self._patterns:
            if (match := pattern.search(window)) is not None:
                self.outcome, self.matched = outcome, match[0]
                self.on_match()
                return

    @property
    def data(self) -> bytes:
        """The end of what it has printed."""
        return bytes(self._data[-_KEPT:])
