"""What the layers above the debugger may use of its inside: ``guest.execution``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.armed_state import InternalBreakpoint
from guestdbg.debugger.breakpoints.point import Watch
from guestdbg.debugger.errors import Unsupported
from guestdbg.debugger.unwind.backtrace import check_limit
from guestdbg.kvm import SupportsRepeatedRuns

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit, TaskName
    from guestdbg.debugger.breakpoints.point import Breakpoint, Handler, Point, Predicate
    from guestdbg.debugger.breakpoints.registry import PointRegistry
    from guestdbg.debugger.breakpoints.task_words import TaskWords
    from guestdbg.debugger.execution.resume_guard import ResumeGuard
    from guestdbg.debugger.execution.scheduler import Checkpoints, RecordedTurns, Scheduler
    from guestdbg.debugger.execution.snapshot import GuestSnapshot, ResumePoint, Snapshots
    from guestdbg.debugger.program.debug_info import DebugInfo
    from guestdbg.debugger.program.image import Image
    from guestdbg.debugger.program.program_source import ProgramSource
    from guestdbg.debugger.program.resolver import Code
    from guestdbg.debugger.program.symbol_source import SymbolSource
    from guestdbg.debugger.program.symbol_table import Symbol
    from guestdbg.debugger.target import Target
    from guestdbg.debugger.unwind.backtrace import Backtrace
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.stop import Reason, Stop
    from guestdbg.kvm import ExitMmio, GuestDebug, Vcpu
    from guestdbg.machine import Time
    from guestdbg.machine.device import Device
    from guestdbg.semihosting import RemoteHost

__all__ = ["Execution"]

_INSTRUCTION = 4
#: Calls of the provider that a repetition of the run cannot make again, and what can be done.
_CANNOT_BE_RECORDED = {
    "restore": "guest.restore(snapshot), after which history begins anew,",
    "KVM_RUN": "guest.run()",
    "KVM_ENABLE_CAP": "it before guest.history.start()",
    "KVM_CREATE_VCPU": "it before guest.history.start()",
    "KVM_CREATE_DEVICE": "it before guest.history.start()",
    "KVM_SET_USER_MEMORY_REGION": "it before guest.history.start()",
}


class Execution:
    """The vCPUs of a guest and what is armed on them, for servers and tools above ``Guest``.

    Attributes:
        vcpus: the vCPUs by their place: ``number``, ``cpu`` (registers), ``vcpu`` (the KVM vCPU)
            and ``space`` (virtual memory) of each.
        on_repeat: what asks for repetitions, by name: each is called with True when the guest is
            about to repeat recorded turns, and with False when it goes on by itself.
        before_close: called when the guest is about to be closed.
    """

    def __init__(
        self,
        target: Target,
        scheduler: Scheduler,
        guard: ResumeGuard,
        points: PointRegistry,
        snapshots: Snapshots,
    ) -> None:
        self.vcpus: tuple[VcpuContext, ...] = scheduler.vcpus
        self._target = target
        self._scheduler = scheduler
        self._guard = guard
        self._points = points
        self._snapshots = snapshots
        self._software_breakpoints = points.software
        self.on_repeat: dict[str, Callable[[bool], object]] = {}
        self.before_close: list[Callable[[], object]] = []

    # ---- vCPUs -------------------------------------------------------------------------------

    @property
    def current(self) -> int:
        """The place in ``vcpus`` of the vCPU that stopped last."""
        return self._scheduler.current.number

    def select(self, place: int) -> None:
        """Make the vCPU at this place in ``vcpus`` the current one."""
        self._scheduler.select(place)

    def stop(self, reason: Reason, detail: str = "") -> Stop:
        """A Stop of the current vCPU, where it is now."""
        return self._scheduler.current.stop(reason, detail)

    @property
    def running(self) -> bool:
        """Whether a run or step of the guest is under way."""
        return self._guard.running

    def check_stopped(self, problem: str) -> None:
        """Raises GuestBusy, with the problem and who runs the guest, while that is running."""
        self._guard.check_stopped(problem)

    def forget_interrupt(self) -> None:
        """Take back an ``interrupt`` that came when its run was over."""
        self._scheduler.forget_interrupt()

    def retired(self) -> int:
        """Instructions retired by all vCPUs. Raises Unsupported if the provider counts none."""
        return self._scheduler.retired()

    @property
    def step_into_interrupts(self) -> bool:
        """Whether a step ends in the handler of an interrupt that is taken instead of the
        instruction. Otherwise the handler runs first, and then the step is made."""
        return self._target.step_into_interrupts

    @step_into_interrupts.setter
    def step_into_interrupts(self, value: bool) -> None:
        self._target.step_into_interrupts = value

    def perform_semihosting(self, remote: RemoteHost | None) -> None:
        """Have an attached debugger perform semihosting operations, if the user wants that; None:
        it is detached."""
        calls = self._target.semihosting
        if calls is not None:
            calls.remote = remote

    # ---- points ------------------------------------------------------------------------------

    @property
    def armed(self) -> GuestDebug:
        """What KVM_SET_GUEST_DEBUG is given to run the vCPUs with the points as they are."""
        return self._target.armed.running

    @property
    def has_software_breakpoints(self) -> bool:
        """Whether any breakpoint is a BRK of the debugger's in guest memory."""
        return bool(self._target.armed.brk_addresses)

    def lost_software_breakpoints(self) -> list[Breakpoint]:
        """The software breakpoints whose BRK is not in guest memory now.

        The guest has loaded other code there, or mapped other memory. They are put back when the
        guest goes on.
        """
        return self._software_breakpoints.lost()

    def refresh_software_breakpoints(self) -> None:
        """Put the BRK instructions where the breakpoints' addresses are mapped now."""
        self._software_breakpoints.refresh()

    def observe_hits(self, observer: Callable[[Hit], object] | None) -> None:
        """Have a function called with each hit that counts, before its handler; None: no more.

        Not with those of recordings, and of breakpoints that are not among the guest's points.
        """
        points = self._points

        def listed(hit: Hit) -> None:
            if observer is not None and points.is_listed(hit.point):
                observer(hit)

        self._target.on_hit = None if observer is None else listed

    def report_accesses_again(self) -> None:
        """Forget which access of each vCPU was reported before it was made.

        For a client that takes a watchpoint out and puts it back: the access is a new hit then.
        """
        for context in self.vcpus:
            context.resume_state.reported_before_access = None

    def hit_programs_installed(self, place: int) -> bool:
        """Whether the provider decides hits of the vCPU at this place by itself."""
        return self._scheduler.vcpus[place].hit_programs.installed

    def device_accessed(self, vcpu: Vcpu, exit_: ExitMmio, data: bytes) -> None:
        """A vCPU has accessed a device: the board's bus calls this."""
        for driver in self._scheduler.vcpus:
            if driver.vcpu is vcpu:
                if self._target.armed.watches:
                    driver.mmio.device_accessed(exit_, data)
                else:
                    # The console may call a function of the user's, which may look at the points.
                    driver.collect_counts()

    def device_will_write(self, device: Device, address: int, length: int) -> None:
        """A device is about to write memory: the board calls this."""
        if self._target.armed.watches:
            self._scheduler.current.dma.will_write(address, length)

    def device_wrote(self, device: Device, address: int, length: int) -> None:
        """A device has written memory: the board calls this."""
        if self._target.armed.watches:
            self._scheduler.current.dma.written(device.name, address, length)

    # ---- going back --------------------------------------------------------------------------

    def snapshot(self) -> GuestSnapshot:
        """The state of the guest, also in a pause of its run. Raises Unsupported without any."""
        return self._snapshots.take()

    def restore(self, snapshot: GuestSnapshot) -> None:
        """Put the guest back to a snapshot."""
        self._snapshots.restore(snapshot)

    def resume_point(self) -> ResumePoint:
        """What the debugger remembers of where the guest has stopped."""
        return self._snapshots.resume_point()

    def resume_from(self, point: ResumePoint) -> None:
        """The guest is there again, by repeating what led there: have it go on in the same way."""
        self._snapshots.resume_from(point)

    def continue_turns(self, point: ResumePoint) -> None:
        """The same, but for the turns only: the guest has stopped there by itself."""
        self._scheduler.turn_ends = point.turn_ends

    def record(
        self, checkpoints: Checkpoints | None, before_write: Callable[[], object] | None
    ) -> None:
        """Have snapshots taken as the guest runs, and a function called before the user changes the
        guest, by the debugger, its board or the provider; None: no more."""
        target, noticed = self._target, before_write is not None
        self._scheduler.checkpoints = checkpoints
        target.memory.before_write = before_write
        target.keeps_time = noticed
        target.board.memory.before_write = self._will_write_memory if noticed else None
        vm = target.board.vm
        if isinstance(vm, SupportsRepeatedRuns):
            vm.before_change = self._will_change if noticed else None

    def _will_write_memory(self) -> None:
        """Somebody is about to write the board's memory."""
        if self._is_user:
            self._target.will_write()

    def _will_change(self, call: str) -> None:
        """Somebody is about to call the provider."""
        if not self._is_user:
            return
        if (instead := _CANNOT_BE_RECORDED.get(call)) is not None:
            raise Unsupported(
                f"{call}: a guest whose history is on cannot repeat that. Use {instead} or "
                "guest.history.stop() first"
            )
        self._target.will_write()

    @property
    def _is_user(self) -> bool:
        """Whether what changes the guest now is neither its run, an input, nor the debugger."""
        target = self._target
        if target.memory.is_writing or target.board.inputs.delivering:
            return False  # inputs are also delivered while it is stopped, such as for a snapshot
        return bool(target.in_handler or not self._guard.running)

    @property
    def now(self) -> Time:
        """Where the guest is, with the PC of the vCPU that had the last turn."""
        return self._target.now()

    def look_up(self) -> None:
        """Have the ``Checkpoints`` asked before the guest executes its next instruction."""
        self._target.attention = True

    def repeat(self, turns: RecordedTurns | None) -> None:
        """When it runs next, the vCPUs have these turns; None: turns of their own."""
        self._scheduler.recorded = turns
        for listener in list(self.on_repeat.values()):
            listener(turns is not None)

    @property
    def repeats(self) -> bool:
        """Whether it repeats recorded turns when it runs next."""
        return self._scheduler.recorded is not None

    def request_stop(self, reason: Reason, detail: str) -> None:
        """End the run that is under way; for the thread that runs the guest."""
        self._scheduler.request_stop(reason, detail)

    def replay(self, turns: RecordedTurns) -> Stop | None:
        """Run through these turns; the Stop of what ends the run before they are over, or None."""
        return self._replay(lambda: self._scheduler.replay(turns))

    def replay_instructions(
        self, turns: RecordedTurns, place: int, visit: Callable[[], object]
    ) -> Stop | None:
        """The same, and ``visit`` is called after each instruction of the vCPU at this place."""
        return self._replay(lambda: self._scheduler.replay_instructions(turns, place, visit))

    def _replay(self, replay: Callable[[], Stop | None]) -> Stop | None:
        over = False

        def action() -> Stop:
            nonlocal over
            stop = replay()
            over = stop is None
            return self._scheduler.current.stop("limit") if stop is None else stop

        stop = self._guard.resume(action, None, None)
        return None if over else stop

    @contextmanager
    def only(self, point: Point | None) -> Iterator[None]:
        """Have no other point armed inside a ``with`` block."""
        others = [p for p in self._points if p.enabled and p is not point]
        for other in others:
            other.enabled = False
        try:
            yield
        finally:
            for other in others:
                other.enabled = True

    @contextmanager
    def reporting_after_accesses(self) -> Iterator[None]:
        """Have all watches report an access when it is made, inside a ``with`` block."""
        watches = [p for p in self._points if isinstance(p, Watch) and p.before]
        for watch in watches:
            self._points.report_before(watch, before=False)
        try:
            yield
        finally:
            for watch in watches:
                self._points.report_before(watch, before=True)

    def replay_to_pc(self, turns: RecordedTurns, pc: int) -> Stop | None:
        """The same until the current vCPU is at ``pc``."""
        here = InternalBreakpoint(pc, self._scheduler.current.number)
        with self._points.internal_breakpoints([here]):
            return self.replay(turns)

    # ---- symbols -----------------------------------------------------------------------------

    def add_symbol_source(self, source: SymbolSource) -> None:
        """Have names resolved, and addresses named, by ``source`` too, after the ELF files."""
        self._target.info.add_source(source)

    def use_program(self, source: ProgramSource) -> None:
        """Have types, variables and parameters come from ``source`` too, after the images'."""
        self._target.info.use_program(source)

    def symbols_named(self, name: str) -> list[Symbol]:
        """The symbols of exactly that name, those of ELF files first."""
        return self._target.info.named(name)

    def symbol_at(self, address: int) -> Symbol | None:
        """The symbol that an address belongs to."""
        return self._target.info.symbol_at(address)

    def symbols_moved(self, source: SymbolSource, addresses: range, distance: int) -> None:
        """The symbols of ``source`` at these addresses have moved by so many bytes.

        Points that were named by them move too.
        """
        self._target.info.forget_locations()
        if distance:
            self._target.info.forget_types()
            self.outdate_hit_programs()  # they have addresses of variables
            self._points.relocate(source, addresses, distance)

    def add_image(self, image: Image) -> None:
        """Have names, lines and types of an ELF file, before those of the others."""
        self._target.info.add(image, first=True)

    def move_image(self, image: Image, slide: int) -> Image:
        """An ELF file is at another place now; the result takes its place."""
        return self._target.info.move(image, slide)

    def remove_image(self, image: Image) -> None:
        """Do without an ELF file."""
        self._target.info.remove(image)

    def has_points_of(self, source: SymbolSource) -> bool:
        """Whether any point is at a symbol of ``source``."""
        return self._points.uses(source)

    def breakpoints_of(self, source: SymbolSource) -> list[Breakpoint]:
        """The breakpoints at symbols of ``source``."""
        return self._points.breakpoints_of(source)

    def element_name(self, address: int, size: int) -> str | None:
        """Which variable, member or element has these bytes; None: that is not known."""
        found = self._target.info.element(address, size, None)
        return None if found is None else found.name

    def local_register(self, name: str) -> int | None:
        """The DWARF number of the register that a local variable is, to the code at the PC of the
        current vCPU. None: it is in no register, or that is not simple."""
        context = self._scheduler.current
        from guestdbg.debugger.vcpu.code_state import VcpuCodeState

        state = VcpuCodeState(context, context.locate(context.cpu.pc))
        return self._target.info.variables.register(name, state)

    def arrival(self, point: Breakpoint) -> Hit:
        """The hit of a breakpoint at the PC of the current vCPU, without running to it."""
        context = self._scheduler.current
        pc = context.cpu.pc
        from guestdbg.debugger.breakpoints.hit import Hit

        hit = Hit(context, point, pc, (pc, _INSTRUCTION, 0), None, None)
        hit._resume_count = context.resume_count
        hit.time = self._target.now() if self._target.keeps_time else None
        return hit

    def resolve(self, where: str) -> Code:
        """Where a location is now. Raises UnknownSymbol and the like."""
        return self._target.info.resolver.code(where)

    def forget_locations(self) -> None:
        """What is at an address may have another name now."""
        self._target.info.forget_locations()

    def hidden_breakpoint(
        self,
        name: str,
        addresses: Sequence[int] | str,
        handler: Handler,
        when: Predicate | str | None = None,
        source: SymbolSource | None = None,
    ) -> Breakpoint:
        """A breakpoint of a tool's own, which is not among the guest's points.

        ``addresses`` may be a symbol, with which the breakpoint moves. ``when`` is a condition on
        the hit. Addresses move with the symbols of ``source``.

        Raises OutOfRegisters if there is no register, and no BRK can be used; UnknownSymbol.
        """
        if isinstance(addresses, str):
            code = self._target.info.resolver.code(addresses)
        else:
            from guestdbg.debugger.program.resolver import Code

            code = Code(name, tuple(addresses), source=source)
        return self._points.hidden_breakpoint(code, handler, when)

    def name_tasks(self, name_task: Callable[[Vcpu], TaskName | None], words: TaskWords) -> None:
        """Have hits and records say in which task they happened."""
        self._target.name_task = name_task
        self._target.task_words = words

    def name_programs(self, program_of: Callable[[Vcpu], DebugInfo | None]) -> None:
        """Have addresses of programs that the guest's system executes named as these have them."""
        self._target.program_of = program_of

    def outdate_hit_programs(self) -> None:
        """What hit programs were made from has changed: each vCPU gets them anew."""
        for vcpu in self._scheduler.vcpus:
            vcpu.outdate_hit_programs()

    @property
    def task_words(self) -> TaskWords | None:
        """What records keep of the task of a hit; None: nothing is known of tasks."""
        return self._target.task_words

    def tasks_changed(self) -> None:
        """The tables of a ``TaskRestriction`` have changed."""
        self._points.tasks_changed()

    def frames(
        self, registers: list[int], pc: int, limit: int, read: Callable[[int, int], bytes]
    ) -> Backtrace:
        """The frames of a stack that no vCPU is on, at most ``limit``, from ``pc`` outwards.

        ``registers`` are X0 to X30 and SP; ``read`` gives memory by virtual address, and raises
        AddressError.
        """
        from guestdbg.debugger.unwind.unwinder import Unwinder

        check_limit(limit)
        info = self._target.info
        unwinder = Unwinder(info.images, info.locate, read, info.sources)
        return unwinder.frames(registers, pc, limit, info.locate(pc))

    # ---- guest-physical memory ---------------------------------------------------------------

    def has_brk(self, physical: int) -> bool:
        """Whether the debugger has a BRK at this guest-physical address."""
        return physical in self._target.memory

    def brk_overwritten(self, physical: int, offset: int, length: int, *, surely: bool) -> None:
        """The guest has written into the BRK at ``physical``: that is the original now.

        ``offset`` (0 to 3) and ``length`` say which bytes of it. Not ``surely``: those of them that
        equal the BRK's were not written. The BRK is put back.
        """
        self._target.memory.overwritten(physical, offset, length, surely=surely)

    def read_phys(self, address: int, length: int) -> bytes:
        """Guest-physical memory, without the debugger's BRK instructions. Raises MachineError."""
        return self._target.memory.read_phys(address, length)

    def peek_device(self, address: int, length: int) -> bytes | None:
        """Device registers at a guest-physical address: see ``Bus.peek``."""
        return self._target.board.bus.peek(address, length)

    def write_phys(self, address: int, data: bytes) -> None:
        """Write guest-physical memory, under the debugger's BRK instructions."""
        self._target.memory.write_phys(address, data)
