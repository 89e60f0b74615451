"""No warnings in the log while cases run: thousands of them may each have the same to say."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

_logger = logging.getLogger("guestdbg")
_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Errors only, while any thread is in it; a level that the program has set itself stays."""
    global _users
    with _lock:
        on = bool(_users) or _logger.level == logging.NOTSET
        if on:
            _users += 1
            _logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        with _lock:
            if on:
                _users -= 1
                if not _users:
                    _logger.setLevel(logging.NOTSET)
