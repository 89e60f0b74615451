"""Keeps a guest from hanging the suite: a vCPU that stays in KVM_RUN too long is kicked out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from guestdbg.kvm import Vcpu


class Watchdog:
    """One thread for a whole run of the suite. It sleeps while no vCPU is overdue."""

    def __init__(self, seconds: float = 5.0) -> None:
        self.seconds = seconds
        self._wake = threading.Condition()
        self._vcpu: Vcpu | None = None
        self._deadline = 0.0
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
        """While this lasts, kick this vCPU repeatedly once ``seconds`` have passed."""
        with self._wake:
            # The thread need not be woken: it wakes up before this deadline anyway.
            self._vcpu, self._deadline = vcpu, time.monotonic() + self.seconds
            self._expired = False
        try:
            yield
        finally:
            with self._wake:
                self._vcpu = None

    @property
    def expired(self) -> bool:
        """Whether the vCPU of the last ``watching()`` was kicked."""
        return self._expired

    def _watch(self) -> None:
        with self._wake:
            while not self._closing:
                self._wake.wait(self.seconds / 4)
                if self._vcpu is not None and time.monotonic() >= self._deadline:
                    self._expired = True
                    self._vcpu.kick()
