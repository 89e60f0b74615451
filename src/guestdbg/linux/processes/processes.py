"""The processes of a Linux guest: which there are, their memory, and points in one of them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from collections.abc import Mapping as Mapping_
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from guestdbg.debugger import (
    AddressError,
    InvalidLocation,
)
from guestdbg.debugger.program.debug_info import DebugInfo
from guestdbg.debugger.program.resolver import Code
from guestdbg.debugger.unwind.backtrace import DEFAULT_LIMIT
from guestdbg.debugger.unwind.unwinder import Unwinder
from guestdbg.debugger.validation import integer
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.regs import sys_reg
from guestdbg.kvm.table_filters import table_of
from guestdbg.linux.errors import NoKernel, NoSuchTask
from guestdbg.linux.processes.executables import Executables
from guestdbg.linux.processes.files import PageCache, Paths
from guestdbg.linux.processes.followed import FollowedProcess, ProcessFollower
from guestdbg.linux.processes.layout import KernelLayout
from guestdbg.linux.processes.mappings import mappings
from guestdbg.linux.processes.memory import ProcessMemory
from guestdbg.linux.processes.names import ProgramNames
from guestdbg.linux.processes.program import FollowFork, ProgramBreakpoint, address_in
from guestdbg.linux.processes.recorded_tasks import RecordedTasks
from guestdbg.linux.processes.restriction import ProcessRestriction
from guestdbg.linux.processes.tasks import TaskStructs
from guestdbg.linux.state.pages import page_size, vmemmap

if TYPE_CHECKING:
    from guestdbg.debugger import (
        Backtrace,
        Breakpoint,
        Cpu,
        Guest,
    )
    from guestdbg.debugger.breakpoints.point import Predicate
    from guestdbg.debugger.program.image import Image
    from guestdbg.kvm import Vcpu
    from guestdbg.linux.memory import KernelMemory
    from guestdbg.linux.processes.mappings import Mapping
    from guestdbg.linux.processes.tasks import TaskSummary
    from guestdbg.linux.state.view import KernelView

__all__ = ["Processes"]

log = logging.getLogger(__name__)

_UPPER_HALF = 55
_MAX_COMM = 15
_EL_MASK = 0xF
_U64 = (1 << 64) - 1
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
        entry_task: gives the address of ``__entry_task``, which the offset of a CPU is added to;
            None if it is not known.

    Attributes:
        recorded: what records keep of a task.
        tasks: reads ``task_struct``.
        layout: the members of the kernel's structures.
    """

    def __init__(
        self,
        guest: Guest,
        view: Callable[[], KernelView],
        memory: KernelMemory,
        entry_task: Callable[[], int | None],
    ) -> None:
        self._guest = guest
        self._view = view
        self._memory = memory
        self.layout = KernelLayout(lambda: view().layouts)
        self.tasks = TaskStructs(self._memory, self.layout, lambda: view().address("init_task"))
        self.recorded = RecordedTasks(
            memory,
            self.layout,
            self.tasks,
            entry_task,
            lambda: view().per_cpu_offsets(),
            guest.execution.outdate_hit_programs,
        )
        self._follower = ProcessFollower(guest, self.tasks, self._table)
        cache = PageCache(memory, self.layout, self._frame, guest.execution.read_phys)
        self._executables = Executables(cache)

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

    def _translate_in(self, address: int, tables: Iterable[int]) -> int:
        """The guest-physical address in the first process that has the page.

        Raises AddressError.
        """
        for table in tables:
            with contextlib.suppress(AddressError):
                return ProcessMemory(self._guest, table).translate(address)
        raise AddressError(f"no page at {address:#x}", address)

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

    # ---- programs ----------------------------------------------------------------------------

    def _frame(self, page: int) -> tuple[int, int]:
        """The guest-physical address of the page of a ``struct page``, and its size."""
        view = self._view()
        size = page_size(view)
        number = (page - vmemmap(view) & _U64) // self.layout.size("page")
        return number * size, size

    @property
    def sysroot(self) -> Path | None:
        """A folder of the host with the guest's files, from which its programs are read.

        None: they are read from the guest's page cache.
        """
        return self._executables.sysroot

    @sysroot.setter
    def sysroot(self, folder: str | os.PathLike[str] | None) -> None:
        if folder is not None and not Path(folder).is_dir():
            raise InvalidLocation(f"{folder} is no folder: sysroot is one with the guest's files")
        self._executables.sysroot = None if folder is None else Path(folder)

    def images(self, pid: int) -> list[Image]:
        """The ELF files that a process executes code of, where it has them.

        Files that cannot be read are left out. Raises as ``mappings``.
        """
        return self._images(self._task(pid))

    def _images(self, task: int) -> list[Image]:
        found: list[Image] = []
        by_file: dict[int, list[Mapping]] = {}
        for mapping in self.mappings_of(task):
            if mapping.file:
                by_file.setdefault(mapping.file, []).append(mapping)
        for mapped in by_file.values():
            if any("x" in each.permissions for each in mapped):
                try:
                    found.append(self._executables.image(mapped, self._page_size))
                except GuestdbgError as error:
                    log.info("%s", error)
        return found

    def backtrace(
        self, pid: int, registers: Mapping_[str, int] | None = None, limit: int = DEFAULT_LIMIT
    ) -> Backtrace:
        """The frames of a process's program, where it has entered the kernel, or executes now.

        By call frame information and frame records, with the symbols of its mappings.
        ``registers`` (x0 to x30, sp, pc) begin it: those of ``task.registers()``, or of a vCPU at
        EL0. None: of the vCPU that executes it at EL0. Raises NoSuchTask where that is none.
        """
        task = self._task(pid)
        if registers is None:
            registers = self._registers_at_el0(task)
        memory = self.memory_of(task)
        info = self._program(task)
        values = [registers[f"x{n}"] for n in range(31)] + [registers["sp"]]
        pc = registers["pc"]
        unwinder = Unwinder(info.images, info.locate, memory.read)
        return unwinder.frames(values, pc, limit, info.locate(pc))

    def program_in(self, task: int) -> DebugInfo:
        """The files that the process of a ``task_struct`` executes code of, with its memory.

        Raises as ``mappings``.
        """
        return self._program(task)

    def _program(self, task: int) -> DebugInfo:
        """The files that a process executes code of, with its memory."""
        return DebugInfo(self._images(task), self.memory_of(task).read)

    def program_of(self, vcpu: Vcpu) -> DebugInfo | None:
        """Those of the process that a vCPU executes; None where that is not known, or is none."""
        try:
            task = self.tasks.current(vcpu)
            return None if task is None else self._program(task)
        except GuestdbgError:
            return None

    def names(self, task: int | str) -> ProgramNames:
        """Names in the programs of processes, by their number or their name.

        Raises NoSuchTask, CorruptedGuestData, AddressError, BadBtf.
        """
        leaders = self._named(task) if isinstance(task, str) else [self._task(task)]
        return ProgramNames((self.tasks.tgid(each), self._program(each)) for each in leaders)

    def _registers_at_el0(self, task: int) -> dict[str, int]:
        for cpu in self._guest.vcpus:
            if not cpu.reg("pstate") & _EL_MASK and self.tasks.executes(cpu.vcpu, task):
                values = {f"x{n}": cpu.x[n] for n in range(31)}
                return values | {"sp": cpu.reg("SP_EL0"), "pc": cpu.pc}
        raise NoSuchTask(
            f"task {self.tasks.summary(task)} executes its program on no vCPU now: give the "
            "registers, as linux.task(pid).registers() has them"
        )

    def break_in(
        self,
        file: str,
        function: str,
        *,
        when: Predicate | str | None = None,
        follow_fork: FollowFork = "parent",
    ) -> ProgramBreakpoint:
        """A breakpoint in every process that executes a program, now or later.

        Args:
            file: the program's path in the guest, such as ``/usr/bin/foo``.
            function: a symbol of it, ``symbol+offset``, or an address as it is linked. The symbols
                are read when it is executed, from ``sysroot`` or the page cache.
            when: a condition, as that of ``guest.break_``: of registers and memory, not of the
                program's variables.
            follow_fork: whether a child that it forks has the breakpoint too: ``"parent"``: not;
                ``"child"``: instead of its parent; ``"both"``.

        Raises InvalidLocation, ConditionError, UnknownSymbol, OutOfRegisters, MissingKernelData.
        """
        if not file.startswith("/"):
            raise InvalidLocation(f"{file!r} is no path in the guest: it begins with /")
        if follow_fork not in get_args(FollowFork):
            raise InvalidLocation(f"follow_fork is {follow_fork!r}: parent, child or both")
        program = ProgramBreakpoint(
            file, function, follow_fork, self._checked(when), self._set_in, self._program_ends
        )

        def executed(task: int) -> None:
            self._add_program(program, task)

        program.awaited = executed
        self._follower.expect(executed)
        if follow_fork != "parent":
            try:
                program.awaited_fork = program.forks(self._followed_child)
                self._follower.expect_forks(program.awaited_fork)
            except BaseException:
                self._follower.expect_no_more(executed)
                raise
        try:
            running = list(self.tasks.processes())
        except (NoKernel, AddressError):
            running = []  # the kernel has not started
        for leader in running:
            if self.tasks.mm(leader):
                executed(leader)
        return program

    def _program_ends(self, program: ProgramBreakpoint) -> None:
        self._follower.expect_no_more(program.awaited)
        if program.awaited_fork is not None:
            self._follower.expect_no_more_forks(program.awaited_fork)

    def _followed_child(self, task: int) -> FollowedProcess:
        child = self._followed(task)
        self._follower.follow(child)
        return child

    def _checked(self, when: Predicate | str | None) -> Predicate | None:
        """A condition for points in programs. Raises what a breakpoint with it would."""
        with self._guest.detached():
            point = self._breakpoint(0, when, None)
            condition = point.when
            point.delete()
        return condition

    def _breakpoint(
        self, address: int, when: Predicate | str | None, task: ProcessRestriction | None
    ) -> Breakpoint:
        return self._guest.points.breakpoint(
            Code(f"{address:#x}", (address,)),
            kind="hardware",
            when=when,
            ignore=0,
            name=None,
            el="any",
            context=None,
            task=task,
        )

    def _set_in(
        self, address: int, chosen: list[FollowedProcess], when: Predicate | None
    ) -> Breakpoint:
        """A hardware breakpoint at an address of these processes."""
        restriction = ProcessRestriction(
            self.tasks,
            chosen,
            "processes",
            thread=None,
            in_kernel=False,
            translate=self._translate_in,
            on_release=lambda _: self._follower.forget(chosen),
        )
        point = self._breakpoint(address, when, restriction)
        for process in chosen:
            self._follower.follow(process)
        return point

    def _add_program(self, program: ProgramBreakpoint, task: int) -> None:
        """A process has executed a program: is it this one? Then set the breakpoint in it."""
        mm = self.tasks.mm(task)
        file = self._memory.u64(mm + self.layout.field("mm_struct", "exe_file").offset)
        if not file:
            return
        paths = Paths(self._memory, self.layout, self._page_size)
        if paths.of_file(file) != program.file:
            return
        everything = self.mappings_of(task)
        mapped = [each for each in everything if each.file and each.path == program.file]
        if not mapped:
            return
        try:
            image = self._executables.image(mapped, self._page_size)
        except GuestdbgError as error:
            log.warning("%s: no breakpoint is set in it: %s", program.file, error)
            return
        address = address_in(image, program.function)
        if address is None:
            log.warning("%s has no %s: no breakpoint is set", program.file, program.function)
            return
        process = self._followed(task)
        if program.add(address, process):
            self._follower.follow(process)
            self._guest.execution.tasks_changed()

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
            translate=self._translate_in,
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
