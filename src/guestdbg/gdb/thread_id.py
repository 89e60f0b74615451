"""Thread-ids: the client sees each vCPU as a thread, numbered from 1, of process 1.

Where tasks of a Linux guest are threads too, their ids are their pids after ``FIRST_TASK``.

Source: "Debugging with GDB", appendix E.1, "thread-id syntax".
"""

from __future__ import annotations

import errno

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number

__all__ = [
    "ALL",
    "FIRST_TASK",
    "PROCESS",
    "format_id",
    "format_number",
    "parse",
    "task_number",
]

#: The guest is the only process.
PROCESS = 1
#: "-1": all threads.
ALL = -1
#: The thread-id of pid 0 where tasks are threads. There are far fewer vCPUs.
FIRST_TASK = 1_000_000


def parse(text: bytes, count: int) -> int:
    """The index (from 0) of the vCPU that a thread-id names, or ALL.

    0 ("any thread") gives the first vCPU. Raises PacketError for malformed ids, and for threads
    that this guest, which has ``count`` vCPUs, does not have.
    """
    process, dot, thread = text.partition(b".")
    if text[:1] == b"p":
        if _number(process[1:]) not in (-1, 0, PROCESS):
            raise PacketError(f"there is no process {process.decode()}", errno.ESRCH)
        found = _number(thread) if dot else ALL
    else:
        found = _number(text)
    if found == ALL:
        return ALL
    if found >= FIRST_TASK:
        raise PacketError(
            f"thread {found} is a task of the guest: it is vCPUs that run and step, threads 1 to "
            f"{count}",
            errno.EINVAL,
        )
    if not 0 <= found <= count:
        raise PacketError(f"there is no thread {found}: this guest has {count}", errno.ESRCH)
    return max(found - 1, 0)


def task_number(text: bytes) -> int | None:
    """The thread-id, if it is that of a task; otherwise None. Raises PacketError."""
    if text[:1] == b"p":
        process, dot, text = text[1:].partition(b".")
        if not dot or _number(process) != PROCESS:
            return None
    found = _number(text)
    return found if found >= FIRST_TASK else None


def _number(text: bytes) -> int:
    return ALL if text == b"-1" else parse_number(text)


def format_id(index: int, *, multiprocess: bool) -> bytes:
    """The thread-id of the vCPU with this index, in the form of the ``multiprocess`` extension or
    the plain one."""
    return format_number(index + 1, multiprocess=multiprocess)


def format_number(number: int, *, multiprocess: bool) -> bytes:
    """A thread-id in the form of the ``multiprocess`` extension or the plain one."""
    return b"p%x.%x" % (PROCESS, number) if multiprocess else b"%x" % number
