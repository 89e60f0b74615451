"""Tasks as the kernel has them: ``task_struct``, and which one a vCPU executes.

A walk of the kernel's lists is bounded, and stops at a task that comes twice: what is read is the
guest's, and may be damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestdbg.arm64.pstate import exception_level
from guestdbg.debugger import AddressError
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm.regs import PSTATE, SP_EL0, SP_EL1
from guestdbg.linux.errors import CorruptedGuestData
from guestdbg.linux.memory import is_kernel_pointer

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.processes.layout import KernelLayout

__all__ = ["KernelContext", "TaskStructs", "TaskSummary", "context_of"]

#: PID_MAX_LIMIT of 64-bit kernels.
MAX_TASKS = 1 << 22
_COMM = 16
#: THREAD_SIZE is less than this, whatever the kernel's page size.
_MAX_STACK = 128 << 10
_MAX_REMEMBERED = 4096
# thread_info.preempt_count (include/linux/preempt.h): softirq 8 to 15, of which the lowest says
# that one is served; hardirq 16 to 19; NMI 20 to 23.
_SERVING_SOFTIRQ = 1 << 8
_HARDIRQ_MASK = 0xF << 16
_NMI_MASK = 0xF << 20

#: What a vCPU executes for: a process (also its system calls), or an interrupt.
KernelContext = Literal["process", "softirq", "hardirq", "nmi"]


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class TaskSummary:
    """A task as a hit names it.

    Attributes:
        pid: of the thread; 0 for the idle task of a CPU.
        tgid: of its process.
        comm: its name, of at most 15 bytes.
        address: of its ``task_struct``.
        context: what its vCPU executed for: ``"process"``, also in system calls, ``"softirq"``,
            ``"hardirq"`` or ``"nmi"``.
    """

    pid: int
    tgid: int
    comm: str
    address: int
    context: KernelContext = "process"

    def __str__(self) -> str:
        where = "" if self.context == "process" else f", {self.context}"
        return f"{self.comm} ({self.pid}){where}"


class TaskStructs:
    """Reads ``task_struct``.

    Args:
        memory: the kernel's memory.
        layout: the members of its structures.
        first: gives the address of ``init_task``. Raises UnknownSymbol.
    """

    def __init__(
        self, memory: KernelMemory, layout: KernelLayout, first: Callable[[], int]
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._first = first
        #: The task, and its stack, that a kernel stack pointer belongs to.
        self._by_pointer: dict[int, tuple[int, int]] = {}

    # ---- members -----------------------------------------------------------------------------

    def _number(self, task: int, path: str) -> int:
        at, size = self._layout.field("task_struct", path)[:2]
        return self._memory.number(task + at, size)

    def summary(self, task: int, context: KernelContext = "process") -> TaskSummary:
        """The names of a task. Raises AddressError."""
        at = self._layout.field("task_struct", "comm").offset
        comm = self._memory.read(task + at, _COMM).split(b"\0")[0]
        name = comm.decode("utf-8", "backslashreplace")
        return TaskSummary(self.pid(task), self.tgid(task), name, task, context)

    def pid(self, task: int) -> int:
        """The thread's number."""
        return self._number(task, "pid")

    def tgid(self, task: int) -> int:
        """The process's number."""
        return self._number(task, "tgid")

    def mm(self, task: int) -> int:
        """The address of its ``mm_struct``; 0 for a kernel thread, and after its end."""
        return self._number(task, "mm")

    def stack(self, task: int) -> int:
        """The lowest address of its kernel stack."""
        return self._number(task, "stack")

    def pgd(self, mm: int) -> int:
        """The virtual address of the page tables of an ``mm_struct``."""
        at, size = self._layout.field("mm_struct", "pgd")[:2]
        return self._memory.number(mm + at, size)

    def users(self, mm: int) -> int:
        """How many use an ``mm_struct``: at 1, the one that gives it back ends it."""
        at = self._layout.field("mm_struct", "mm_users").offset
        return self._memory.number(mm + at, 4, signed=True)

    # ---- lists -------------------------------------------------------------------------------

    def processes(self) -> Iterator[int]:
        """The first thread of every process. Raises CorruptedGuestData and AddressError."""
        first = self._first()
        yield first
        yield from self._list(first, self._layout.field("task_struct", "tasks").offset)

    def threads(self, leader: int) -> Iterator[int]:
        """The threads of a process, from its first one on."""
        signal = self._number(leader, "signal")
        head = signal + self._layout.field("signal_struct", "thread_head").offset
        node = self._layout.field("task_struct", "thread_node").offset
        for at in self._nodes(head):
            yield at - node

    def _list(self, first: int, member: int) -> Iterator[int]:
        for at in self._nodes(first + member):
            yield at - member

    def _nodes(self, head: int) -> Iterator[int]:
        """The members of a circular list after its head."""
        seen: set[int] = set()
        at = self._memory.u64(head)
        while at != head:
            if at in seen or len(seen) >= MAX_TASKS or not is_kernel_pointer(at):
                raise CorruptedGuestData(
                    f"the list of tasks at {head:#x} is damaged: {at:#x} is in it twice, or is no "
                    "address of the kernel"
                )
            seen.add(at)
            yield at
            at = self._memory.u64(at)

    def with_pid(self, pid: int) -> int | None:
        """The task with this pid, which may be a thread; None if there is none."""
        for leader in self.processes():
            if self.pid(leader) == pid:
                return leader
        for leader in self.processes():
            for thread in self.threads(leader):
                if self.pid(thread) == pid:
                    return thread
        return None

    # ---- what a vCPU executes ----------------------------------------------------------------

    def current(self, vcpu: Vcpu) -> int | None:
        """The task that a vCPU executes; None if that cannot be found out.

        At EL1, SP_EL0 has its address. At EL0, and in the first instructions of an exception,
        SP_EL1 is at the end of its kernel stack.
        """
        if exception_level(vcpu.get_one_reg(PSTATE)):
            task = vcpu.get_one_reg(SP_EL0)
            if is_kernel_pointer(task):
                return task
        return self._with_stack(vcpu.get_one_reg(SP_EL1))

    def _with_stack(self, pointer: int) -> int | None:
        """The task whose kernel stack the pointer is in, or at the end of: the nearest below it."""
        known = self._by_pointer.get(pointer)
        if known is not None:
            task, base = known
            try:
                if self.stack(task) == base:
                    return task
            except AddressError:
                pass
        best, found = _MAX_STACK + 1, None
        for leader in self.processes():
            for thread in self.threads(leader):
                distance = pointer - self.stack(thread)
                if 0 < distance < best:
                    best, found = distance, thread
        if found is not None:
            if len(self._by_pointer) >= _MAX_REMEMBERED:
                self._by_pointer.clear()
            self._by_pointer[pointer] = found, pointer - best
        return found

    def executes(self, vcpu: Vcpu, task: int) -> bool:
        """Whether a vCPU executes this task."""
        return self.current(vcpu) == task

    def context(self, vcpu: Vcpu, task: int) -> KernelContext:
        """What the vCPU executes for, by the preemption count of its task."""
        if not exception_level(vcpu.get_one_reg(PSTATE)):
            return "process"
        at = self._layout.field("task_struct", "thread_info.preempt_count").offset
        return context_of(self._memory.number(task + at, 4))


def context_of(count: int) -> KernelContext:
    """What a vCPU executes for that has this preemption count."""
    if count & _NMI_MASK:
        return "nmi"
    if count & _HARDIRQ_MASK:
        return "hardirq"
    return "softirq" if count & _SERVING_SOFTIRQ else "process"
