"""One run or step of the guest at a time, until it has powered off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import GuestBusy
from guestdbg.debugger.execution.keyboard_interrupt import defer_sigint
from guestdbg.kvm import KvmError

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.software_breakpoints import SoftwareBreakpoints
    from guestdbg.debugger.execution.scheduler import Scheduler
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.vcpu.stop import Stop

__all__ = ["ResumeGuard"]

_PATIENCE_SECONDS = 10
_RETRY_SECONDS = 0.005


class ResumeGuard:
    """Everything that resumes the guest, from ``run`` to ``step``, goes through here.

    Attributes:
        ended: the Stop of a guest that has powered off: every further run or step returns it.
    """

    def __init__(
        self, target: Target, scheduler: Scheduler, software_breakpoints: SoftwareBreakpoints
    ) -> None:
        self._target = target
        self._scheduler = scheduler
        self._software_breakpoints = software_breakpoints
        self._thread: int | None = None
        self.ended: Stop | None = None

    @property
    def running(self) -> bool:
        """Whether a run or step is under way."""
        return self._thread is not None

    @property
    def running_here(self) -> bool:
        """Whether one is under way in this thread: a handler is called by it."""
        return self._thread == threading.get_ident()

    def end(self) -> None:
        """End the run of another thread, and wait until it has ended, at most ten seconds."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self.running and not self.running_here and time.monotonic() < deadline:
            self._scheduler.interrupt()
            time.sleep(_RETRY_SECONDS)

    def resume(
        self,
        action: Callable[[], Stop],
        timeout: float | None,
        max_instructions: int | None,
        *,
        brief: bool = False,
    ) -> Stop:
        """Do ``action``, which resumes the guest, within its limits; the Stop that it ends with.

        A ``brief`` one is over before anybody can press Ctrl-C: it saves deferring that.
        """
        self.check_stopped("the guest is running already")
        if self.ended is not None:
            return self.ended
        target, until_stop = self._target, self._scheduler.until_stop
        self._thread = threading.get_ident()
        try:
            if target.armed.brk_addresses:
                self._software_breakpoints.refresh()
            if brief:
                stop = until_stop(action, timeout, max_instructions)
            else:
                stop = defer_sigint(
                    self._scheduler, lambda: until_stop(action, timeout, max_instructions)
                )
            if stop.reason == "exit":
                self.ended = stop
            return stop
        except KvmError as error:
            if error.call != "KVM_RUN" or isinstance(error.__cause__, KvmError):
                raise  # it is not of the vCPU, or the board has explained it already
            raise target.board.explained(self._scheduler.current.vcpu, error) from error
        finally:
            self._thread = None
            for vcpu in self._scheduler.vcpus:
                vcpu.collect_counts()
            target.board.console.flush()

    def check_stopped(self, problem: str) -> None:
        """Raises GuestBusy, with the problem and who runs the guest, while that is running."""
        if self._thread is not None:
            who = (
                "this is called by one of its handlers"
                if self._thread == threading.get_ident()
                else "another thread runs it"
            )
            raise GuestBusy(f"{problem}: {who}")
