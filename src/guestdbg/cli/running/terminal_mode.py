"""The mode of the terminal that the guest's console uses, and its return after any signal.

A shell does not always repair a terminal without echo. So the old mode comes back before a signal
ends or suspends this process, and the guest's mode when the process is continued.
"""

import contextlib
import os
import signal
import termios
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

from guestdbg.cli.running.terminal import is_foreground

# Indices into what tcgetattr() returns.
_IFLAG, _LFLAG, _CC = 0, 3, 6

# What the terminal's driver does with some keys, and does not with `raw`: signals (Ctrl-C, Ctrl-Z),
# the next key as it is (Ctrl-V), and stopping the output (Ctrl-S).
_KEY_LFLAGS = termios.ISIG | termios.IEXTEN
_KEY_IFLAGS = termios.IXON

# Signals that end a process by default. Left out are those of a fault, for which Python code cannot
# run any more, and those that Python ignores (SIGPIPE, SIGXFSZ).
_NAMES = (
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGVTALRM"),
    *("SIGPROF", "SIGXCPU", "SIGIO", "SIGPWR", "SIGSTKFLT", "SIGSYS", "SIGTRAP"),
)
_ENDING = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
if hasattr(signal, "SIGRTMIN"):
    _ENDING += range(signal.SIGRTMIN, signal.SIGRTMAX + 1)


@contextlib.contextmanager
def unbuffered(fd: int, *, raw: bool = False) -> Iterator[None]:
    """Makes the terminal deliver each key at once, without an echo: the guest echoes.

    Ctrl-C still interrupts guestdbg, unless `raw` is set: then every key is delivered. Enter
    arrives as a carriage return, as from a serial terminal. Does nothing for a file or pipe.
    """
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    changed = termios.tcgetattr(fd)
    changed[_LFLAG] &= ~(termios.ICANON | termios.ECHO)
    changed[_IFLAG] &= ~termios.ICRNL
    if raw:
        changed[_LFLAG] &= ~_KEY_LFLAGS
        changed[_IFLAG] &= ~_KEY_IFLAGS
    changed[_CC][termios.VMIN] = 1
    changed[_CC][termios.VTIME] = 0
    with _restored_by_signals(fd, before, changed):
        _set(fd, changed)
        try:
            yield
        finally:
            _set(fd, before)


def _set(fd: int, mode: list[Any]) -> None:
    """Set the mode, also from the background, where SIGTTOU would stop this process."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTTOU])
    try:
        with contextlib.suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(fd, termios.TCSADRAIN, mode)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


@contextlib.contextmanager
def _restored_by_signals(fd: int, before: list[Any], changed: list[Any]) -> Iterator[None]:
    """Set the mode ``before`` when a signal with its default action comes, and let it act."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        _set(fd, before)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def suspend(number: int, frame: FrameType | None) -> None:
        _set(fd, before)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when the process is continued
        resume(number, frame)

    def resume(number: int, frame: FrameType | None) -> None:
        # The handler first: SIGCONT's runs before `suspend` goes on, and a Ctrl-Z that finds the
        # mode changed must not find the default action.
        if signal.SIGTSTP in replaced:
            signal.signal(signal.SIGTSTP, suspend)
        if is_foreground(fd):
            _set(fd, changed)

    handlers = dict.fromkeys(_ENDING, end) | {signal.SIGTSTP: suspend, signal.SIGCONT: resume}
    replaced = [n for n in handlers if signal.getsignal(n) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, handlers[number])
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)
