"""Ctrl-C while a guest runs: it is stopped as by ``interrupt``, then the exception is raised.

Python would raise KeyboardInterrupt between any two lines, also between a debug exit and its hit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from importlib import import_module
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.debugger.execution.scheduler import Scheduler
    from guestdbg.debugger.vcpu.stop import Stop

__all__ = ["defer_sigint"]

# What the functions of ``signal`` call: these look for an enumeration for each handler, and three
# calls of them take as long as a short run of a guest.
try:
    _signal: Any = import_module("_signal")
except ImportError:  # another Python
    _signal = signal


def defer_sigint(scheduler: Scheduler, action: Callable[[], Stop]) -> Stop:
    """Do ``action``, which runs the guest. A Ctrl-C ends it, and then KeyboardInterrupt is raised.

    In handlers and conditions, whose exceptions end a run anyway, KeyboardInterrupt is raised at
    once; so it is at a second Ctrl-C. Other threads get no signals, and a SIGINT handler that the
    user has set is kept.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or _signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return action()
    pressed = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        # Imported at the signal: a run without hits needs no handlers.
        from guestdbg.debugger.vcpu.dispatch import dispatch

        if pressed or _called_by(dispatch.__code__, frame):
            raise KeyboardInterrupt
        pressed = True
        scheduler.interrupt()

    _signal.signal(signal.SIGINT, handler)
    try:
        stop = action()
    finally:
        _signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            scheduler.forget_interrupt()
    if pressed:
        raise KeyboardInterrupt
    return stop


def _called_by(code: CodeType, frame: FrameType | None) -> bool:
    caller = None if frame is None else frame.f_back
    while caller is not None:
        if caller.f_code is code:
            return True
        caller = caller.f_back
    return False
