"""Whose turn it is: one vCPU of a machine runs at a time, and nobody waits for ever."""

from __future__ import annotations

from collections import deque
from threading import Lock


class FairLock:
    """A fair lock whose holder can pass it on to whoever waits longest.

    Taking and giving back a lock that nobody else wants is all that a run costs; the queue is for
    machines whose vCPUs have a thread each, and for calls that change the machine under them.
    """

    __slots__ = ("_lock", "_mutex", "release_only", "try_acquire", "waiters")

    def __init__(self) -> None:
        self._lock = Lock()
        self._mutex = Lock()
        #: Who waits, longest first.
        self.waiters: deque[Lock] = deque()
        # The two calls that are all of it where nobody waits, for `SoftVcpu.run`: there each
        # function call counts.
        self.try_acquire = self._lock.acquire
        self.release_only = self._lock.release

    def acquire(self) -> None:
        """Take the turn, after all who wait already."""
        if not self.waiters and self._lock.acquire(blocking=False):
            return
        gate = Lock()
        gate.acquire()
        with self._mutex:
            self.waiters.append(gate)
        # The holder may have left between the first try and the entry in the queue.
        self.grant_next()
        gate.acquire()

    def release(self) -> None:
        """Give the turn to whoever waits longest, or to nobody."""
        self._lock.release()
        if self.waiters:
            self.grant_next()

    def yield_to_waiters(self) -> None:
        """Let the others have their turn, then go on."""
        if self.waiters:
            self.release()
            self.acquire()

    def grant_next(self) -> None:
        """Hand the lock, if it is free, to the first in the queue."""
        with self._mutex:
            if self.waiters and self._lock.acquire(blocking=False):
                self.waiters.popleft().release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
