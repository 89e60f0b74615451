"""One move of the guest at a time, until it has powered off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import GuestBusy
from guestdbg.debugger.execution.keyboard_interrupt import defer_sigint
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import KvmError

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["ResumeGuard"]

_PATIENCE_SECONDS = 10


class ResumeGuard:
    """Everything that lets a guest go, from ``run`` to ``step``.

    Attributes:
        ended: the Stop of a guest that has powered off: every further move gives it again.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._thread: int | None = None
        self.ended: Stop | None = None

    @property
    def under_way(self) -> bool:
        """Whether the guest is let go just now."""
        return self._thread is not None

    @property
    def under_way_here(self) -> bool:
        """Whether it is this thread that has let it go: one of the handlers asks."""
        return self._thread == threading.get_ident()

    def end(self) -> None:
        """Have another thread's move end, and wait for it a while."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.under_way and not self.under_way_here and time.monotonic() < deadline:
            self._guest.interrupt()
            time.sleep(0.005)

    def make(
        self,
        move: Callable[[], Stop],
        timeout: float | None,
        max_instructions: int | None,
        *,
        brief: bool = False,
    ) -> Stop:
        """Make a move within its limits; the Stop that it came to.

        One that is ``brief`` is over before a Ctrl-C, and is spared what holds that back.
        """
        guest = self._guest
        guest._check_open()
        self.check_still("the guest is running already")
        if self.ended is not None:
            return self.ended
        self._thread = threading.get_ident()
        try:
            if guest.arming.software:
                guest.points.software.refresh()
            if brief:
                stop = guest.runloop.until_stop(move, timeout, max_instructions)
            else:
                stop = defer_sigint(
                    guest, lambda: guest.runloop.until_stop(move, timeout, max_instructions)
                )
            if stop.reason == "exit":
                self.ended = stop
            return stop
        except KvmError as error:
            if error.call != "KVM_RUN" or "stood at" in error.text:
                raise
            raise guest.board.explained(guest.cpu.vcpu, error) from error
        finally:
            self._thread = None
            for core in guest.cores:
                core.deciding.collect()
            guest.board.console.flush()

    def check_still(self, problem: str) -> None:
        """Raises GuestBusy, with the problem and who is at it, while a move is under way."""
        if self._thread is not None:
            who = (
                "this is called by one of its handlers"
                if self._thread == threading.get_ident()
                else "another thread runs it"
            )
            raise GuestBusy(f"{problem}: {who}")
