"""A short time in which the handlers of signals do not run."""

import contextlib
import signal
import threading
from collections.abc import Iterator

_ENDING = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def held_signals() -> Iterator[None]:
    """Python's handlers of SIGHUP, SIGINT and SIGTERM run after the block instead of within it.

    Their exceptions would otherwise leave a process that has been started and is not recorded yet.
    The signals are not blocked, because a process that is started inherits what is blocked.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run in the main thread only
        return
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    arrived: list[int] = []
    try:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, lambda number, _frame: arrived.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            if callable(handler):
                signal.signal(number, handler)
        for came in arrived:
            signal.raise_signal(came)
