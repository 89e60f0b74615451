"""Playing a scenario on a guest: two equal guests, and a log of all that a user can see."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

from fuzz_hit_code import ATTRIBUTES, DATA, MAPPED, POOL, VECTOR_CODE, Program
from fuzz_hit_points import Action, Scenario, Spec

from guestdbg.debugger import STOP, Guest, GuestSnapshot, Hit, Recording, Stop, Watch
from guestdbg.debugger.breakpoints.point import Point
from guestdbg.debugger.execution import ResumeAction
from guestdbg.debugger.program.resolver import Data
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import SupportsInstructionCount
from tests.debugger.assembled import CODE, IRQ_LINE_CPU, VECTORS, assembled, words
from tests.debugger.mapped import PAGE, frame, map_memory

__all__ = ["INSTRUCTIONS", "STOPS", "Play", "World", "state", "world"]

STOPS = 60
INSTRUCTIONS = 20_000
_CODE_BYTES = 0x5000
_TBI0 = 1 << 37
_SPSR_SS = 1 << 21


class World:
    """Two equal guests, one for each way, and their state before any program."""

    def __init__(self, vcpus: int, *, shared: bool) -> None:
        self.guests = tuple(self._guest(way, vcpus, shared) for way in (True, False))
        self.snapshots: tuple[GuestSnapshot, ...] = tuple(g.snapshot() for g in self.guests)

    @staticmethod
    def _guest(way: bool, vcpus: int, shared: bool) -> Guest:
        guest = assembled(
            [],
            VECTOR_CODE,
            vcpus=vcpus,
            watchpoints=4 if shared else 16,
            overwatch=4096 if shared else 0,
            use_hit_programs=way,
        )
        map_memory(guest, MAPPED, ATTRIBUTES)
        rng = random.Random("hits")
        for n in MAPPED:
            guest.board.write_phys(frame(n), rng.randbytes(PAGE))
        guest.board.write_phys(POOL, rng.randbytes(PAGE))
        for number, cpu in enumerate(guest.vcpus):
            cpu.set_reg("TCR_EL1", cpu.reg("TCR_EL1") | _TBI0)
            cpu.set_reg("VBAR_EL1", VECTORS)
            cpu.pc = CODE
            for n in range(31):
                cpu.x[n] = rng.choice((rng.getrandbits(8), rng.getrandbits(64), n + number))
            for n in range(8):
                cpu.v[n] = rng.getrandbits(128)
                if n & 1:
                    cpu.d[n] = rng.choice((1.5, -0.0, 5e-324, 2.0**53, -1e18, 0.1))
                    cpu.lanes[n].s.f[3] = rng.uniform(-9, 9)
            guest.board.vcpus[number].set_mp_state(0)
        return guest

    def begin(self, guest: Guest, program: Program, *, interrupt: bool) -> None:
        """Put a guest at the beginning of a program."""
        guest.restore(self.snapshots[self.guests.index(guest)])
        guest.select(0)
        guest.board.write_phys(CODE, words(*program.words))
        for number in range(len(guest.vcpus)):
            guest.board.vm.irq_line(number << 16 | IRQ_LINE_CPU, int(interrupt))


@cache
def world(vcpus: int, shared: bool) -> World:
    """Building one takes much longer than a case, and each case restores it."""
    return World(vcpus, shared=shared)


class Play:
    """One scenario on one guest; ``log`` has all that a user can see of it."""

    def __init__(self, place: World, way: int, case: Scenario, program: Program) -> None:
        self.guest = place.guests[way]
        self.case = case
        self.program = program
        self.log: list[tuple[Any, ...]] = []
        self.points: list[Point | None] = []
        self.hits_at: Counter[tuple[int, int]] = Counter()
        self.failed: str | None = None
        #: Points whose counts the model knows: armed from the first instruction to the last.
        self.steady: set[int] = set()
        #: Points that were given another condition.
        self.conditions: set[int] = set()
        #: Whether memory was written by others than the guest, and whether all were armed always.
        self.written = False
        self.complete = False
        #: Stops at which the provider had programs for hits.
        self.decided = 0
        place.begin(self.guest, program, interrupt=case.interrupt)

    # ---- points ------------------------------------------------------------------------------

    def add(self, spec: Spec, number: int) -> None:
        """Make a point; its place in ``points`` is its number in the log."""
        while len(self.points) <= number:
            self.points.append(None)
        if self.points[number] is not None:
            return
        try:
            point = self._made(spec, number)
        except GuestdbgError as error:
            self.note("refused", number, type(error).__name__)
            return
        self.points[number] = point
        if spec.handler is not None and not isinstance(point, Recording):
            point(self._handler(spec, number))
        if not spec.enabled:
            point.enabled = False

    def _made(self, spec: Spec, number: int) -> Point:
        guest, name = self.guest, f"p{number}"
        when = self._condition(spec.when, number)
        if spec.kind == "break":
            return guest.break_(
                self.program.places[spec.address % len(self.program.places)]
                if self.program.places
                else self.program.end,
                kind=spec.how,
                when=when,
                ignore=spec.ignore,
                name=name,
                el=spec.el,
                context=spec.context,
            )
        data = Data(name, spec.address, spec.length, None, spec.bit_field, spec.float_format)
        if spec.kind == "record":
            return guest.points.record(
                data,
                access=spec.access,
                when=when,
                registers=spec.registers,
                limit=spec.limit,
                name=name,
            )
        return guest.points.watch(
            data,
            access=spec.access,
            when=when,
            ignore=spec.ignore,
            before=spec.before,
            name=name,
            el=spec.el,
            context=spec.context,
        )

    def _condition(self, when: Any, number: int) -> Any:
        """A text as it is; ("python", n) as a function, which logs that it is called."""
        if not isinstance(when, tuple):
            return when
        n = when[1]

        def holds(hit: Hit) -> bool:
            self.note("condition", number, self.of(hit), self.counts())
            return bool((hit.pc >> 2) + hit.size + hit.point.seen & n)

        return holds

    def _handler(self, spec: Spec, number: int) -> Any:
        what, every, other = spec.handler or ("log", 1, 0)

        def handle(hit: Hit) -> object:
            self.note("handler", number, self.of(hit), self.counts())
            self._check_value(hit)
            if hit.count % every:
                return None
            return self._do(what, other, hit)

        return handle

    def _do(self, what: str, other: int, hit: Hit) -> object:
        target = self.points[other % len(self.points)]
        if what == "stop":
            return STOP
        if what in ("disable", "enable", "toggle", "delete") and target is not None:
            self.change(what, other % len(self.points))
        elif what == "condition" and target is not None:
            self.condition(other % len(self.points), f"count % {2 + other % 3} == 0")
        elif what == "recount":
            hit.point.seen = other % 4
            self.steady.discard(self.points.index(hit.point))
        elif what == "write" and isinstance(hit.point, Watch):
            self.write(hit.point.address, bytes([other & 255]))
        elif what == "register":
            hit.vcpu.x[other % 8] = other
            self.written = True
        return None

    def change(self, what: str, number: int) -> None:
        """Disable, enable, toggle or delete a point."""
        point = self.points[number]
        if point is None:
            return
        self.steady.discard(number)
        try:
            if what == "delete":
                point.delete()
            else:
                point.enabled = {"disable": False, "enable": True}.get(what, not point.enabled)
        except GuestdbgError as error:
            self.note("refused", number, type(error).__name__)

    def condition(self, number: int, when: Any) -> None:
        """Give a point another condition."""
        self.conditions.add(number)
        point = self.points[number]
        if point is None:
            return
        try:
            point.when = self._condition(when, number)
        except GuestdbgError as error:
            self.note("refused", number, type(error).__name__)

    def write(self, address: int, data: bytes) -> None:
        """Write guest memory, where there is some."""
        self.written = True
        try:
            self.guest.write(address, data)
        except GuestdbgError as error:
            self.note("refused", type(error).__name__)

    # ---- what is seen ------------------------------------------------------------------------

    def note(self, *what: Any) -> None:
        """Add a line to the log."""
        self.log.append(what)

    def counts(self) -> tuple[Any, ...]:
        """The counts of all points."""
        return tuple(
            (
                point.seen,
                point.hits,
                point._enabled,
                len(point) if isinstance(point, Recording) else None,
            )
            for point in self.points
            if point is not None
        )

    def of(self, hit: Hit) -> tuple[Any, ...]:
        """All of a hit, with the registers as they are."""
        number = self.points.index(hit.point)
        self.hits_at[number, hit.pc] += 1
        vcpu, provider = hit.vcpu, hit.provider
        assert isinstance(provider, SupportsInstructionCount)
        return (
            number,
            ("pc", hex(hit.pc)),
            ("address", hex(hit.address), hit.size),
            ("access", hex(hit.access_address), hit.access_size, hit.access),
            ("old", shown(hit.old), hit.old_bytes),
            ("new", shown(hit.new), hit.new_bytes, hit.new_reason, hit.changed),
            ("count", hit.count),
            ("vcpu", vcpu.id, hex(vcpu.pc), vcpu.sp, vcpu.x[0], vcpu.x[1], vcpu.x[20]),
            ("exit", hit.syndrome, hit.far),
            ("instructions", provider.instructions),
        )

    def _check_value(self, hit: Hit) -> None:
        """The new value is what is in memory now, if nobody else has written."""
        point = hit.point
        if self.written or hit.new_bytes is None or not isinstance(point, Watch):
            return
        if point.address < DATA:
            return  # a device: reading it may have side effects
        start = point.address if point.scalar else hit.address
        if self.guest.read(start, len(hit.new_bytes)) != hit.new_bytes:
            self.failed = f"{hit!r}: new is not what is in memory"

    def stopped(self, stop: Stop) -> None:
        """Log the end of a run."""
        self.decided += self.guest.execution.hit_programs_installed(0)
        self.note(
            "stop",
            stop.reason,
            hex(stop.pc),
            stop.cpu.id,
            stop.detail,
            tuple(self.of(hit) for hit in stop.hits),
            self.counts(),
            tuple(v.instructions for v in self.guest.board.vcpus),  # type: ignore[attr-defined]
        )

    # ---- playing -----------------------------------------------------------------------------

    def play(self) -> None:
        """All of the scenario, and then on to the end of the program."""
        case = self.case
        for number, spec in enumerate(case.points):
            if not spec.late:
                self.add(spec, number)
        self.steady = {
            n
            for n, point in enumerate(self.points)
            if point is not None and point.enabled and not case.points[n].late
        }
        for action in case.actions:
            self.act(action)
        for _ in range(STOPS):
            stop = self.run(max_instructions=INSTRUCTIONS)
            if stop is not None and stop.reason in ("idle", "limit", "error"):
                self.complete = stop.reason == "idle"
                break
        self.finish()

    def run(self, what: str = "run", **options: Any) -> Stop | None:
        """A run or step; what it raises is logged."""
        try:
            stop: Stop = getattr(self.guest, what)(**options)
        except (GuestdbgError, TypeError) as error:
            self.steady.clear()  # what was not counted yet at the error is not counted
            self.note("raises", type(error).__name__, str(error), self.counts())
            return None
        self.stopped(stop)
        return stop

    def act(self, action: Action) -> None:
        """Do one thing of a user."""
        what, n = action
        numbers = len(self.case.points)
        if what in _COMMANDS:
            command, options = _COMMANDS[what](self, n)
            self.run(command, **options)
        elif what == "steps":
            for _ in range(1 + n % 12):
                self.run("step")
        elif what in ("detached", "disarmed"):
            self._without_points(n if what == "detached" else None)
        elif what == "restore":
            self.steady.clear()
            snapshot = self.guest.snapshot()
            self.run(max_instructions=n)
            self.guest.restore(snapshot)
        elif what == "select":
            self.guest.select(n % len(self.guest.vcpus))
        elif not numbers:
            return
        elif what == "add":
            self.add(self.case.points[n % numbers], n % numbers)
        elif n % numbers < len(self.points):
            self._act_on(what, n % numbers)

    def _without_points(self, instructions: int | None) -> None:
        """Disarm and arm the points; run so many instructions meanwhile."""
        try:
            if instructions is None:
                with self.guest.points.disarmed():
                    pass
            else:
                self.steady.clear()
                with self.guest.detached():
                    self.run(max_instructions=instructions)
        except GuestdbgError as error:
            self.note("raises", type(error).__name__)

    def _act_on(self, what: str, number: int) -> None:
        point = self.points[number]
        if what == "clear":
            if isinstance(point, Recording):
                self._records(number, point)
                point.clear()
        elif what == "condition":
            self.condition(number, None)
        elif what == "write":
            if isinstance(point, Watch):
                self.write(point.address, b"\x55")
        elif what == "recount":
            if point is not None:
                point.seen = 1
                self.steady.discard(number)
        else:
            self.change(what, number)

    def _records(self, number: int, point: Recording) -> None:
        for record in point:
            self.hits_at[number, record.pc] += 1
            self.note("record", number, *map(shown, record))

    def finish(self) -> None:
        """Log the records and the state of the guest, and delete the points."""
        for number, point in enumerate(self.points):
            if isinstance(point, Recording):
                self._records(number, point)
        self.counted = {
            n: (point, point.seen, point.hits)
            for n in self.steady
            if (point := self.points[n]) is not None
        }
        self.clean()
        for line in state(self.guest):
            self.note(*line)

    def clean(self) -> None:
        """Delete the points."""
        for point in list(self.guest.points):
            point.delete()


def shown(value: object) -> object:
    """A value that can be compared: a float as text, for a NaN is not equal to itself."""
    return repr(value) if isinstance(value, float) else value


Command = tuple[str, dict[str, Any]]


def _run(play: Play, n: int) -> Command:
    return "run", {"max_instructions": INSTRUCTIONS}


def _limit(play: Play, n: int) -> Command:
    return "run", {"max_instructions": n}


def _step(play: Play, n: int) -> Command:
    return "step", {"n": 1 + n % 12, "max_instructions": INSTRUCTIONS}


def _until(play: Play, n: int) -> Command:
    return "run", {"until": CODE + 4 * n, "max_instructions": INSTRUCTIONS}


def _over(play: Play, n: int) -> Command:
    return "step_over", {"max_instructions": INSTRUCTIONS}


def _range(play: Play, n: int) -> Command:
    move = ResumeAction(step=True, start=CODE, end=CODE + 4 * (n % 40))
    moves = {n % len(play.guest.vcpus): move}
    return "resume", {"moves": moves, "max_instructions": INSTRUCTIONS}


#: What resumes the guest: the name of the method, and its arguments.
_COMMANDS: dict[str, Callable[[Play, int], Command]] = {
    "run": _run,
    "limit": _limit,
    "step": _step,
    "until": _until,
    "over": _over,
    "range": _range,
}


def state(guest: Guest) -> list[tuple[Any, ...]]:
    """Registers and memory, without instruction counts."""
    lines: list[tuple[Any, ...]] = []
    for cpu in guest.vcpus:
        lines.append(("x", cpu.id, *(cpu.x[n] for n in range(31))))
        lines.append(("v", cpu.id, *(cpu.reg(f"v{n}") for n in range(8))))
        names = ("pc", "sp", "pstate", "ELR_EL1", "ESR_EL1", "FAR_EL1")
        # An exception that is taken while an instruction is stepped has PSTATE.SS in its SPSR.
        spsr = cpu.reg("SPSR_EL1") & ~_SPSR_SS
        lines.append(("registers", cpu.id, spsr, *(cpu.reg(name) for name in names)))
    for n in MAPPED:
        lines.append(("memory", n, guest.board.read_phys(frame(n), PAGE)))
    lines.append(("code", guest.board.read_phys(CODE, _CODE_BYTES)))
    return lines
