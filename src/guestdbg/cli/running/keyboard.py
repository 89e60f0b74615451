"""Standard input, passed on to the guest by a thread of its own."""

import contextlib
import os
import select
import sys
import termios
import threading
from collections.abc import Callable, Iterator

from guestdbg.cli.running.terminal import is_foreground

# Indices into what tcgetattr() returns.
_IFLAG, _LFLAG, _CC = 0, 3, 6


def _stdin() -> int | None:
    """The descriptor of stdin; None if it is closed, or a terminal that this job may not read."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    if os.isatty(fd) and not is_foreground(fd):
        return None
    return fd


@contextlib.contextmanager
def _unbuffered(fd: int) -> Iterator[None]:
    """Makes the terminal deliver each key at once, without an echo: the guest echoes.

    Ctrl-C still interrupts guestdbg. Enter arrives as a carriage return, as from a serial terminal.
    """
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    changed = termios.tcgetattr(fd)
    changed[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
    changed[_IFLAG] &= ~termios.ICRNL
    changed[_CC][termios.VMIN] = 1
    changed[_CC][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


@contextlib.contextmanager
def passed_on(feed: Callable[[bytes], None]) -> Iterator[None]:
    """Call `feed` with what is typed, in a thread of its own, until the context ends."""
    fd = _stdin()
    if fd is None:
        yield
        return

    wake, waker = os.pipe()

    def read() -> None:
        while True:
            ready, _, _ = select.select([fd, wake], [], [])
            if wake in ready:
                return
            try:
                data = os.read(fd, 1024)
            except OSError:
                return
            if not data:
                return
            feed(data)

    thread = threading.Thread(target=read, name="keyboard", daemon=True)
    with _unbuffered(fd):
        thread.start()
        try:
            yield
        finally:
            os.close(waker)
            thread.join()
            os.close(wake)
