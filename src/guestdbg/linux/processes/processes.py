"""The processes of a Linux guest: which there are, their memory, and points in one of them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from guestdbg.debugger import AddressError, Cpu, Guest, InvalidLocation
from guestdbg.debugger.validation import integer
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import Vcpu
from guestdbg.kvm.regs import sys_reg
from guestdbg.kvm.table_filters import table_of
from guestdbg.linux.errors import NoKernel, NoSuchTask
from guestdbg.linux.memory import KernelMemory
from guestdbg.linux.processes.files import Paths
from guestdbg.linux.processes.followed import FollowedProcess, ProcessFollower
from guestdbg.linux.processes.layout import KernelLayout
from guestdbg.linux.processes.mappings import Mapping, mappings
from guestdbg.linux.processes.memory import ProcessMemory
from guestdbg.linux.processes.restriction import ProcessRestriction
from guestdbg.linux.processes.tasks import TaskStructs, TaskSummary
from guestdbg.linux.state.view import KernelView

__all__ = ["Processes"]

log = logging.getLogger(__name__)

_UPPER_HALF = 55
_MAX_COMM = 15
_TCR = sys_reg("TCR_EL1")
#: The page sizes of TCR_EL1.TG0 (DDI 0487, D19.2); the reserved value acts as the first.
_PAGES = (4 << 10, 64 << 10, 16 << 10, 4 << 10)
_TG0_SHIFT = 14


class Processes:
    """What is known of the processes of a guest with Linux.

    Args:
        guest: the guest.
        view: gives what the kernel's structures are read with.
        memory: the kernel's memory.

    Attributes:
        tasks: reads ``task_struct``.
        layout: the members of the kernel's structures.
    """

    def __init__(self, guest: Guest, view: Callable[[], KernelView], memory: KernelMemory) -> None:
        self._guest = guest
        self._view = view
        self._memory = memory
        self.layout = KernelLayout(lambda: view().layouts)
        self.tasks = TaskStructs(self._memory, self.layout, lambda: view().address("init_task"))
        self._follower = ProcessFollower(guest, self.tasks, self._table)

    def _table(self, mm: int) -> int:
        return table_of(self._memory.translate(self.tasks.pgd(mm)))

    def _task(self, pid: int) -> int:
        found = self.tasks.with_pid(integer("pid", pid))
        if found is None:
            raise NoSuchTask(f"the guest has no process or thread {pid}")
        return found

    def _mm(self, task: int) -> int:
        mm = self.tasks.mm(task)
        if not mm:
            raise NoSuchTask(
                f"task {self.tasks.summary(task)} has no memory of its own: it is a thread of the "
                "kernel, or has ended"
            )
        return mm

    # ---- memory ------------------------------------------------------------------------------

    def mappings(self, pid: int) -> list[Mapping]:
        """The memory mappings of a process, by address, as /proc/PID/maps has them.

        Raises NoSuchTask for a task that has none, CorruptedGuestData, AddressError, BadBtf.
        """
        return self.mappings_of(self._task(pid))

    def mappings_of(self, task: int) -> list[Mapping]:
        """The same for the address of a ``task_struct``."""
        paths = Paths(self._memory, self.layout, self._page_size)
        return mappings(self._view(), self._mm(task), paths)

    @property
    def _page_size(self) -> int:
        tcr = self._guest.execution.vcpus[0].vcpu.get_one_reg(_TCR)
        return _PAGES[tcr >> _TG0_SHIFT & 3]

    def read(self, pid: int, address: int, length: int) -> bytes:
        """Memory of a process, through its page tables.

        Raises AddressError for a page that is not there; NoSuchTask as ``mappings``.
        """
        return self.memory(pid).read(address, length)

    def memory(self, pid: int) -> ProcessMemory:
        """The memory of a process with the page tables that it has now."""
        return self.memory_of(self._task(pid))

    def memory_of(self, task: int) -> ProcessMemory:
        """The same for the address of a ``task_struct``."""
        return ProcessMemory(self._guest, self._table(self._mm(task)))

    def current(self, cpu: Cpu) -> TaskSummary | None:
        """The task that a vCPU executes, and what for; None if that cannot be found out.

        Raises AddressError, CorruptedGuestData, NoKernel, MissingKernelData, BadBtf.
        """
        return self._current(cpu.vcpu)

    def _current(self, vcpu: Vcpu) -> TaskSummary | None:
        task = self.tasks.current(vcpu)
        return None if task is None else self.tasks.summary(task, self.tasks.context(vcpu, task))

    def name_task(self, vcpu: Vcpu) -> TaskSummary | None:
        """The same for hits, which have no task where there is an error."""
        try:
            return self._current(vcpu)
        except GuestdbgError:
            return None

    # ---- points ------------------------------------------------------------------------------

    def restriction(self, task: int | str, address: int) -> ProcessRestriction:
        """What limits a point at ``address`` to a task: see ``Guest.watch``.

        ``task`` is the pid of a process, or of a thread that is not its first one; or the name of
        processes. Raises NoSuchTask, InvalidLocation, OutOfRegisters, MissingKernelData, BadBtf,
        CorruptedGuestData.
        """
        thread = None
        awaited: Callable[[int], None] | None = None
        if isinstance(task, str):
            name = task
            leaders = self._named(task)
        else:
            name = f"process {integer('task', task)}"
            found = self._task(task)
            leaders = [found]
            if self.tasks.tgid(found) != task:
                thread, name = found, f"thread {task} of process"
        in_kernel = bool(address >> _UPPER_HALF & 1)
        chosen = [self._followed(leader) for leader in leaders]

        def released(_: ProcessRestriction) -> None:
            self._follower.forget(chosen)
            if awaited is not None:
                self._follower.expect_no_more(awaited)

        if isinstance(task, str):
            awaited = self._adds(_short(task), chosen)
            self._follower.expect(awaited)
        restriction = ProcessRestriction(
            self.tasks,
            chosen,
            name,
            thread=thread,
            in_kernel=in_kernel,
            on_release=released,
        )
        followed: list[FollowedProcess] = []
        try:
            for process in chosen:
                self._follower.follow(process)
                followed.append(process)
        except BaseException:
            self._follower.forget(followed)
            if awaited is not None:
                self._follower.expect_no_more(awaited)
            raise
        return restriction

    def _adds(self, comm: str, chosen: list[FollowedProcess]) -> Callable[[int], None]:
        """What adds a process to those that are chosen when it executes a program of that name."""

        def add(task: int) -> None:
            if self.tasks.summary(task).comm != comm:
                return
            process = self._followed(task)
            if process not in chosen:
                chosen.append(process)
                self._follower.follow(process)
                self._guest.execution.tasks_changed()

        return add

    def _followed(self, leader: int) -> FollowedProcess:
        tgid = self.tasks.tgid(leader)
        known = self._follower.known(tgid)
        if known is not None:
            return known
        mm = self._mm(leader)
        return FollowedProcess(tgid, mm, self._table(mm))

    def _named(self, name: str) -> list[int]:
        """The processes with this name that have memory; none before the kernel has started."""
        if not name:
            raise InvalidLocation("task is an empty name: give a pid, or a name as ps shows it")
        try:
            return [
                leader
                for leader in self.tasks.processes()
                if self.tasks.summary(leader).comm == _short(name) and self.tasks.mm(leader)
            ]
        except (NoKernel, AddressError):
            return []


def _short(name: str) -> str:
    """A name as the kernel keeps it."""
    return name.encode()[:_MAX_COMM].decode("utf-8", "ignore")
