"""Processes that are followed from program to program, until they end.

One breakpoint suffices. ``mmput()`` is called with the ``mm_struct`` that a process gives back,
both when it executes another program, which has another, and when it ends; always before the page
tables are freed, so they are never taken for those of a later process. It is called for others
too, such as readers of /proc: a condition on X0 selects the processes. In ``execve`` the new
``mm_struct`` is in place by then, and nothing has been written to its memory by its virtual
addresses. Processes that are named but do not exist yet take a second one, in ``execve``, and
children of ``fork`` a third.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger import UnknownSymbol
from guestdbg.linux.errors import MissingKernelData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guestdbg.debugger import Breakpoint, Guest, Hit
    from guestdbg.linux.processes.tasks import TaskStructs

__all__ = ["FollowedProcess", "ProcessFollower"]

log = logging.getLogger(__name__)

#: Is called with the ``task_struct`` of a process that has executed a program.
Awaited = Callable[[int], None]

#: Is called with the number of a process and the ``task_struct`` of a child that it has forked.
#: Says whether the child is to be followed.
AwaitedFork = Callable[[int, int], bool]

#: Conditions are evaluated by the provider; for more processes than this by Python.
_MAX_IN_CONDITION = 16


class FollowedProcess:
    """A process.

    Attributes:
        tgid: its number.
        mm: its ``mm_struct``; None when it has ended.
        table: its page tables, as TTBR0_EL1 has them; None when it has ended.
    """

    def __init__(self, tgid: int, mm: int, table: int) -> None:
        self.tgid = tgid
        self.mm: int | None = mm
        self.table: int | None = table


class ProcessFollower:
    """Keeps the ``mm_struct`` and page tables of followed processes up to date.

    Args:
        guest: the guest.
        tasks: reads tasks.
        table_of_mm: the page tables of an ``mm_struct``, as TTBR0_EL1 has them.
    """

    def __init__(self, guest: Guest, tasks: TaskStructs, table_of_mm: Callable[[int], int]) -> None:
        self._guest = guest
        self._tasks = tasks
        self._table_of_mm = table_of_mm
        self._users: dict[FollowedProcess, int] = {}
        self._hook: Breakpoint | None = None
        self._awaited: list[Awaited] = []
        self._execs: Breakpoint | None = None
        self._awaited_forks: list[AwaitedFork] = []
        self._forks: Breakpoint | None = None

    def follow(self, process: FollowedProcess) -> None:
        """Keep it up to date until ``forget``. Raises OutOfRegisters and MissingKernelData."""
        self._users[process] = self._users.get(process, 0) + 1
        try:
            self._arm()
        except BaseException:
            self.forget([process])
            raise

    def forget(self, processes: Iterable[FollowedProcess]) -> None:
        """A point for these processes has been deleted."""
        for process in processes:
            left = self._users.get(process, 0) - 1
            if left > 0:
                self._users[process] = left
            else:
                self._users.pop(process, None)
        self._arm()

    def known(self, tgid: int) -> FollowedProcess | None:
        """The process of that number, if it is followed and has not ended."""
        for process in self._users:
            if process.tgid == tgid and process.mm is not None:
                return process
        return None

    def _arm(self) -> None:
        """Have the breakpoint with the condition for the processes as they are."""
        structs = sorted({process.mm for process in self._users if process.mm is not None})
        if not structs:
            if self._hook is not None:
                self._hook.delete()
                self._hook = None
            return
        if self._hook is None:
            self._hook = self._break("mmput", "ends or executes a program", self._given_back)
        if len(structs) <= _MAX_IN_CONDITION:
            self._hook.when = " or ".join(f"x0 == {mm:#x}" for mm in structs)
        else:
            among = frozenset(structs)
            self._hook.when = lambda hit: hit.vcpu.x[0] in among

    def _break(self, function: str, what: str, handler: Callable[[Hit], None]) -> Breakpoint:
        try:
            return self._guest.execution.hidden_breakpoint(f"a process {what}", function, handler)
        except UnknownSymbol as error:
            raise MissingKernelData(
                f"the kernel's symbols have no {function}(), at which it is noticed that a process "
                f"{what}"
            ) from error

    def expect(self, awaited: Awaited) -> None:
        """Have ``awaited`` called for each process that executes a program.

        Raises OutOfRegisters and MissingKernelData.
        """
        self._awaited.append(awaited)
        try:
            if self._execs is None:
                self._execs = self._break("finalize_exec", "executes a program", self._executed)
        except BaseException:
            self._awaited.remove(awaited)
            raise

    def expect_no_more(self, awaited: Awaited) -> None:
        """Undo ``expect``."""
        if awaited in self._awaited:
            self._awaited.remove(awaited)
        if not self._awaited and self._execs is not None:
            self._execs.delete()
            self._execs = None

    def expect_forks(self, awaited: AwaitedFork) -> None:
        """Have ``awaited`` called for each child that is forked. Raises as ``expect``."""
        if self._forks is None:
            self._forks = self._break("wake_up_new_task", "forks", self._forked)
        self._awaited_forks.append(awaited)

    def expect_no_more_forks(self, awaited: AwaitedFork) -> None:
        """Undo ``expect_forks``."""
        if awaited in self._awaited_forks:
            self._awaited_forks.remove(awaited)
        if not self._awaited_forks and self._forks is not None:
            self._forks.delete()
            self._forks = None

    def _forked(self, hit: Hit) -> None:
        """``wake_up_new_task(task)``: a new process, or a new thread of one."""
        child = hit.vcpu.x[0]
        current = self._tasks.current(hit.vcpu.vcpu)
        if current is None or self._tasks.mm(child) in (0, self._tasks.mm(current)):
            return
        parent = self._tasks.tgid(current)
        changed = [awaited(parent, child) for awaited in self._awaited_forks]
        if any(changed):
            self._guest.execution.tasks_changed()

    def _executed(self, hit: Hit) -> None:
        """``finalize_exec()``: the program is mapped, and its first instruction comes next."""
        task = self._tasks.current(hit.vcpu.vcpu)
        if task is not None:
            for awaited in list(self._awaited):
                awaited(task)

    def _given_back(self, hit: Hit) -> None:
        """``mmput(mm)`` of a process that is followed."""
        mm = hit.vcpu.x[0]
        changed = False
        current = self._tasks.current(hit.vcpu.vcpu)
        last = self._tasks.users(mm) <= 1
        for process in self._users:
            if process.mm != mm:
                continue
            new = 0
            if current is not None and self._tasks.tgid(current) == process.tgid:
                new = self._tasks.mm(current)
            if new and new != mm:
                process.mm, process.table = new, self._table_of_mm(new)
                changed = True
            elif last:
                process.mm = process.table = None
                changed = True
                log.info("process %d has ended: points that are for it only wait", process.tgid)
        if changed:
            self._arm()
            self._guest.execution.tasks_changed()
