"""Which task made a hit that the provider records by itself: words of records.

The provider reads them from ``task_struct`` when it makes the record, so that a record has the name
that the task had then, also if its memory is that of another task by the time somebody looks at it.
In the kernel, SP_EL0 has the task's address. While a program runs, and in the first instructions of
an exception, it is the per-CPU variable ``__entry_task`` that has it; the kernel is not mapped then
(KPTI), and it is read by its physical address. Until the kernel has mapped its memory that is not
known: the debugger then reads the words itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.task_words import UNKNOWN
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.hit_programs import SYSTEM_REGISTERS, Op
from guestdbg.linux.processes.tasks import TaskSummary, context_of

if TYPE_CHECKING:
    from guestdbg.kvm import Vcpu
    from guestdbg.kvm.hit_programs import Operation
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.processes.layout import KernelLayout
    from guestdbg.linux.processes.tasks import TaskStructs

__all__ = ["RecordedTasks"]

_EL1 = 0xC  # PSTATE.M[3:2]: not 0 at EL1
_UPPER_HALF, _ONES = 55, 0x1FF
_WORD = 8
_COMM_BYTES = 16
_U64 = (1 << 64) - 1
#: What no provider can compute: a division by zero.
_IMPOSSIBLE: tuple[Operation, ...] = ((Op.CONST, 0, 0), (Op.CONST, 0, 0), (Op.FLOORDIV, 0, 0))
_SP_EL0: Operation = (Op.SYSTEM, 0, SYSTEM_REGISTERS["SP_EL0"])
_TPIDR_EL1: Operation = (Op.SYSTEM, 0, SYSTEM_REGISTERS["TPIDR_EL1"])
#: Whether SP_EL0 has the task.
_IN_KERNEL: tuple[Operation, ...] = (
    (Op.PSTATE, 0, 0),
    (Op.CONST, 0, _EL1),
    (Op.AND, 0, 0),
    _SP_EL0,
    (Op.CONST, 0, _UPPER_HALF),
    (Op.RSHIFT, 0, 0),
    (Op.CONST, 0, _ONES),
    (Op.EQ, 0, 0),
    (Op.BOTH, 0, 0),
)


class RecordedTasks:
    """Words of records that name the task.

    Args:
        memory: the kernel's memory.
        layout: the members of its structures.
        tasks: reads tasks.
        entry: gives the address of ``__entry_task``, which the offset of a CPU is added to; None
            if it is not known.
        offsets: gives the offsets of the CPUs' variables. Raises MissingKernelData, AddressError.
        on_change: called when ``operations`` are others than before.
    """

    names = ("task_struct", "pid", "tgid", "comm", "comm_8", "preempt_count")

    def __init__(
        self,
        memory: KernelMemory,
        layout: KernelLayout,
        tasks: TaskStructs,
        entry: Callable[[], int | None],
        offsets: Callable[[], list[int]],
        on_change: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._tasks = tasks
        self._entry = entry
        self._offsets = offsets
        self._on_change = on_change
        #: The address of ``__entry_task``, and the distance of the linear map from physical memory.
        self._place: tuple[int, int] | None = None
        self._failures = 0
        self._next_try = 1

    def check(self) -> None:
        """Raise BadBtf or MissingKernelData if nothing is known of tasks."""
        self._members()

    def forget(self) -> None:
        """The guest was put back to a snapshot, or reset: its memory may be elsewhere."""
        self._failures, self._next_try = 0, 1
        if self._place is not None:
            self._place = None
            self._on_change()

    def _members(self) -> list[tuple[int, int]]:
        """Offset and size of what the words after the first have."""
        field = self._layout.field
        comm = field("task_struct", "comm").offset
        found = [field("task_struct", name)[:2] for name in ("pid", "tgid")]
        found += [(at, _WORD) for at in range(comm, comm + _COMM_BYTES, _WORD)]
        return [*found, (field("task_struct", "thread_info.preempt_count").offset, 4)]

    # ---- by the provider ---------------------------------------------------------------------

    @property
    def operations(self) -> tuple[tuple[Operation, ...], ...]:
        """What computes each of them in a hit program. Raises as ``check``."""
        return (self._word(None), *(self._word(member) for member in self._members()))

    def _word(self, member: tuple[int, int] | None) -> tuple[Operation, ...]:
        """A member of the task's structure; None: the structure's address."""
        kernel: tuple[Operation, ...] = (_SP_EL0,)
        program = self._in_program()
        if member is not None:
            offset, size = member
            kernel += ((Op.CONST, 0, offset), (Op.ADD, 0, 0), (Op.LOAD, size, 0))
        if self._place is not None and member is not None:
            distance = self._place[1]
            program += (
                *((Op.CONST, 0, offset - distance), (Op.ADD, 0, 0)),
                (Op.PHYSICAL, size, 0),
            )
        start = len(_IN_KERNEL) + 1 + len(program) + 1
        return (
            *_IN_KERNEL,
            (Op.JUMP_IF, 0, start),
            *program,
            (Op.JUMP, 0, start + len(kernel)),
            *kernel,
        )

    def _in_program(self) -> tuple[Operation, ...]:
        """The address of the task while a program runs."""
        if self._place is None:
            return _IMPOSSIBLE
        entry, distance = self._place
        return (
            _TPIDR_EL1,
            (Op.CONST, 0, entry - distance),
            (Op.ADD, 0, 0),
            (Op.PHYSICAL, _WORD, 0),
        )

    def learn(self) -> None:
        """A provider could not compute a word: find out where the kernel keeps the tasks."""
        if self._place is not None:
            return
        self._failures += 1
        if self._failures < self._next_try:
            return
        self._next_try *= 2  # a kernel that boots has many hits before it maps its memory
        try:
            self._place = self._found_place()
        except GuestdbgError:
            return
        if self._place is not None:
            self._on_change()

    def _found_place(self) -> tuple[int, int] | None:
        """Where ``__entry_task`` and the linear map are, if all of them are in that map."""
        entry = self._entry()
        first = next((task for task in self._tasks.processes() if self._tasks.pid(task)), None)
        if entry is None or first is None:
            return None
        translate = self._memory.translate
        distance = first - translate(first)
        for offset in self._offsets():
            place = entry + offset & _U64
            if translate(place) != place - distance:
                return None  # it is in pages that are mapped elsewhere
        return entry, distance

    # ---- by the debugger ---------------------------------------------------------------------

    def read(self, vcpu: Vcpu) -> tuple[int, ...]:
        """The words for a hit on this vCPU, now; UNKNOWN for all of them without a task."""
        try:
            task = self._tasks.current(vcpu)
            if task is not None:
                number = self._memory.number
                return (task, *(number(task + at, size) for at, size in self._members()))
        except GuestdbgError:
            pass
        return (UNKNOWN,) * len(self.names)

    def name(self, words: Sequence[int]) -> TaskSummary | None:
        """The task that the words are of."""
        task, pid, tgid, *comm, count = words
        if task == UNKNOWN:
            return None
        text = b"".join(word.to_bytes(_WORD, "little") for word in comm).partition(b"\0")[0]
        name = text.decode("utf-8", "backslashreplace")
        return TaskSummary(pid, tgid, name, task, context_of(count))
