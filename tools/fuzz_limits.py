"""Limits of processor time and memory for a piece of work in this process."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from fuzz_case import Failure

__all__ = ["Exceeded", "limited"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Exceeded(BaseException):
    """The time is over. Not an Exception, so that nothing takes it for a library's error."""


def _kilobytes(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise OSError(f"{_STATUS} has no {name}")


def _reset_peak() -> int:
    """Forget the peak of resident memory; returns what there is now, in bytes."""
    # What the C library keeps for later allocations would be given to the work, and not be seen.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)
    _CLEAR.write_text("5")
    return _kilobytes("VmRSS:") << 10


def _expired(number: int, frame: FrameType | None) -> None:
    raise Exceeded


@contextlib.contextmanager
def limited(seconds: float, memory: int) -> Iterator[None]:
    """Raises Failure if the work takes more than so many seconds of processor time (of all its
    threads), or more than ``memory`` bytes above what the process has at its beginning.

    Linux only. Time is noticed when Python code is executed again: something else must end a
    process that hangs in a library.
    """
    before = _reset_peak()
    previous = signal.signal(signal.SIGPROF, _expired)
    # Again and again: where Python calls back (for weak references) exceptions are lost.
    signal.setitimer(signal.ITIMER_PROF, seconds, seconds / 10)
    try:
        yield
    except Exceeded as expired:
        raise Failure(f"not finished after {seconds:g} seconds of processor time") from expired
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    grown = (_kilobytes("VmHWM:") << 10) - before
    if grown > memory:
        raise Failure(f"it took {grown >> 20} MiB; the limit is {memory >> 20} MiB")


def backstop(memory: int) -> None:
    """Let this process get so many bytes of address space more than it has, and no more."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = (_kilobytes("VmSize:") << 10) + memory
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
