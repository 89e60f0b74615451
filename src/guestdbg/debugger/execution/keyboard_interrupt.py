"""Ctrl-C while a guest runs: the guest is stopped as by ``interrupt``, and only then it is raised.

Python would raise KeyboardInterrupt between any two lines, also between a stop and its hit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import TYPE_CHECKING

from guestdbg.debugger.vcpu.dispatch import dispatch

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest
    from guestdbg.debugger.vcpu.stop import Stop

__all__ = ["defer_sigint"]


def defer_sigint(guest: Guest, move: Callable[[], Stop]) -> Stop:
    """Make a move; a Ctrl-C meanwhile ends it as KeyboardInterrupt, with the guest in order.

    In handlers and conditions, whose exceptions come out of a run anyway, it is raised at once; and
    so it is when pressed a second time. Other threads get no signals, and whoever has
    set a handler of his own keeps it.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        return move()
    pressed = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed or _called_by(dispatch.__code__, frame):
            raise KeyboardInterrupt
        pressed = True
        guest.interrupt()

    signal.signal(signal.SIGINT, handler)
    try:
        stop = move()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            guest.runloop.forget_interrupt()
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
