"""Standard input, passed on to the guest by a thread of its own."""

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable, Iterator

import click

from guestdbg.cli.running.terminal import is_foreground

_READ_SIZE = 4096
_PENDING_MAX = 64 << 10  # bytes that were read and that the guest has not taken
_RECHECK_SECONDS = 0.05

#: The key that ends the command when all others go to the guest: Ctrl-], as in telnet and virsh.
ESCAPE = b"\x1d"
ESCAPE_STATUS = 130

raw_option = click.option(
    "--raw",
    is_flag=True,
    help="Every key goes to the guest, Ctrl-C and Ctrl-Z too; Ctrl-] ends the command.",
)


def _stdin() -> int | None:
    """The descriptor of stdin; None if it is closed, or a terminal that this job may not read."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        return None
    if os.isatty(fd) and not is_foreground(fd):
        return None
    return fd


def _is_closed() -> bool:
    try:
        os.fstat(sys.stdin.fileno())
    except (AttributeError, OSError, ValueError):
        return True
    return False


@contextlib.contextmanager
def passed_on(
    feed: Callable[[bytes], None],
    pending: Callable[[], int],
    ended: Callable[[], None] = lambda: None,
    *,
    escaped: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Call `feed` with what is typed, in a thread of its own, until the context ends.

    `pending` gives the number of bytes that the guest has not taken yet. While there are many,
    nothing is read: so what writes to stdin waits, and an endless file does not fill the memory.
    `ended` is called when stdin has ended, at once if it is closed. With `escaped`, every key of a
    terminal is passed on, Ctrl-C too, except Ctrl-], for which `escaped` is called.
    """
    fd = _stdin()
    if fd is None:
        if _is_closed():
            ended()
        yield
        return

    wake, waker = os.pipe()
    raw = escaped is not None and os.isatty(fd)

    def read() -> None:
        while True:
            while pending() >= _PENDING_MAX:
                if select.select([wake], [], [], _RECHECK_SECONDS)[0]:
                    return
            ready, _, _ = select.select([fd, wake], [], [])
            if wake in ready:
                return
            try:
                data = os.read(fd, _READ_SIZE)
            except OSError:
                data = b""
            if not data:
                ended()
                return
            if raw and ESCAPE in data:
                data = data.partition(ESCAPE)[0]
                if escaped is not None:
                    escaped()
            if data:
                feed(data)

    thread = threading.Thread(target=read, name="keyboard", daemon=True)
    with _unbuffered(fd, raw=raw):
        thread.start()
        try:
            yield
        finally:
            os.close(waker)
            thread.join()
            os.close(wake)


def _unbuffered(fd: int, *, raw: bool) -> contextlib.AbstractContextManager[None]:
    if not os.isatty(fd):
        return contextlib.nullcontext()
    from guestdbg.cli.running.terminal_mode import unbuffered

    return unbuffered(fd, raw=raw)
