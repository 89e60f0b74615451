"""The end of what a process writes, which is often the only thing that says why it has died."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

__all__ = ["Output"]

#: Bytes that are kept.
_KEPT = 64 << 10
#: Seconds to wait for the rest: a process that the worker has started may hold the pipe open.
_PATIENCE = 1.0


class Output:
    """What one process after the other writes to a pipe; ``tee``: it goes to stderr, too."""

    def __init__(self, *, tee: bool) -> None:
        self._tee = tee
        self._last = bytearray()
        self._thread: threading.Thread | None = None

    def begin(self) -> int:
        """A new process. Returns the descriptor to which it writes; the caller closes it."""
        read, write = os.pipe()
        self._last = bytearray()
        self._thread = threading.Thread(
            target=_follow, args=(read, self._last, self._tee), daemon=True
        )
        self._thread.start()
        return write

    def end(self) -> None:
        """The process has ended: wait for the rest of what it wrote."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)

    @property
    def last(self) -> str:
        """The end of what was written."""
        return bytes(self._last).decode(errors="replace")


def _follow(read: int, last: bytearray, tee: bool) -> None:
    with os.fdopen(read, "rb", buffering=0) as pipe:
        while data := pipe.read(_KEPT):
            last += data
            del last[:-_KEPT]
            if tee:
                # sys.stderr may be closed, or be something else by now.
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(data.decode(errors="replace"))
