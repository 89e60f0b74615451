"""The errors of what is known of a Linux guest."""

from __future__ import annotations

from guestdbg.debugger.errors import DebuggerError

__all__ = ["BadBtf", "BadKallsyms", "NoKernel"]


class BadBtf(DebuggerError):
    """No BTF (the kernel's description of its types), or BTF that is damaged."""


class BadKallsyms(DebuggerError):
    """No kallsyms tables, or tables that contradict themselves."""


class NoKernel(DebuggerError):
    """There is no arm64 Linux kernel in the guest's memory, or it cannot be found."""
