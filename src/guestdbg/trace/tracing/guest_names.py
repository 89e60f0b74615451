"""What writers ask of a guest: names of functions and of tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.errors import GuestdbgError
from guestdbg.trace.tracing.event import Task

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.program.debug_info import DebugInfo

__all__ = ["GuestNames"]

#: From here on addresses are the kernel's (the top half of the address space).
_KERNEL = 1 << 55
_MOST_NAMES = 1 << 16
_MOST_PROGRAMS = 64


class GuestNames:
    """The names of a guest's functions and tasks; an ``About``.

    Attributes:
        guest: the name of its file.
        vcpus: how many vCPUs it has.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.guest = guest.images[0].path.name if guest.images else "guest"
        if guest.has_linux:
            self.guest = "Linux"
        self.vcpus = len(guest.vcpus)
        self._functions: dict[int, str | None] = {}
        self._programs: dict[int, DebugInfo | None] = {}
        self._tasks: dict[int, Task | None] = {}

    def next_batch(self) -> None:
        """The guest has run since: tasks may have other names, and programs other files."""
        self._tasks.clear()
        self._programs.clear()

    def function(self, address: int, context: int) -> str | None:
        """See ``About``."""
        if context and not address & _KERNEL and self._guest.has_linux:
            program = self._program(context)
            symbol = None if program is None else program.symbol_at(address)
            if symbol is not None:
                return symbol.name
        if address not in self._functions:
            if len(self._functions) >= _MOST_NAMES:
                self._functions.clear()
            symbol = self._guest.execution.symbol_at(address)
            self._functions[address] = None if symbol is None else symbol.name
        return self._functions[address]

    def _program(self, task: int) -> DebugInfo | None:
        if task not in self._programs:
            if len(self._programs) >= _MOST_PROGRAMS:
                self._programs.clear()
            try:
                found = self._guest.linux.processes.program_in(task)
            except GuestdbgError:
                found = None  # a kernel thread, or one that has ended
            self._programs[task] = found
        return self._programs[task]

    def task(self, register: str, value: int) -> Task | None:
        """See ``About``. SP_EL0 has the address of the task while Linux executes at EL1."""
        if register != "SP_EL0" or not value & _KERNEL or not self._guest.has_linux:
            return None
        if value not in self._tasks:
            try:
                summary = self._guest.linux.processes.tasks.summary(value)
                self._tasks[value] = Task(summary.pid, summary.comm)
            except GuestdbgError:
                self._tasks[value] = None
        return self._tasks[value]
