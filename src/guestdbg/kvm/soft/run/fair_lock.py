"""The lock that lets one vCPU of a machine run at a time; waiters are served in order."""

from __future__ import annotations

from collections import deque
from threading import Lock


class FairLock:
    """A lock that goes to the thread that has waited longest.

    Nearly every run takes and releases it while no other thread waits: that costs one call each.
    The queue is for machines whose vCPUs have a thread each, and for calls that change the machine
    while a vCPU runs.

    Attributes:
        waiters: one gate for each waiting thread, longest first.
        try_acquire: take the lock if it is free; True if it was. Not for use while others wait.
        release_only: release the lock without giving it to a waiter: ``grant_next()`` must follow
            if there are waiters. ``SoftVcpu.run`` calls these two directly, which saves a function
            call at every run.
    """

    __slots__ = ("_lock", "_mutex", "release_only", "try_acquire", "waiters")

    def __init__(self) -> None:
        self._lock = Lock()
        self._mutex = Lock()
        self.waiters: deque[Lock] = deque()
        self.try_acquire = self._lock.acquire
        self.release_only = self._lock.release

    def acquire(self) -> None:
        """Take the lock, after every thread that waits already."""
        if not self.waiters and self._lock.acquire(blocking=False):
            return
        gate = Lock()
        gate.acquire()
        with self._mutex:
            self.waiters.append(gate)
        # The holder may have released the lock between the first try and the entry in the queue.
        self.grant_next()
        gate.acquire()

    def release(self) -> None:
        """Release the lock, to the thread that has waited longest if there is one."""
        self._lock.release()
        if self.waiters:
            self.grant_next()

    def yield_to_waiters(self) -> None:
        """Let every thread that waits now have the lock before this one has it again."""
        if self.waiters:
            self.release()
            self.acquire()

    def grant_next(self) -> None:
        """Give the lock, if it is free, to the first in the queue."""
        with self._mutex:
            if self.waiters and self._lock.acquire(blocking=False):
                self.waiters.popleft().release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
