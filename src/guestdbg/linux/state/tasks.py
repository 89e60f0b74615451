"""The kernel's tasks: processes and their threads, and what each of them does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from guestdbg.arm64.branches import without_pac
from guestdbg.debugger import AddressError, Backtrace
from guestdbg.errors import GuestdbgError
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.linux.errors import CorruptedGuestData, MissingKernelData, NoSuchTask
from guestdbg.linux.memory import is_kernel_pointer
from guestdbg.linux.state.records import collect
from guestdbg.linux.state.view import list_entries

if TYPE_CHECKING:
    from guestdbg.linux.state.records import Records
    from guestdbg.linux.state.view import KernelView, Object

__all__ = ["Task", "Tasks"]

#: PID_MAX_LIMIT of a 64-bit kernel; a guest of the lab's size has some hundred.
_MAX_TASKS = 1 << 17
_KERNEL_THREAD = 0x0020_0000  # PF_KTHREAD
#: TASK_REPORT in include/linux/sched.h: the bits of the states that are shown, lowest first.
_REPORTED = 0x7F
_IDLE = 0x402  # TASK_UNINTERRUPTIBLE | TASK_NOLOAD
_RTLOCK, _FROZEN = 0x1000, 0x8000
_STATES = (
    ("R", "running"),
    ("S", "sleeping"),
    ("D", "disk sleep"),
    ("T", "stopped"),
    ("t", "tracing stop"),
    ("X", "dead"),
    ("Z", "zombie"),
    ("P", "parked"),
)
_DISK_SLEEP = 2
_CALLEE_SAVED = range(19, 29)
_MAX_STACK = 1 << 20
_DEFAULT_STACK = 16 << 10
_EL_MASK = 0xF
_TASK = "task_struct"
_UPPER_HALF = 55


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class Task:
    """A process, or a thread of one, as it was when it was looked at.

    Attributes:
        pid: its number, which is that of the thread.
        tgid: that of the process.
        comm: its name, of at most 15 bytes.
        state: the letter that ``ps`` shows: R, S, D, I, T, t, Z, X or P.
        state_name: the same in words, as in /proc/PID/status.
        cpu: the CPU on which it runs, or ran last.
        address: that of its ``struct task_struct``.
        parent_pid: the process that it is a child of.
        is_kernel_thread: it has no program.
        is_running: it is on its CPU now; R alone means that it can run.
    """

    pid: int
    tgid: int
    comm: str
    state: str
    state_name: str
    cpu: int
    address: int
    parent_pid: int
    is_kernel_thread: bool
    is_running: bool
    _tasks: Tasks = field(repr=False, compare=False)

    def __str__(self) -> str:
        name = f"[{self.comm}]" if self.is_kernel_thread else self.comm
        where = "on" if self.is_running else "last on"
        return f"{self.pid} {name} {self.state_name}, {where} CPU {self.cpu}"

    def cells(self) -> tuple[str, ...]:
        """The columns of a table."""
        name = f"[{self.comm}]" if self.is_kernel_thread else self.comm
        state = self.state + ("*" if self.is_running else "")
        return (
            str(self.pid),
            str(self.tgid),
            str(self.parent_pid),
            state,
            str(self.cpu),
            f"{self.address:#x}",
            name,
        )

    def backtrace(self, limit: int = 64) -> Backtrace:
        """Its kernel stack: where it sleeps. Of a task that runs, that of its vCPU.

        Raises NoSuchTask if it has ended, and CorruptedGuestData.
        """
        return self._tasks.backtrace(self, limit)

    def kernel_registers(self) -> dict[str, int]:
        """Those that the kernel keeps while it does not run: ``x19`` to ``x30``, ``sp``, ``pc``.

        With them it goes on in the kernel. The others are lost, as over any call. Raises
        NoSuchTask if it has ended.
        """
        return self._tasks.kernel_registers(self)

    def registers(self) -> dict[str, int]:
        """The registers of its program: ``x0`` to ``x30``, ``sp``, ``pc``, ``pstate``.

        They are those with which the kernel will return to it. Raises NoSuchTask if it has ended,
        and MissingKernelData for a kernel thread, which has no program.
        """
        return self._tasks.user_registers(self)

    def read(self, address: int, length: int) -> bytes:
        """Its memory, through its page tables, or memory of the kernel, by virtual address.

        Raises AddressError for a page that is not there, and NoSuchTask if it has ended, or has no
        memory of its own: a kernel thread.
        """
        if address >> _UPPER_HALF & 1 or self._tasks.programs is None:
            return self._tasks.view.memory.read(address, length)
        self._tasks.structure(self)
        return self._tasks.programs.memory_of(self.address).read(address, length)

    def mappings(self) -> list[Any]:
        """Its memory mappings, by address, as /proc/PID/maps has them: ``Mapping`` objects.

        Raises as ``read``, and CorruptedGuestData.
        """
        self._tasks.structure(self)
        if self._tasks.programs is None:
            return []
        return list(self._tasks.programs.mappings_of(self.address))


_HEADINGS = (">pid", ">tgid", ">ppid", "st", ">cpu", "address", "comm")


class Readable(Protocol):
    """Memory that can be read."""

    def read(self, address: int, length: int) -> bytes:
        """Bytes at a virtual address. Raises AddressError."""


class Programs(Protocol):
    """What reads the memory of a task's program: see ``guestdbg.linux.processes``."""

    def memory_of(self, task: int) -> Readable:
        """The memory of the process of a ``task_struct``."""

    def mappings_of(self, task: int) -> Sequence[object]:
        """Its mappings."""


class Tasks:
    """Reads the tasks of a kernel.

    Attributes:
        programs: reads the memory of their programs.
    """

    def __init__(self, view: KernelView) -> None:
        self.view = view
        self.programs: Programs | None = None

    # ---- which there are ---------------------------------------------------------------------

    def all(self, threads: bool) -> Records[Task]:
        """The processes, or all threads of them, in the order in which they were made."""
        return collect(_HEADINGS, map(self._task, self._objects(threads)))

    def _objects(self, threads: bool) -> Iterator[Object]:
        view = self.view
        layout = view.layouts.struct(_TASK)
        tasks = layout.field("tasks").offset
        head = view.address("init_task") + tasks
        left = _MAX_TASKS
        for at in list_entries(view, head, _MAX_TASKS, "tasks"):
            leader = view.object(layout, at - tasks)
            if not threads:
                yield leader.fetch()
                continue
            signal = leader.follow("signal")
            if signal is None or not layout.has("thread_node"):
                yield leader.fetch()
                continue
            node = layout.field("thread_node").offset
            for entry in list_entries(view, signal.at("thread_head"), left, "threads"):
                left -= 1
                yield view.object(layout, entry - node).fetch()

    def find(self, pid: int) -> Task:
        """The task of that number. Raises NoSuchTask."""
        records = collect(_HEADINGS, self._found(pid))
        if records:
            return records[0]
        cut = "" if records.cut is None else f" ({records.cut})"
        raise NoSuchTask(f"the guest has no task {pid}{cut}")

    def _found(self, pid: int) -> Iterator[Task]:
        for each in self._objects(threads=True):
            if each.number("pid") == pid:
                yield self._task(each)
                return

    def at(self, address: int) -> Task:
        """The task whose ``struct task_struct`` is at an address. Raises CorruptedGuestData."""
        return self._task(self.view.object(_TASK, address).fetch())

    def _task(self, found: Object) -> Task:
        flags = found.number("flags")
        letter, name = state_of(found.first("__state", "state"), found.number("exit_state"))
        parent = found.follow("real_parent")
        return Task(
            found.number("pid"),
            found.number("tgid"),
            found.text("comm"),
            letter,
            name,
            found.first("thread_info.cpu", "cpu"),
            found.address,
            parent.number("tgid") if parent is not None else 0,
            bool(flags & _KERNEL_THREAD),
            bool(found.has("on_cpu") and found.number("on_cpu")),
            self,
        )

    # ---- the current one ---------------------------------------------------------------------

    def current(self, vcpu: int) -> Task:
        """The task of a vCPU. Raises NoSuchTask if it has none that is known."""
        registers = self.view.guest.vcpus[vcpu]
        cpu = self.view.cpu_of(vcpu)
        pointers = []
        if registers.reg("pstate") & _EL_MASK:
            # The kernel keeps it in SP_EL0, from a few instructions after its entry on.
            pointers.append(registers.reg("SP_EL0"))
        entry = self.view.find("__entry_task")  # per-CPU: what __switch_to has chosen
        if entry is not None:
            try:
                offset = self.view.per_cpu_offsets()[cpu]
                pointers.append(self.view.memory.u64(entry + offset & (1 << 64) - 1))
            except (IndexError, AddressError, MissingKernelData):
                pass
        for pointer in pointers:
            if is_kernel_pointer(pointer):
                try:
                    task = self.at(pointer)
                    if task.cpu == cpu and task.is_running:
                        return task
                except (CorruptedGuestData, AddressError):
                    continue
        for task in self.all(threads=True):
            if task.is_running and task.cpu == cpu:
                return task
        raise NoSuchTask(f"no task is known to run on vCPU {vcpu}")

    # ---- of one task -------------------------------------------------------------------------

    def structure(self, task: Task) -> Object:
        """The structure of a task as it is now. Raises NoSuchTask if the task has ended."""
        try:
            found = self.view.object(_TASK, task.address).fetch()
            is_it = (found.number("pid"), found.number("tgid")) == (task.pid, task.tgid)
            if is_it and found.number("stack"):
                return found
        except AddressError:
            pass
        raise NoSuchTask(f"task {task.pid} ({task.comm}) has ended")

    def _vcpu_of(self, task: Task) -> int | None:
        """The vCPU that executes it now."""
        for n in range(len(self.view.guest.execution.vcpus)):
            try:
                if self.current(n).address == task.address:
                    return n
            except GuestdbgError:
                continue
        return None

    def backtrace(self, task: Task, limit: int) -> Backtrace:
        """See ``Task.backtrace``."""
        found = self.structure(task)
        guest = self.view.guest
        if found.has("on_cpu") and found.number("on_cpu"):
            vcpu = self._vcpu_of(task)
            if vcpu is not None:
                return guest.vcpus[vcpu].backtrace(limit)
        saved = _saved_registers(found)
        registers = [saved.get(f"x{n}", 0) for n in range(31)] + [saved["sp"]]
        frames = guest.execution.frames(registers, saved["pc"], limit, self.view.memory.read)
        kernel = [frame for frame in frames if is_kernel_pointer(frame.pc)]
        # What follows the kernel's entry is the program, whose memory is not the kernel's.
        return Backtrace(kernel, frames.cut if len(kernel) == len(frames) else None)

    def kernel_registers(self, task: Task) -> dict[str, int]:
        """See ``Task.kernel_registers``."""
        return _saved_registers(self.structure(task))

    @cached_property
    def _stack_size(self) -> int:
        """THREAD_SIZE."""
        union = self.view.layouts.find("thread_union")
        size = _DEFAULT_STACK if union is None else union.size
        return size if 0 < size <= _MAX_STACK and size & size - 1 == 0 else _DEFAULT_STACK

    def user_registers(self, task: Task) -> dict[str, int]:
        """See ``Task.registers``."""
        if task.is_kernel_thread:
            raise MissingKernelData(
                f"task {task.pid} ({task.comm}) is a kernel thread: it has no program, and no "
                "registers of one"
            )
        found = self.structure(task)
        vcpu = self._vcpu_of(task) if task.is_running else None
        if vcpu is not None:
            cpu = self.view.guest.vcpus[vcpu]
            if not cpu.reg("pstate") & _EL_MASK:
                values = {f"x{n}": cpu.reg(f"x{n}") for n in range(31)}
                return values | {name: cpu.reg(name) for name in ("sp", "pc", "pstate")}
        layout = self.view.layouts.struct("pt_regs")
        top = found.number("stack") + self._stack_size
        saved = self.view.object(layout, top - layout.size).fetch()
        raw = saved.bytes("regs")
        values = {
            f"x{n}": int.from_bytes(raw[8 * n : 8 * n + 8], "little") for n in range(len(raw) // 8)
        }
        return values | {name: saved.number(name) for name in ("sp", "pc", "pstate")}


def _saved_registers(found: Object) -> dict[str, int]:
    """Those in ``struct cpu_context`` (arch/arm64/include/asm/processor.h)."""
    context = found.inner("thread.cpu_context")
    values = {f"x{n}": context.number(f"x{n}") for n in _CALLEE_SAVED}
    values["x29"], values["sp"] = context.number("fp"), context.number("sp")
    # cpu_switch_to returns there by X30.
    values["x30"] = values["pc"] = without_pac(context.number("pc"))
    return values


def state_of(state: int, exit_state: int) -> tuple[str, str]:
    """The letter and the name of a state, as fs/proc/array.c has them."""
    if state & _IDLE == _IDLE:
        return "I", "idle"
    bits = (state | exit_state) & _REPORTED
    if state & (_RTLOCK | _FROZEN):
        bits |= _DISK_SLEEP
    return _STATES[bits.bit_length()]
