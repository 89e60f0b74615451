"""The flags of a single step, by the numbers of QEMU's gdbstub (``qemu.sstep``)."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["StepFlags"]


class StepFlags(IntFlag):
    """See ``handlers.qemu``."""

    ENABLE = 1
    NOIRQ = 2
    NOTIMER = 4
    ALL = 7
