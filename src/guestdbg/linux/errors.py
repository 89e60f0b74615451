"""The errors of what is known of a Linux guest."""

from __future__ import annotations

from guestdbg.debugger.errors import DebuggerError

__all__ = [
    "BadBtf",
    "BadKallsyms",
    "BadVmlinux",
    "CorruptedGuestData",
    "MissingKernelData",
    "NoKernel",
    "NoSuchTask",
]


class BadBtf(DebuggerError):
    """No BTF (the kernel's description of its types), or BTF that is damaged."""


class BadKallsyms(DebuggerError):
    """No kallsyms tables, or tables that contradict themselves."""


class BadVmlinux(DebuggerError):
    """A file that is no vmlinux, or that of another build than the kernel in the guest."""


class CorruptedGuestData(DebuggerError):
    """The guest's own structures contradict themselves: a list with a loop, a wild pointer."""


class MissingKernelData(DebuggerError):
    """The kernel has not what was asked for, or it is not known where; the text says what would
    provide it."""


class NoKernel(DebuggerError):
    """There is no arm64 Linux kernel in the guest's memory, or it cannot be found."""


class NoSuchTask(DebuggerError):
    """The guest has no task of that number, or the task has ended since it was looked at."""
