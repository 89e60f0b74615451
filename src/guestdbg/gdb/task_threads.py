"""The tasks of a Linux guest as threads, where the client's user wants that.

The ids of vCPUs stay what they are. A task that a vCPU executes has the registers of that vCPU. One
that none executes has those that the kernel keeps for it (``cpu_context``): X19 to X30, SP and PC;
the others have no value.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from guestdbg.arm64.translate import SCTLR_M
from guestdbg.errors import GuestdbgError
from guestdbg.gdb.errors import PacketError
from guestdbg.gdb.register_file import PC, SP
from guestdbg.gdb.thread_id import FIRST_TASK
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.linux import Task

__all__ = ["MAX_TASKS", "TaskThread", "TaskThreads"]

_SCTLR = sys_reg("SCTLR_EL1")
#: Threads that a client is given at most: it asks for all of them again and again.
MAX_TASKS = 4096
#: By their names in ``Task.kernel_registers``.
_NUMBERS = {f"x{n}": n for n in range(31)} | {"sp": SP, "pc": PC}


@dataclass(frozen=True)
class TaskThread:
    """A task as a thread.

    Attributes:
        task: the task.
        vcpu: the place of the vCPU that executes it; None if none does.
    """

    task: Task
    vcpu: int | None

    @property
    def number(self) -> int:
        """The thread-id."""
        return FIRST_TASK + self.task.pid

    @property
    def name(self) -> str:
        """What the client shows as its name."""
        return self.task.comm

    @property
    def words(self) -> str:
        """Its state in words."""
        task = self.task
        where = "" if self.vcpu is None else f" on vCPU {self.vcpu}"
        kernel = ", kernel thread" if task.is_kernel_thread else ""
        return f"pid {task.pid}, {task.state_name}{where}{kernel}"

    @cached_property
    def registers(self) -> dict[int, int]:
        """The registers that are known of a task that is not executed, by their numbers.

        Raises GuestdbgError if the task has ended, or cannot be read.
        """
        found = self.task.kernel_registers()
        return {_NUMBERS[name]: value for name, value in found.items() if name in _NUMBERS}


class TaskThreads:
    """The tasks of a guest, for the time of one stop.

    Args:
        guest: the guest.

    Attributes:
        enabled: the client's user wants tasks to be threads.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self.enabled = False
        self._threads: dict[int, TaskThread] | None = None
        self._current: dict[int, Task | None] = {}

    def forget(self) -> None:
        """The guest runs, or is at another time: its tasks are others then."""
        self._threads = None
        self._current.clear()

    def all(self) -> list[TaskThread]:
        """All tasks, at most ``MAX_TASKS``; none if they are not threads, or cannot be read."""
        if not self.enabled:
            return []
        if self._threads is None:
            try:
                self._threads = self.read()
            except GuestdbgError:
                self._threads = {}
        return [*self._threads.values()]

    def read(self) -> dict[int, TaskThread]:
        """The tasks by their thread-ids. Raises GuestdbgError if they cannot be read."""
        places = {
            task.address: n
            for n in range(len(self._guest.vcpus))
            if (task := self.current(n)) is not None
        }
        found: dict[int, TaskThread] = {}
        for task in self._guest.linux.tasks(threads=True):
            if len(found) >= MAX_TASKS:
                break
            thread = TaskThread(task, places.get(task.address))
            if task.pid > 0:
                found.setdefault(thread.number, thread)
        return found

    def find(self, number: int) -> TaskThread:
        """The task with this thread-id. Raises PacketError if there is none."""
        self.all()
        found = (self._threads or {}).get(number)
        if found is None:
            raise PacketError(f"there is no task {number - FIRST_TASK} now")
        return found

    def current(self, vcpu: int) -> Task | None:
        """The task that a vCPU executes; None if that is not known.

        It does not search memory for a kernel that is not known yet.
        """
        if vcpu not in self._current:
            self._current[vcpu] = self._read_current(vcpu)
        return self._current[vcpu]

    def _read_current(self, vcpu: int) -> Task | None:
        guest = self._guest
        # Before its MMU is on a vCPU has no task, and the kernel's tables need not be read.
        if not guest.has_linux or not guest.execution.vcpus[vcpu].get(_SCTLR) & SCTLR_M:
            return None
        try:
            if not guest.linux.is_relocated:
                return None
            found: Task = guest.linux.current(vcpu)
        except GuestdbgError:
            return None
        return found
