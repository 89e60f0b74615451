"""Whose turn it is: one vCPU of a machine runs at a time, and nobody waits for ever."""

from __future__ import annotations

from collections import deque
from threading import Lock


class Turns:
    """A fair lock whose holder can pass it on to whoever waits longest.

    Taking and giving back a lock that nobody else wants is all that a run costs; the queue is for
    machines whose vCPUs have a thread each, and for calls that change the machine under them.
    """

    __slots__ = ("_lock", "_mutex", "_waiters")

    def __init__(self) -> None:
        self._lock = Lock()
        self._mutex = Lock()
        self._waiters: deque[Lock] = deque()

    @property
    def contended(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiters)

    def acquire(self) -> None:
        """Take the turn, after all who wait already."""
        if not self._waiters and self._lock.acquire(blocking=False):
            return
        gate = Lock()
        gate.acquire()
        with self._mutex:
            self._waiters.append(gate)
        # The holder may have left between the first try and the entry in the queue.
        self._wake()
        gate.acquire()

    def release(self) -> None:
        """Give the turn to whoever waits longest, or to nobody."""
        self._lock.release()
        if self._waiters:
            self._wake()

    def pass_on(self) -> None:
        """Let the others have their turn, then go on."""
        if self._waiters:
            self.release()
            self.acquire()

    def _wake(self) -> None:
        """Hand the lock, if it is free, to the first in the queue."""
        with self._mutex:
            if self._waiters and self._lock.acquire(blocking=False):
                self._waiters.popleft().release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
