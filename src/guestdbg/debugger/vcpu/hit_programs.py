"""Hits that the provider decides by itself, where it can: see guestdbg.kvm.hit_programs.

Everything here has its plain counterpart (watching.py, arrivals.py), which is used wherever a
point or a provider is not of the simple kind, and gives the same hits, values and counts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.armed_state import ArmedState
from guestdbg.debugger.breakpoints.conditions.compiler import Compilable, Shape
from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import Breakpoint, Point
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.debugger.vcpu.access_decoder import WRITE, Touched
from guestdbg.debugger.vcpu.dispatch import dispatch
from guestdbg.debugger.vcpu.mmio_watchpoints import ONLY_READS
from guestdbg.debugger.vcpu.stop import Stop
from guestdbg.kvm import ExitHit, HitProgram, InstalledPrograms, SupportsHitPrograms
from guestdbg.kvm.hit_programs import MAX_EXCLUDED, MAX_HIDDEN, MAX_PROGRAMS, Operation

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["HitProgramSet"]

#: GUESTDBG_PLAIN=1: do without what only some providers can do. Everything comes out the same.
PLAIN = os.environ.get("GUESTDBG_PLAIN", "") not in ("", "0")


class _Outdated:
    """In the place of an arming: programs that are for none."""


_OUTDATED = _Outdated()


class _Counter:
    """A program that lets hits pass: what of its counts the point knows already."""

    __slots__ = ("number", "passed", "point", "seen")

    def __init__(self, number: int, point: Point) -> None:
        self.number = number
        self.point = point
        self.seen = point.seen
        self.passed = point.hits


class HitProgramSet:
    """The hit programs of one vCPU."""

    def __init__(self, core: VcpuContext) -> None:
        self._core = core
        self._guest = core.guest
        self._vcpu: SupportsHitPrograms | None = None
        if isinstance(core.vcpu, SupportsHitPrograms) and not PLAIN:
            self._vcpu = core.vcpu
        self._points: list[Point] = []
        self._counters: list[_Counter] = []
        self._counted: set[int] = set()
        self._installed: InstalledPrograms | None = None
        #: What the programs were made for; None: there are none.
        self.arming: ArmedState | _Outdated | None = None

    def outdated(self) -> None:
        """What the programs were made from has changed: they are to be made anew."""
        self.arming = _OUTDATED

    def follow(self, arming: ArmedState | None) -> None:
        """Have the programs for this arming; None: have none."""
        if self.arming is arming:
            return
        self.collect()
        self.arming = arming
        if self._vcpu is None:
            return
        self._points = []
        programs: list[HitProgram] = []
        plain: list[tuple[int, int]] = []
        # The words that hold a BRK of ours: there the provider sees what the guest is not to have.
        hidden = self._guest.memory.patched
        if arming is not None and arming.hardware and len(hidden) <= MAX_HIDDEN:
            self._watches(arming, programs, plain)
            self._breakpoints(arming, programs, plain)
        if not programs or len(plain) > MAX_EXCLUDED:
            if self._installed is not None:
                self._vcpu.set_hit_programs(())
            self._installed = None
            self._counters = []
            return
        self._installed = self._vcpu.set_hit_programs(programs, plain, hidden)
        self._counters = [
            _Counter(n, point)
            for n, (point, program) in enumerate(zip(self._points, programs, strict=True))
            if program.condition is not None or program.buffer is not None
        ]
        self._counted = {counter.number for counter in self._counters}
        for counter in self._counters:
            self._installed.set_counts(counter.number, counter.seen, counter.passed)

    def _watches(
        self, arming: ArmedState, programs: list[HitProgram], plain: list[tuple[int, int]]
    ) -> None:
        for watch in arming.watches:
            if watch.before or watch.restricted or len(programs) == MAX_PROGRAMS:
                plain.append((watch.address, watch.end))
                continue
            condition = self._steps(watch, watch.length if watch.scalar else 0)
            buffer: memoryview | None = None
            registers: tuple[int, ...] = ()
            if isinstance(watch, Recording):
                if condition is None and watch.when is not None:
                    plain.append((watch.address, watch.end))
                    continue
                buffer, registers = watch.room(), watch.registers
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
                )
            )

    def _breakpoints(
        self, arming: ArmedState, programs: list[HitProgram], plain: list[tuple[int, int]]
    ) -> None:
        for address in arming.temporaries:
            plain.append((address, address))
        for address, points in arming.breakpoints.items():
            if address in arming.software:
                plain.append((address, address))  # one of the points may be a hardware one
                continue
            steps = [self._steps(point, 0) for point in points]
            # Without a condition every arrival is told: nothing would be gained.
            if (
                None in steps
                or any(point.restricted for point in points)
                or address in arming.temporaries
                or len(programs) + len(points) > MAX_PROGRAMS
            ):
                plain.append((address, address))
                continue
            for point, condition in zip(points, steps, strict=True):
                self._points.append(point)
                programs.append(HitProgram("break", address, condition=condition))

    def _steps(self, point: Point, value_bytes: int) -> tuple[Operation, ...] | None:
        if not isinstance(point.when, Compilable):
            return None
        # A line that was compiled into several places has a count over all of them.
        alone = len(self._guest.cores) == 1 and not (
            isinstance(point, Breakpoint) and len(point.addresses) > 1
        )
        return point.when.compile(Shape(value_bytes, alone, self._guest.fixed_variable))

    def collect(self) -> None:
        """Bring the points' counts and recordings up to date."""
        installed = self._installed
        if installed is None:
            return
        for counter in self._counters:
            seen, passed = installed.counts(counter.number)
            point = counter.point
            if seen != counter.seen:
                point.seen += seen - counter.seen
                counter.seen = seen
            if isinstance(point, Recording):
                point.hits += passed - counter.passed
                counter.passed = passed
                count = installed.recorded(counter.number)
                if count:
                    point.take(count)
                    installed.clear(counter.number)
                    if point.limit is not None:
                        self.outdated()  # its buffer has shrunk

    def hit(self, exit_: ExitHit) -> Stop | None:
        """The provider wants a hit looked at: tell it to its points."""
        core = self._core
        pc, address, size, bits, found = exit_.what
        if self._counters:
            self.collect()
            if not found:
                return self._full()
        touched = Touched(address, size, bits)
        hits: list[Hit] = []
        decided: list[bool] = []
        for number, judged, old, new in found:
            point = self._points[number]
            if type(point) is Breakpoint:
                hits.append(Hit(core, point, pc, Touched(pc, 4, 0), exit_.debug, None))
                core.arrivals.reported = pc
            else:
                hit = Hit(core, point, pc, touched, exit_.debug, old)
                if not bits & WRITE:
                    hit.new_reason = ONLY_READS
                else:
                    hit.new_bytes = new
                hits.append(hit)
            counted = number in self._counted
            # Without a condition there was nothing to judge; what was counted, dispatch() counts.
            decided.append(judged and counted)
            if counted:
                point.seen -= 1
        return dispatch(core, hits, decided)

    def _full(self) -> Stop | None:
        """A buffer was full; collect() has emptied it. Is that the end of a recording?"""
        for counter in self._counters:
            point = counter.point
            if isinstance(point, Recording) and point.limit_reached:
                point.enabled = False
                return self._core.stop("hit", f"{point.name}: {len(point)} records, its limit")
        return None
