"""A guest under the debugger: what ``guestdbg.load`` returns."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from guestdbg.closing import Closing
from guestdbg.debugger.breakpoints.registry import PointRegistry
from guestdbg.debugger.errors import (
    BadRange,
    GuestBusy,
    GuestClosed,
    InvalidLocation,
    Unsupported,
)
from guestdbg.debugger.execution.facade import Execution
from guestdbg.debugger.execution.resume_guard import ResumeGuard
from guestdbg.debugger.execution.scheduler import Scheduler
from guestdbg.debugger.execution.snapshot import Snapshots
from guestdbg.debugger.execution.step_commands import StepCommands
from guestdbg.debugger.memory.address_space import virtual
from guestdbg.debugger.memory.integer_access import IntegerAccess
from guestdbg.debugger.messages.guest_messages import GuestMessages
from guestdbg.debugger.messages.kernel_panic import KernelReports
from guestdbg.debugger.point_methods import PointMethods
from guestdbg.debugger.program.debug_info import DebugInfo
from guestdbg.debugger.program.image import Image
from guestdbg.debugger.target import Target
from guestdbg.debugger.validation import integer
from guestdbg.debugger.vcpu.registers import UNPICKLABLE, Cpu
from guestdbg.debugger.vcpu.semihosting_exits import catch_calls

if TYPE_CHECKING:
    from guestdbg.debugger.execution.scheduler import ResumeAction
    from guestdbg.debugger.execution.snapshot import GuestSnapshot
    from guestdbg.debugger.memory.address_space import AddressSpace
    from guestdbg.debugger.origin import Origin
    from guestdbg.debugger.program.resolver import Data, Where
    from guestdbg.debugger.program.source_location import Location
    from guestdbg.debugger.program.symbol_table import Symbol
    from guestdbg.debugger.vcpu.diagnosis import Diagnosis
    from guestdbg.debugger.vcpu.stop import Stop
    from guestdbg.machine import Board, Loaded, Segment
    from guestdbg.semihosting import Semihosting, SemihostingCalls

__all__ = ["Guest"]

log = logging.getLogger(__name__)

OnPanic = Literal["stop", "continue"]
#: The functions of a kernel in which it prints that it panics, and how deep below the console is.
_PANIC_FUNCTIONS = {"panic", "vpanic"}
_FRAMES_TO_PANIC = 128


class Guest(PointMethods, IntegerAccess, Closing):
    """A loaded guest: its memory, registers, symbols, and the points at which it is stopped.

    Made by ``guestdbg.load``, or around a board that has a guest in it already. Use it in a
    ``with`` statement, or ``close()`` it. A guest is used by one thread; only ``interrupt`` may be
    called by others.

    Args:
        board: the board with the guest loaded.
        images: the ELF files that its symbols are in.
        overwatch: how many bytes one watchpoint register may watch for the sake of several
            watches, if there are not enough registers; 0 keeps every watch exact.
        on_close: called when the guest is closed.
        reload: loads the guest again, for ``reset``.
        segments: where the guest was loaded; empty: not known.
        semihosting: provide semihosting, with the default options or with these.
        heap: what SYS_HEAPINFO gives: heap base and limit, stack base and limit.
        linux_image: the guest-physical address and the size of the Linux Image that was loaded;
            None: the guest is none.
        on_panic: ``"stop"``: the panic of a Linux kernel ends the run, with the reason
            ``"panic"``; ``"continue"``: it does not.
        use_hit_programs: whether the provider may decide hits itself, if it can, which only makes
            them faster; None: unless ``GUESTDBG_PLAIN`` is set.
        origin: how it was made, for ``save``; None: it cannot be saved.

    Attributes:
        vcpus: the vCPUs, each with its registers: ``guest.vcpus[0].x[0]``.
        points: the watches and breakpoints there are; iterate over it.
        board: the board that the guest runs on: console, device tree, physical memory.
        hardware: how many breakpoint and watchpoint registers there are.
        images: the loaded ELF files.
        messages: devices that the guest accessed and its board does not have, and instructions that
            the processor does not implement.
        execution: what servers and tools above the debugger need of its inside.
    """

    def __init__(
        self,
        board: Board,
        images: Sequence[Image] = (),
        *,
        overwatch: int = 0,
        on_close: Callable[[], object] | None = None,
        reload: Callable[[], Loaded] | None = None,
        segments: Sequence[Segment] = (),
        semihosting: bool | Semihosting = False,
        heap: tuple[int, int, int, int] = (0, 0, 0, 0),
        linux_image: tuple[int, int] | None = None,
        on_panic: OnPanic = "stop",
        use_hit_programs: bool | None = None,
        origin: Origin | None = None,
    ) -> None:
        if integer("overwatch", overwatch) < 0:
            raise InvalidLocation(f"overwatch is {overwatch}: it counts bytes, and is 0 or more")
        self.board = board
        self._info = DebugInfo(images, self.read)
        self.images = self._info.images
        self._target = target = Target(self, board, self._info, use_hit_programs=use_hit_programs)
        self.hardware = target.hardware
        self._on_close = on_close
        self._reload = reload
        self._closed = False
        self.points = PointRegistry(
            target,
            lambda address: self.space.translate(address),
            overwatch=overwatch,
            on_patch=self._patches_change,
            info=self._info,
        )
        arm = self.points.internal_breakpoints
        self._scheduler = scheduler = Scheduler(target, arm)
        self._steps = StepCommands(scheduler, arm, self._info)
        self._guard = ResumeGuard(target, scheduler, self.points.software)
        self._snapshots = Snapshots(target, scheduler, self._guard)
        self.execution = Execution(target, scheduler, self._guard, self.points, self._snapshots)
        self.vcpus: tuple[Cpu, ...] = tuple(vcpu.cpu for vcpu in scheduler.vcpus)
        board.bus.on_access = self.execution.device_accessed
        board.before_dma = self.execution.device_will_write
        board.on_dma = self.execution.device_wrote
        self._segments = tuple(segments)
        self._origin = origin
        if semihosting is not False:
            target.semihosting = _semihosting_calls(semihosting)
            target.heap = heap
        try:
            self._catch_calls()
        except BaseException:
            if target.semihosting is not None:
                target.semihosting.close()
            raise
        self.messages = GuestMessages(board, self._info.locate)
        # linux is a layer above this one: it is imported only for a guest that has it.
        self._linux: Any = None
        if linux_image is not None:
            self._linux = import_module("guestdbg.linux").attach(self, *linux_image)
        self._history: Any = None
        if on_panic not in get_args(OnPanic):
            raise InvalidLocation(f"on_panic is {on_panic!r}: it must be 'stop' or 'continue'")
        self._stop_at_panic = on_panic == "stop"
        self._reports = KernelReports(self._panicked)
        board.console.observer = self._reports.feed

    def _catch_calls(self) -> None:
        """Have semihosting calls of the guest caught, which has just been loaded."""
        target = self._target
        catch_calls(target, self._segments, self.points.catch)
        if target.vector_catch is not None:
            boot = self._scheduler.vcpus[0]
            target.vector_catch.refresh(boot.number, boot.vcpu, boot.space)

    @property
    def kernel_reports(self) -> tuple[str, ...]:
        """The first lines on the console in which a Linux kernel has reported a fault (an oops)."""
        return tuple(self._reports.notes)

    def _panicked(self, text: str) -> None:
        """A kernel's panic is on the console. A program may have printed the text of another."""
        if not self._guard.running_here:
            return
        functions = {
            frame.location.function
            for vcpu in self._scheduler.vcpus
            for frame in vcpu.cpu.backtrace(_FRAMES_TO_PANIC)
        } - {None}
        if functions and not functions & _PANIC_FUNCTIONS:
            log.debug("no vCPU is in panic(): %s", text)
        elif self._stop_at_panic:
            self._scheduler.request_stop("panic", text)
        else:
            log.warning("the guest's kernel panics: %s", text)

    # ---- symbols and locations ---------------------------------------------------------------

    def add_symbols(
        self,
        path: str | os.PathLike[str],
        slide: int = 0,
        *,
        debug_dirs: Sequence[str | os.PathLike[str]] = (),
    ) -> Image:
        """Bring in an ELF file's symbols, moved by ``slide`` bytes from where it was linked.

        For firmware that relocates itself, kernels under KASLR, programs that the guest loads.
        Raises BadImage.
        """
        image = Image(Path(path), slide, [Path(directory) for directory in debug_dirs])
        self._info.add(image)
        return image

    def symbol(self, name: str) -> Symbol:
        """A symbol by name; raises UnknownSymbol, which names similar ones."""
        if not isinstance(name, str):
            raise InvalidLocation(f"{name!r} is not the name of a symbol: it must be a str")
        return self._info.resolver.symbol(name)

    @property
    def linux(self) -> Any:
        """The Linux kernel in the guest, a ``guestdbg.linux.Linux``: its names, and where it is.

        For a guest that was loaded from an Image it is there from the start. Otherwise it is
        searched for in memory; raises NoKernel if there is none (yet).
        """
        self._check_open()
        if self._linux is None:
            self._linux = import_module("guestdbg.linux").attach(self)
        return self._linux

    @property
    def has_linux(self) -> bool:
        """Whether ``linux`` is known already, so that no memory is searched for it."""
        return self._linux is not None

    @property
    def has_history(self) -> bool:
        """Whether the guest's run is recorded: ``history.on``."""
        return self._history is not None and bool(self._history.on)

    @property
    def history(self) -> Any:
        """The guest's past, a ``guestdbg.history.History``: going back, and asking who did what.

        It has one from ``guest.history.start()`` on; ``load(..., history=True)`` calls that.
        """
        if self._history is None:
            self._check_open()
            # history is a layer above this one: it is imported only for a guest that has one.
            self._history = import_module("guestdbg.history").History(self)
        return self._history

    def coverage(self, *, counts: bool = False, edges: bool = False) -> Any:
        """Note from here on what the guest executes: a ``guestdbg.trace.Coverage``, which is on.

        ``counts``: how often, not only whether; ``edges``: also where each branch went. Raises
        CoverageUnavailable: the provider does not say; CoverageError: another one is on.
        """
        self._check_open()
        # trace is a layer above this one: it is imported only if this is called.
        return import_module("guestdbg.trace").Coverage(self, counts=counts, edges=edges)

    def sample(self, every: int = 1_000_000) -> Any:
        """A ``guestdbg.trace.Sampler``, whose ``run`` takes a sample every so many instructions."""
        self._check_open()
        # trace is a layer above this one: it is imported only if this is called.
        return import_module("guestdbg.trace").Sampler(self, every)

    def trace(
        self,
        start: str | int | None = None,
        stop: str | int | None = None,
        *,
        what: Sequence[str] = ("calls", "exceptions", "contexts", "console", "hits"),
        to: Any = None,
        arguments: bool = False,
    ) -> Any:
        """Record from here on what happens: a ``guestdbg.trace.Trace``, which is on.

        ``start`` and ``stop`` are locations (``"main"``) or numbers of instructions of all vCPUs.
        ``to`` is the path of a file, or a writer. With ``what="instructions"`` each instruction is
        written to a file: a ``guestdbg.trace.InstructionTrace``. Raises TracingError.
        """
        self._check_open()
        # trace is a layer above this one: it is imported only if this is called.
        trace = import_module("guestdbg.trace")
        if what == "instructions":
            if to is None or arguments:
                raise trace.TracingError(
                    'what="instructions": they go to a file, with to=, and have no arguments'
                )
            return trace.InstructionTrace(self, to, start, stop)
        return trace.Trace(self, start, stop, what=what, to=to, arguments=arguments)

    def campaign(
        self, directory: str | os.PathLike[str], vary: Any, cases: int | None = None, **options: Any
    ) -> Any:
        """Many runs from here, each a little different: a ``guestdbg.campaign.Campaign``.

        ``vary`` is called with each ``Case`` and gives what differs in it. Arguments and errors are
        those of ``guestdbg.guest_campaign.campaign``.
        """
        self._check_open()
        self._guard.check_stopped("the cases of a campaign begin at a stopped guest")
        # guest_campaign is a layer above this one: it is imported only if this is called.
        module = import_module("guestdbg.guest_campaign")
        return module.campaign(self, directory, vary, cases, **options)

    def fault_campaign(
        self, directory: str | os.PathLike[str], faults: Any = None, **options: Any
    ) -> Any:
        """Runs from here, each with one fault: a ``guestdbg.faults.FaultCampaign``.

        ``faults`` are fault models (None: each instruction is skipped once). Arguments and errors
        are those of ``guestdbg.faults.fault_campaign``.
        """
        self._check_open()
        self._guard.check_stopped("the cases of a campaign begin at a stopped guest")
        # faults is a layer above this one: it is imported only if this is called.
        module = import_module("guestdbg.faults")
        models = (module.Skip(),) if faults is None else faults
        return module.fault_campaign(self, directory, models, **options)

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        title: str | None = None,
        sources: tuple[str | os.PathLike[str], ...] = (),
        coverage: Any = None,
    ) -> str:
        """The guest's recordings, and its coverage, as a page of HTML: see
        ``guestdbg.report.guest_report``."""
        # report is a layer above this one: it is imported only where a page is made.
        made = import_module("guestdbg.report").guest_report(
            self, path, title=title, sources=sources, coverage=coverage
        )
        return str(made)

    def goto(self, where: Any) -> Any:
        """Put the guest to a time of its history: see ``guestdbg.history.History.goto``."""
        return self.history.goto(where)

    def reverse_step(self, n: int = 1) -> Any:
        """Go ``n`` instructions back: see ``guestdbg.history.History.reverse_step``."""
        if integer("n", n) < 1:
            raise InvalidLocation(f"{n} steps: 1 is the least")
        return self.history.reverse_step(n)

    def reverse_run(self) -> Stop:
        """Go back to the last hit of a point: see ``guestdbg.history.History.reverse_run``."""
        stop: Stop = self.history.reverse_run()
        return stop

    def reverse_step_over(self) -> Stop:
        """One instruction back, or a call: see ``guestdbg.history.History.reverse_step_over``."""
        stop: Stop = self.history.reverse_step_over()
        return stop

    def reverse_step_out(self) -> Stop:
        """Back to the call of the function: ``guestdbg.history.History.reverse_step_out``."""
        stop: Stop = self.history.reverse_step_out()
        return stop

    def reverse_step_line(self, *, into: bool = False) -> Stop:
        """Back by source line: see ``guestdbg.history.History.reverse_step_line``."""
        stop: Stop = self.history.reverse_step_line(into=into)
        return stop

    def locate(self, address: int) -> Location:
        """What is known of an address: function (or variable), offset, file and line."""
        return self._scheduler.current.locate(virtual(address))

    def resolve(self, where: Where, length: int | None = None) -> Data:
        """The bytes that ``where`` names; ``length`` is None if it is not known."""
        return self._info.resolver.data(where, length)

    # ---- memory ------------------------------------------------------------------------------

    @property
    def space(self) -> AddressSpace:
        """The virtual memory as the current vCPU sees it."""
        return self._scheduler.current.space

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes of guest virtual memory, through the guest's own page tables.

        The page tables are those of the current vCPU, the one that stopped last; if its MMU is off,
        virtual addresses are physical ones. Software breakpoints are not visible. Raises
        AddressError.
        """
        self._check_open()
        if integer("length", length) < 0:
            raise BadRange(f"{length} bytes cannot be read: a length is not negative")
        return self.space.read(virtual(address), length)

    def write(self, address: int, data: bytes) -> None:
        """Write guest virtual memory, read-only pages too. Raises AddressError."""
        self._check_open()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidLocation(
                f"{data!r} cannot be written: bytes can; write_u32() writes a number"
            )
        self.space.write(virtual(address), bytes(data))

    def translate(self, address: int) -> int:
        """The guest-physical address of a virtual one, as the current vCPU has it mapped."""
        self._check_open()
        return self.space.translate(virtual(address))

    def __getitem__(self, expression: str) -> Any:
        """A variable, member or element as a drgn object: ``guest["queue.items[3].id"]``.

        The object reads guest memory when its value is used. Raises UnknownSymbol,
        InvalidLocation, MissingDependency (drgn runs on Linux only), NoDebugInfo. Parameters and
        local variables of functions raise NotInScope: hits and vCPUs have these.
        """
        self._check_open()
        return self._info.variables.of_guest(expression)

    @property
    def program(self) -> Any:
        """The ``drgn.Program`` over this guest, for everything else that drgn can do.

        Of a Linux guest it is one of a Linux kernel: ``drgn.helpers.linux`` takes it.
        """
        self._check_open()
        return self._info.types.refreshed()

    def _patches_change(self) -> None:
        """The set of BRK instructions in guest memory changes: hit programs depend on it."""
        for vcpu in self._scheduler.vcpus:
            vcpu.outdate_hit_programs()

    # ---- running -----------------------------------------------------------------------------

    def run(
        self,
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
        until: Where | None = None,
    ) -> Stop:
        """Let the guest run until something stops it; the Stop says what.

        ``timeout`` in seconds; ``max_instructions`` over all vCPUs (if the provider counts them);
        ``until`` a location as for ``break_``. After the guest has powered off, every run returns
        the same Stop. Raises GuestBusy from within a handler.
        """
        if until is None:
            return self._resume(self._scheduler.run_all, timeout, max_instructions)
        addresses = self._info.resolver.code(until).addresses
        return self._resume(lambda: self._steps.run_until(addresses), timeout, max_instructions)

    def step(
        self,
        n: int = 1,
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Step ``n`` instructions of the vCPU that stopped last (``select`` chooses another).

        The other vCPUs are paused. A watch that is hit is reported as when running; a breakpoint
        at the new PC is reported when the vCPU runs from there. A load-exclusive is stepped
        together with everything through its store-exclusive, which would never succeed otherwise.
        """
        if integer("n", n) < 1:
            raise InvalidLocation(f"{n} steps: 1 is the least")
        return self._resume(lambda: self._steps.step(n), timeout, max_instructions, brief=n == 1)

    def step_over(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Step one instruction; a call is run until it returns."""
        return self._resume(self._steps.step_over, timeout, max_instructions)

    def step_out(
        self, *, timeout: float | None = None, max_instructions: int | None = None
    ) -> Stop:
        """Run until the current function has returned. Raises Unsupported without a caller."""
        return self._resume(self._steps.step_out, timeout, max_instructions)

    def step_line(
        self,
        *,
        into: bool = False,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Step to another source line; over calls, or ``into`` those that have lines.

        Raises NoDebugInfo if no line is known here.
        """
        return self._resume(lambda: self._steps.step_line(into=into), timeout, max_instructions)

    def resume(
        self,
        moves: Mapping[int, ResumeAction],
        *,
        timeout: float | None = None,
        max_instructions: int | None = None,
    ) -> Stop:
        """Resume some vCPUs, each in its own way, and pause the others.

        ``moves`` has a ``ResumeAction`` (of ``guestdbg.debugger.execution``) by the vCPU's place
        in ``vcpus``. What stops one of them stops them all. Raises InvalidLocation for no action,
        or for a vCPU that does not exist.
        """
        return self._resume(lambda: self._scheduler.run_some(moves), timeout, max_instructions)

    def _resume(
        self,
        action: Callable[[], Stop],
        timeout: float | None,
        max_instructions: int | None,
        *,
        brief: bool = False,
    ) -> Stop:
        self._check_open()
        if self.points.followed:
            self.points.follow_pointers()
        return self._guard.resume(action, timeout, max_instructions, brief=brief)

    def select(self, cpu: Cpu | int) -> None:
        """Make a vCPU the current one: the one that is stepped, and whose memory is read."""
        number = cpu.id if isinstance(cpu, Cpu) else cpu
        integer("the vCPU's number", number)
        for place, each in enumerate(self.vcpus):
            if each.id == number:
                self._scheduler.select(place)
                return
        raise InvalidLocation(f"there is no vCPU {number}: this guest has {len(self.vcpus)}")

    @property
    def ended(self) -> Stop | None:
        """The Stop with which the guest powered off; None if it has not."""
        return self._guard.ended

    @property
    def cpu(self) -> Cpu:
        """The current vCPU: the one that stopped last."""
        return self._scheduler.current.cpu

    def diagnose(self) -> tuple[Diagnosis, ...]:
        """What each vCPU is doing, in their order: powered off, in a loop of exceptions, ...

        For a guest that was stopped before its end. Raises GuestBusy while it runs.
        """
        self._check_open()
        from guestdbg.debugger.vcpu.diagnosis import diagnose

        self._guard.check_stopped("only a stopped guest can be diagnosed")
        return tuple(diagnose(vcpu) for vcpu in self._scheduler.vcpus)

    def interrupt(self) -> None:
        """Stop the guest; from any thread. If it is not running, the next run stops at once."""
        self._scheduler.interrupt()

    # ---- going back --------------------------------------------------------------------------

    def snapshot(self) -> GuestSnapshot:
        """The whole state of the guest: vCPUs, memory, devices, time, and its last stop.

        It needs time and memory for what the guest has touched, and shares what did not change with
        earlier snapshots. Raises Unsupported if the provider has none, GuestBusy from within a
        handler: return ``guestdbg.STOP`` there, and take the snapshot when ``run`` has returned.
        """
        self._check_open()
        self._guard.check_stopped("a snapshot is taken of a stopped guest")
        return self._snapshots.take()

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back to where it was: it goes on from there as it did then.

        The points stay as they are now, with their counts, and so do symbols and printed output.
        Snapshots can be restored in any order, and as often as needed, also to another guest on a
        board that is like this one: made with the same arguments. Raises BadSnapshot for a snapshot
        of a board that differs, saying in what, and Unsupported and GuestBusy as ``snapshot`` does.
        """
        self._check_open()
        self._guard.check_stopped("only a stopped guest can be restored")
        self._snapshots.restore(snapshot)
        if self._history is not None:
            self._history.restart("it was restored to a snapshot")

    def save(self, path: str | os.PathLike[str], snapshot: GuestSnapshot | None = None) -> str:
        """Write the guest as it is, or a snapshot of it, to a file for ``guestdbg.load``.

        In the file are vCPUs, memory, devices, time, and what was written over disks with an
        overlay; not the disks and not the files with symbols. It is written whole, or an old file
        stays as it is. Returns the file's digest, in hexadecimal digits.

        Raises:
            Unsupported: the provider has no snapshots, or the guest was not made by ``load``.
            BadSnapshot: a drive or a flash file is written directly; a device of yours has state
                that a file cannot have.
            ContainerError: the file cannot be written. GuestBusy: see ``snapshot``.
        """
        if snapshot is None:
            snapshot = self.snapshot()
        self._check_open()
        # It makes guests, so it lies above this module.
        module = import_module("guestdbg.debugger.guest_file")
        return str(module.save(self, snapshot, path, self._origin))

    @property
    def origin(self) -> Origin | None:
        """How the guest was made, for files of its state; None: not by ``guestdbg.load``."""
        return self._origin

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Where the guest was loaded; empty: not known."""
        return self._segments

    def reset(self) -> None:
        """Load the guest again and put its first vCPU to the entry; points stay.

        If its files have changed since, the symbols, lines and types are those of the new files.
        Memory that the guest's file does not fill keeps its contents, as on a reset of hardware.
        A software breakpoint whose address is not mapped then (the MMU is off) is disabled.
        Raises Unsupported for a guest that was not made by ``load``.
        """
        self._check_open()
        self._guard.check_stopped("only a stopped guest can be reset")
        self._target.will_write()
        if self._reload is None:
            raise Unsupported("this guest was not loaded from a file that could be loaded again")
        with self._target.memory.own_writes(), self.points.software.out_of_memory():
            self._segments = self._reload().segments
            if self._info.reread():
                self._patches_change()
            for vcpu in self._scheduler.vcpus:
                vcpu.reset()
            self._scheduler.select(0)
            self._scheduler.turn_ends = [None] * len(self.vcpus)
        self._info.refresh_sources(reloaded=True)
        if self._target.semihosting is not None:
            self._target.semihosting.reset()
            self._target.loaded_at = time.monotonic_ns()
            self._catch_calls()
        self._guard.ended = None

    def serve_gdb(self, listen: str = "tcp:127.0.0.1:1234", **options: Any) -> Any:
        """Serve GDB or LLDB until the client kills the guest or the guest ends.

        Arguments, result and errors are those of ``guestdbg.gdb.serve``.
        """
        self._check_open()
        self._guard.check_stopped("only a stopped guest can be served")
        # gdb is a layer above this one: it is imported only if this is called.
        return import_module("guestdbg.gdb").serve(self, listen, **options)

    # ---- the end -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def detached(self) -> Iterator[Self]:
        """Have all points disarmed inside a ``with`` block, and as before after it."""
        with self.points.disarmed():
            yield self

    def close(self) -> None:
        """Release the guest and all that belongs to it. Closing twice does nothing."""
        if self._closed:
            return
        if self._guard.running_here:
            raise GuestBusy(
                "a running guest cannot be closed by one of its handlers: return guestdbg.STOP "
                "there, and close it when run() has returned"
            )
        if self._guard.running:
            raise GuestBusy("a running guest cannot be closed: interrupt() it first")
        for finish in list(self.execution.before_close):
            finish()
        self._closed = True
        if self._history is not None:
            self._history.close()
        self.board.bus.on_access = self.board.before_dma = self.board.on_dma = None
        self.board.console.observer = None
        if self._target.semihosting is not None:
            self._target.semihosting.close()
        self.board.close()
        if self._on_close is not None:
            self._on_close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._guard.end()
        self.close()

    def __reduce__(self) -> str:
        raise TypeError(UNPICKLABLE)

    def _check_open(self) -> None:
        if self._closed:
            raise GuestClosed("the guest has been closed")

    def __repr__(self) -> str:
        names = ", ".join(image.path.name for image in self.images) or "no symbols"
        return f"<Guest {names}: {len(self.vcpus)} vCPU, {len(self.points)} points>"

    def _repr_html_(self) -> str:
        """How notebooks show it: its files, its vCPUs and its points."""
        running, ended = self._guard.running, self._guard.ended
        state = "it runs" if running else "it is stopped"
        if self._closed:
            state = "closed"
        elif ended is not None and not running:
            state = str(ended)
        from guestdbg.debugger.guest_html import guest_html

        return guest_html(
            [image.path for image in self.images],
            self.vcpus,
            list(self.points),
            state=state,
            memory=self.board.memory_size,
            readable=not self._closed and (not running or self._guard.running_here),
        )


def _semihosting_calls(semihosting: bool | Semihosting) -> SemihostingCalls:
    from guestdbg.semihosting import Semihosting, SemihostingCalls, SemihostingError

    if semihosting is True:
        semihosting = Semihosting()
    if not isinstance(semihosting, Semihosting):
        raise SemihostingError(
            f"semihosting is {semihosting!r}: it must be True, False or a guestdbg.Semihosting"
        )
    return SemihostingCalls(semihosting)
