"""What is typed here goes to the guest: stdin, read by a thread of its own."""

import contextlib
import os
import select
import sys
import termios
import threading
from collections.abc import Callable, Iterator

from guestdbg.cli.terminal import is_foreground

_LFLAG, _IFLAG, _CC = 3, 0, 6


def _stdin() -> int | None:
    """The descriptor of stdin, or None where there is nothing to read from."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    if os.isatty(fd) and not is_foreground(fd):
        return None
    return fd


@contextlib.contextmanager
def _unbuffered(fd: int) -> Iterator[None]:
    """A terminal that hands over each key and does not echo: the guest echoes.

    Ctrl-C still interrupts us. Enter arrives as the carriage return that a serial terminal sends.
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
    """While this lasts, `feed` gets what is typed, in a thread of its own."""
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
