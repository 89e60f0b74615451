"""Threads as the protocol names them: the vCPUs, counted from 1, in process 1.

Source: "Debugging with GDB", appendix E.1, "thread-id syntax".
"""

from __future__ import annotations

import errno

from guestdbg.gdb.errors import Refused
from guestdbg.gdb.text import number

__all__ = ["ALL", "PROCESS", "parse", "show"]

#: The one process that there is: the guest.
PROCESS = 1
#: "-1": all threads.
ALL = -1


def parse(text: bytes, count: int) -> int:
    """The vCPU's place (from 0) that a thread-id names, or ALL; any thread is the first.

    Raises Refused for what is no thread-id, or no thread of this guest.
    """
    process, dot, thread = text.partition(b".")
    if text[:1] == b"p":
        if _number(process[1:]) not in (-1, 0, PROCESS):
            raise Refused(f"there is no process {process.decode()}", errno.ESRCH)
        found = _number(thread) if dot else ALL
    else:
        found = _number(text)
    if found == ALL:
        return ALL
    if not 0 <= found <= count:
        raise Refused(f"there is no thread {found}: this guest has {count}", errno.ESRCH)
    return max(found - 1, 0)


def _number(text: bytes) -> int:
    return ALL if text == b"-1" else number(text)


def show(place: int, *, multiprocess: bool) -> bytes:
    """The thread-id of a vCPU."""
    return b"p%x.%x" % (PROCESS, place + 1) if multiprocess else b"%x" % (place + 1)
