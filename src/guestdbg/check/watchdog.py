"""Keeps a guest from hanging the suite: a vCPU that stays in KVM_RUN too long is kicked out.

Its time is not a clock's time. On a busy host, or where an emulated machine gets little of its
host, much time can pass in which the guest does nothing, and a case must not fail for that. So the
watchdog counts in short periods what the guest could use:

- While the vCPU's thread can run, its processor time: time in which other threads had the
  processor does not count.
- While the thread sleeps (the guest waits for an interrupt, in WFI), the whole period. It uses no
  processor time, but it must end, too.
- At most the length of a period, however late the watchdog wakes up. An emulated machine does not
  know when its host stops it: its clock and the processor time of the thread then go on.

This does not measure how fast a machine is that is slow all the time. But a case needs some
milliseconds of the seconds that it has.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu

#: How many periods make up the whole time.
_PERIODS = 20


class _ThreadTime:
    """What a thread does, seen from another one. It is created by the thread itself."""

    def __init__(self) -> None:
        self._id = threading.get_native_id()
        # Not on every system.
        clock_of = getattr(time, "pthread_getcpuclockid", None)
        self._clock: int | None = clock_of(threading.get_ident()) if clock_of else None
        self._before = self._now()

    def _now(self) -> float:
        return 0.0 if self._clock is None else time.clock_gettime(self._clock)

    def sleeps(self) -> bool:
        """Whether it sleeps in the kernel. True where that is unknown: all time counts then."""
        if self._clock is None:
            return True
        try:
            with open(f"/proc/self/task/{self._id}/stat", "rb") as stat:
                # The name, in parentheses, can have any character.
                return not stat.read().rpartition(b") ")[2].startswith(b"R")
        except OSError:
            return True

    def processor_time(self) -> float:
        """Seconds of processor time since the last call."""
        before, self._before = self._before, self._now()
        return self._before - before


@dataclass(slots=True)
class _Watched:
    """A vCPU in KVM_RUN: its thread, and how much it has used until ``at`` (time.monotonic())."""

    vcpu: Vcpu
    thread: _ThreadTime
    at: float
    used: float = 0.0


class Watchdog:
    """One thread for a whole run of the suite."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._period = seconds / _PERIODS
        self._wake = threading.Condition()
        self._watched: _Watched | None = None
        self._expired = False
        self._closing = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()

    @contextmanager
    def watching(self, vcpu: Vcpu) -> Iterator[None]:
        """While this lasts, kick this vCPU repeatedly once it has used ``seconds``.

        The thread that calls this is the one that runs the vCPU.
        """
        watched = _Watched(vcpu, _ThreadTime(), time.monotonic())
        with self._wake:
            # The thread need not be woken: it wakes up within a period anyway.
            self._watched = watched
            self._expired = False
        try:
            yield
        finally:
            with self._wake:
                self._watched = None

    @property
    def expired(self) -> bool:
        """Whether the vCPU of the last ``watching()`` was kicked."""
        return self._expired

    def _watch(self) -> None:
        with self._wake:
            while not self._closing:
                self._wake.wait(self._period)
                watched = self._watched
                if watched is None:
                    continue
                watched.used += self._of_period(watched)
                if watched.used >= self.seconds:
                    self._expired = True
                    watched.vcpu.kick()

    def _of_period(self, watched: _Watched) -> float:
        """What counts of the time since the last call for this vCPU."""
        now = time.monotonic()
        passed = min(now - watched.at, self._period)
        watched.at = now
        used = watched.thread.processor_time()
        return passed if watched.thread.sleeps() else min(used, passed)
