"""No warnings in the log while cases run: thousands of them may each have the same to say."""

from __future__ import annotations

import logging
import threading

__all__ = ["Quiet"]

_logger = logging.getLogger("guestdbg")
_lock = threading.Lock()
_users = 0


class Quiet:
    """From when it is made until ``end``; a level that the program has set itself stays."""

    def __init__(self) -> None:
        global _users
        self._on = False
        with _lock:
            if _users or _logger.level == logging.NOTSET:
                _users += 1
                self._on = True
                _logger.setLevel(logging.ERROR)

    def end(self) -> None:
        """The last one ends it. Ending twice does nothing."""
        global _users
        with _lock:
            if not self._on:
                return
            self._on = False
            _users -= 1
            if not _users:
                _logger.setLevel(logging.NOTSET)
