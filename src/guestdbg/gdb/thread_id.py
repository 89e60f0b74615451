"""Thread-ids: the client sees each vCPU as a thread, numbered from 1, of process 1.

Source: "Debugging with GDB", appendix E.1, "thread-id syntax".
"""

from __future__ import annotations

import errno

from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.packet_fields import parse_number

__all__ = ["ALL", "PROCESS", "format_id", "parse"]

#: The guest is the only process.
PROCESS = 1
#: "-1": all threads.
ALL = -1


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
    if not 0 <= found <= count:
        raise PacketError(f"there is no thread {found}: this guest has {count}", errno.ESRCH)
    return max(found - 1, 0)


def _number(text: bytes) -> int:
    return ALL if text == b"-1" else parse_number(text)


def format_id(index: int, *, multiprocess: bool) -> bytes:
    """The thread-id of the vCPU with this index, in the form of the ``multiprocess`` extension or
    the plain one."""
    return b"p%x.%x" % (PROCESS, index + 1) if multiprocess else b"%x" % (index + 1)
