"""Hits that the provider decides by itself, if it can: see ``guestdbg.kvm.hit_programs``.

A condition is compiled and evaluated by the provider, which exits only when it is true; a recording
is written by the provider. What cannot be expressed so is handled by ``watchpoint_handler`` and
``breakpoint_handler``, which give the same hits, values and counts.

The counts are those of the points. A provider continues them while it runs (``continue_counts``),
and its counts and records are taken over (``collect``) before anything is counted or called here,
and at the end of a vCPU's turn.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.conditions.compiler import Compilable, Shape
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import Breakpoint
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.debugger.target import PLAIN
from guestdbg.debugger.vcpu.access_decoder import WRITE, Touched
from guestdbg.debugger.vcpu.dispatch import Done, dispatch
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS
from guestdbg.kvm import HitProgram, SupportsHitPrograms
from guestdbg.kvm.hit_programs import MAX_EXCLUDED, MAX_HIDDEN, MAX_PROGRAMS

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.armed_state import ArmedState
    from guestdbg.debugger.breakpoints.point import Point, Watch
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.exclusive_stepper import ExclusiveStepper
    from guestdbg.debugger.vcpu.stop import Stop
    from guestdbg.kvm import ExitHit, InstalledPrograms
    from guestdbg.kvm.hit_programs import Operation

__all__ = ["HitProgramSet"]

#: The provider decides accesses of at most so many bytes.
_LONGEST_ACCESS = 64


class _Outdated:
    """In the place of an armed state: the programs are not valid for any."""


_OUTDATED = _Outdated()


class _Counter:
    """A program that counts hits: what it counts for, and what has been taken over from it."""

    __slots__ = ("number", "passed", "point", "seen")

    def __init__(self, number: int, point: Point) -> None:
        self.number = number
        self.point = point
        self.seen = self.passed = 0


class HitProgramSet:
    """The hit programs of one vCPU.

    Attributes:
        armed: what the programs were made for; None: there are none.
        current: whether the programs continue from the points' counts and recordings as they are.
    """

    def __init__(self, context: VcpuContext, exclusives: ExclusiveStepper) -> None:
        self._context = context
        self._exclusives = exclusives
        self._target = context.target
        self._vcpu: SupportsHitPrograms | None = None
        use = context.target.use_hit_programs
        if isinstance(context.vcpu, SupportsHitPrograms) and (not PLAIN if use is None else use):
            self._vcpu = context.vcpu
        self._points: list[Point] = []
        self._counters: list[_Counter] = []
        self._counted: set[int] = set()
        self._installed: InstalledPrograms | None = None
        self.armed: ArmedState | _Outdated | None = None
        self.current = True

    @property
    def installed(self) -> bool:
        """Whether the provider has programs now."""
        return self._installed is not None

    def invalidate(self) -> None:
        """What the programs were made from has changed: they have to be made again."""
        self.armed = _OUTDATED

    def sync(self, armed: ArmedState | None) -> None:
        """Have the programs for this armed state; None: have none."""
        if self.armed is armed:
            return
        self.collect()
        self.armed = armed
        if self._vcpu is None:
            return
        self._points = []
        programs: list[HitProgram] = []
        # Ranges whose hits exit without being decided.
        excluded: list[tuple[int, int]] = []
        # The words that hold a BRK of the debugger's: conditions must not read it there.
        hidden = self._target.memory.patched
        if armed is not None and armed.uses_hardware and len(hidden) <= MAX_HIDDEN:
            self._watches(armed, programs, excluded)
            self._breakpoints(armed, programs, excluded)
        if not programs or len(excluded) > MAX_EXCLUDED:
            if self._installed is not None:
                self._vcpu.set_hit_programs(())
            self._installed = None
            self._counters = []
            self._counted = set()
            self.current = True
            return
        self._installed = self._vcpu.set_hit_programs(programs, excluded, hidden)
        self._counters = [
            _Counter(n, point)
            for n, (point, program) in enumerate(zip(self._points, programs, strict=True))
            if program.condition is not None or program.buffer is not None
        ]
        self._counted = {counter.number for counter in self._counters}
        self.continue_counts()

    def _watches(
        self, armed: ArmedState, programs: list[HitProgram], excluded: list[tuple[int, int]]
    ) -> None:
        for watch in armed.watches:
            restricted = watch.restricted and not (
                # A program sees every access to its range: of other registers, too.
                watch.decided_by_tables(self._target.hardware.tables)
                and not _overlaps_another(watch, armed)
            )
            if watch.before or restricted or len(programs) == MAX_PROGRAMS:
                excluded.append((watch.address, watch.end))
                continue
            if watch.scalar and watch.length not in (1, 2, 4, 8):
                # A bit-field in 3 bytes, say: the provider has no value of so many.
                excluded.append((watch.address, watch.end))
                continue
            condition = self._compiled_watch(watch)
            buffer: memoryview | None = None
            registers: tuple[int, ...] = ()
            fields: tuple[tuple[Operation, ...], ...] = ()
            if (
                condition is None
                and watch.when is not None
                and (isinstance(watch, Recording) or _overlaps_another(watch, armed))
            ):
                # Python evaluates the condition. It may look at other points, which must not have
                # counted an access that they share before.
                excluded.append((watch.address, watch.end))
                continue
            if isinstance(watch, Recording):
                buffer, registers = watch.buffer, watch.registers
                fields = () if watch.task_words is None else watch.task_words.operations
            self._points.append(watch)
            programs.append(
                HitProgram(
                    "watch",
                    watch.address,
                    watch.length,
                    watch.bits,
                    condition,
                    buffer,
                    registers,
                    fields,
                    self._context.cpu.id,
                )
            )

    def _breakpoints(
        self, armed: ArmedState, programs: list[HitProgram], excluded: list[tuple[int, int]]
    ) -> None:
        for address in (*armed.internal, *armed.catches):
            excluded.append((address, address))
        tables = self._target.hardware.tables
        for address, points in armed.breakpoints.items():
            # Of several points at a BRK one may be a hardware one. In an exclusive sequence every
            # stop clears the monitor, so that the sequence is run as a whole from here on.
            if address in armed.brk_addresses or self._exclusives.covers(address):
                excluded.append((address, address))
                continue
            conditions = [self._compiled_breakpoint(point, address) for point in points]
            # Without a condition every hit makes an exit: a program would gain nothing.
            if (
                None in conditions
                or (
                    any(point.restricted for point in points)
                    and not (len(points) == 1 and points[0].decided_by_tables(tables))
                )
                or address in armed.internal
                or address in armed.catches
                or len(programs) + len(points) > MAX_PROGRAMS
            ):
                excluded.append((address, address))
                continue
            for point, condition in zip(points, conditions, strict=True):
                self._points.append(point)
                programs.append(HitProgram("break", address, condition=condition))

    def _compiled_watch(self, watch: Watch) -> tuple[Operation, ...] | None:
        if not isinstance(watch.when, Compilable):
            return None
        variable = self._target.info.variables.static_address_anywhere
        value_bytes = watch.length if watch.scalar else 0
        return watch.when.compile(
            Shape(value_bytes, True, variable, watch.bit_field, watch.float_format)
        )

    def _compiled_breakpoint(self, point: Breakpoint, address: int) -> tuple[Operation, ...] | None:
        if not isinstance(point.when, Compilable):
            return None
        info = self._target.info
        place = point.place_at(info.locate(address))
        variable = partial(info.variables.static_address_at, place=place)
        # A program counts for one address. The count of a line that was compiled into several
        # places is over all of them.
        return point.when.compile(Shape(0, len(point.addresses) == 1, variable))

    def collect(self) -> None:
        """Bring the points' counts and recordings up to date with what the provider has done."""
        installed = self._installed
        if installed is None or not self._counters:
            return
        for counter in self._counters:
            number, point = counter.number, counter.point
            seen, passed = installed.counts(number)
            if seen != counter.seen:
                point.seen += seen - counter.seen
                point.hits += passed - counter.passed
                counter.seen, counter.passed = seen, passed
            if isinstance(point, Recording) and (count := installed.recorded(number)):
                point.take(count)
                installed.clear(number, point.room)
        self.current = False

    def continue_counts(self) -> None:
        """Let the programs continue from the points' counts, and from the recordings' lengths."""
        self.collect()
        installed = self._installed
        if installed is not None:
            for counter in self._counters:
                number, point = counter.number, counter.point
                counter.seen, counter.passed = point.seen, point.hits
                installed.set_counts(number, point.seen, point.hits)
                if isinstance(point, Recording):
                    installed.clear(number, point.room)
        self.current = True

    def handle_hit(self, exit_: ExitHit) -> Stop | None:
        """The provider exits with a hit: report it to its points. The access of a watch is made."""
        context = self._context
        pc, address, size, bits, found = exit_.what
        counted = self._counted
        if counted:
            self.collect()
        touched = Touched(address, size, bits)
        hits: list[Hit] = []
        done: list[Done] = []
        for number, evaluated, old, new in found:
            point = self._points[number]
            if type(point) is Recording:
                if evaluated and not point.limit_reached:
                    continue  # only its buffer was full
                if not evaluated and point.task_words is not None:
                    point.task_words.learn()
            if type(point) is Breakpoint:
                hits.append(Hit(context, point, pc, Touched(pc, 4, 0), exit_.debug, None))
                context.resume_state.needs_step_over = pc
            else:
                hit = Hit(context, point, pc, touched, exit_.debug, old)
                if not bits & WRITE:
                    hit.new_reason = ONLY_READS
                else:
                    hit.new_bytes = new
                hits.append(hit)
            if counted:
                if number not in counted:
                    done.append(Done.NOTHING)
                else:
                    done.append(Done.DECIDED if evaluated else Done.COUNTED)
        return dispatch(context, hits, done) if hits else None


def _overlaps_another(watch: Watch, armed: ArmedState) -> bool:
    """Whether one access of an instruction may hit both this watch and another."""
    return any(
        other is not watch
        and other.address < watch.end + _LONGEST_ACCESS
        and watch.address < other.end + _LONGEST_ACCESS
        for other in armed.watches
    )
