"""What a trace consists of, and what a form of file has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

__all__ = ["About", "Event", "EventKind", "EventWriter", "Task"]

EventKind = Literal["call", "return", "exception", "exception_return", "context", "console", "hit"]


class Event(NamedTuple):
    """One thing that happened in a guest.

    Attributes:
        time: instructions that all vCPUs together had retired: the axis of ``Stop.time``.
        nanoseconds: the guest's own time by its counter, since the guest began.
        vcpu: number of the vCPU.
        kind: what happened.
        el: exception level of the vCPU after it.
        source: address of the instruction: of the branch, the ERET, the MSR, or the one that
            raised the exception; the PC at a hit; 0 for the console.
        target: where execution went on; 0 where it is no transfer of control.
        value: SP after a call and before a return; ESR_ELx of an exception; what was written to
            a context register; otherwise 0.
        detail: a call with arguments: ``((name, text), …)``; an exception: its kind, ``"SVC"``
            or ``"IRQ"`` for example; a context: the register's name, ``"TTBR0_EL1"``; the
            console: the text; a hit: its record as ``--log`` has it. Otherwise None.
    """

    time: int
    nanoseconds: int
    vcpu: int
    kind: EventKind
    el: int
    source: int
    target: int
    value: int
    detail: object


class Task(NamedTuple):
    """A task of the guest, as far as its context registers tell it apart."""

    pid: int
    name: str


class About(Protocol):
    """What a writer may ask of the guest. Only between batches: the guest does not run then.

    Attributes:
        guest: a name for the guest, for example that of its file.
        vcpus: how many vCPUs it has.
    """

    guest: str
    vcpus: int

    def function(self, address: int, context: int) -> str | None:
        """Name of the function at an address, where it is known.

        Args:
            address: a virtual address.
            context: the task by ``SP_EL0``, as the last context event of the vCPU had it, or 0.
        """

    def task(self, register: str, value: int) -> Task | None:
        """The task that a context event names, where the guest's kernel is known."""


class EventWriter(Protocol):
    """A form of file. What it was given is in the file, and can be opened, after ``close()``."""

    def begin(self, about: About) -> None:
        """Called once, first."""

    def write(self, events: Sequence[Event]) -> None:
        """Add a batch. Batches are in order of time, and so are the events of each.

        Raises:
            OSError: the file cannot be written.
        """

    def close(self) -> None:
        """Complete the file: what is open ends with the last event. Twice is once."""
