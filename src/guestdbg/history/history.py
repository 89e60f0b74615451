"""The history of a guest: ``guest.history``."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from guestdbg.debugger import Hit, Stop
from guestdbg.debugger.validation import integer
from guestdbg.history.errors import (
    BudgetTooSmall,
    HistoryInterrupted,
    HistoryUnavailable,
    NotRecorded,
    OutsideHistory,
)
from guestdbg.history.questions.accesses import DEFAULT_LIMIT, accesses
from guestdbg.history.questions.arrivals import executions
from guestdbg.history.questions.calls import DEFAULT_CALLS, calls
from guestdbg.history.questions.origin import origin
from guestdbg.history.questions.values import values
from guestdbg.history.reverse_steps import ReverseSteps
from guestdbg.history.run_file import save_run
from guestdbg.history.search import Search
from guestdbg.history.side_by_side import SideBySide
from guestdbg.history.travel import Travel
from guestdbg.kvm import (
    SupportsInstructionCount,
    SupportsInstructionLimit,
    SupportsRepeatedRuns,
    SupportsSnapshots,
)
from guestdbg.machine import MachineError, Position, Time, parse_size

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind
    from guestdbg.debugger import Guest, Point
    from guestdbg.history.questions import Accesses, Calls, Origin, Values
    from guestdbg.history.questions.calls import CallsUntil
    from guestdbg.history.recorded_run import RecordedRun

__all__ = ["History"]

#: A time as one gives it; None: the beginning or the end of the history.
When = Time | Position | Hit | Stop | int | None

log = logging.getLogger(__name__)

#: What part of the host's memory the snapshots may take, if the user says nothing.
_PART_OF_MEMORY = 4


class History:
    """The past of one guest: ``guest.history``.

    It is there from ``start`` on. While it is on, snapshots are taken as the guest runs, and what
    comes in from outside is noted, so that the guest can be put to every time since then.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._travel: Travel | None = None
        self._side_by_side = SideBySide(guest)

    # ---- recording ---------------------------------------------------------------------------

    def start(self, budget: str | int | None = None) -> None:
        """Record from here on. Nothing happens if that is on already.

        Args:
            budget: what the snapshots may take of the host's memory, as bytes or as text such as
                ``"512M"``; None: a quarter of the host's memory. The oldest history is dropped when
                it is used up, which is logged.

        Raises:
            HistoryUnavailable: the provider does not repeat a run, or the guest's time is the
                host's.
            BudgetTooSmall: it does not suffice for one snapshot of this guest.
            GuestBusy: the guest runs.
        """
        guest = self._guest
        guest.execution.check_stopped("history is started for a stopped guest")
        if self._travel is not None:
            return
        _check_available(guest)
        size = _budget(budget)
        vm = guest.board.vm
        assert isinstance(vm, SupportsRepeatedRuns)
        vm.stops_are_invisible = True
        try:
            self._travel = Travel(guest, size)
        except BaseException:
            vm.stops_are_invisible = False
            raise

    def stop(self) -> None:
        """Go to the end of the history, forget it, and record no more."""
        travel = self._travel
        if travel is None:
            return
        self.close()
        travel.stop()
        vm = self._guest.board.vm
        assert isinstance(vm, SupportsRepeatedRuns)
        vm.stops_are_invisible = False
        self._travel = None

    def restart(self, why: str) -> None:
        """The guest was put to a state that it did not come to by running: begin anew here."""
        travel = self._travel
        if travel is None:
            return
        self.close()
        travel.leave()
        self._travel = Travel(self._guest, travel.recorder.checkpoints.budget)
        log.warning("the history of the guest begins at %s now: %s", self.begin, why)

    def close(self) -> None:
        """End the worker processes, which a question about a long interval has started.

        ``guest.close`` and ``stop`` do that. The next such question starts others.
        """
        self._side_by_side.close()

    @property
    def workers(self) -> int | None:
        """How many worker processes repeat a long interval beside this one.

        None: as many as there are further processors that this process may use, up to 8. With 0,
        this process answers all questions by itself.

        Raises ValueError for a number below 0 when it is set.
        """
        return self._side_by_side.workers

    @workers.setter
    def workers(self, workers: int | None) -> None:
        if workers is not None and integer("workers", workers) < 0:
            raise ValueError(f"{workers} workers: 0 is the least")
        self._side_by_side.workers = workers

    @property
    def on(self) -> bool:
        """Whether the guest's run is recorded."""
        return self._travel is not None

    @property
    def memory_size(self) -> int:
        """Bytes that all that is kept of it takes: snapshots, inputs and turns."""
        return self._there.recorder.memory_size

    @property
    def _there(self) -> Travel:
        if self._travel is None:
            raise NotRecorded(
                "this guest has no history: load it with history=True (--history), or call "
                "guest.history.start() at the place from which on it is to be recorded"
            )
        return self._travel

    # ---- files -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write the whole history to a file: ``guestdbg.load`` makes a guest at its beginning.

        In it are the guest as it was there, what came in from outside, the turns of the vCPUs, what
        the user has written, and the ELF files with the symbols (up to 64 MiB each). Not in it are
        disks and a vmlinux, which are given again. It is written whole, or an old file stays as it
        is. Returns its digest, in hexadecimal digits. Where the guest is does not matter.

        Raises:
            HistoryError: it would be larger than such a file may be.
            Unsupported, BadSnapshot, ContainerError: see ``guest.save``.
        """
        travel = self._there
        self._check_stopped()
        return save_run(self._guest, travel, path)

    def play(self, run: RecordedRun, budget: str | int | None = None) -> None:
        """Have a run of another guest as history; for ``guestdbg.load``, which has made this guest.

        It is the state where that run begins. Raises ValueError: it is not.
        """
        self.start(budget)
        self._there.play(run)

    # ---- times -------------------------------------------------------------------------------

    @property
    def now(self) -> Time:
        """Where the guest is. Raises NotRecorded without a history, as everything below."""
        return self._there.now

    @property
    def begin(self) -> Position:
        """Where the history begins."""
        return self._there.begin

    @property
    def end(self) -> Position:
        """Where it ends: the present."""
        return self._there.end

    @property
    def in_past(self) -> bool:
        """Whether the guest is in its past."""
        return self._travel is not None and not self._travel.live

    # ---- going -------------------------------------------------------------------------------

    def goto(self, where: Time | Position | Hit | Stop | int) -> Time:
        """Put the guest to a time: memory, registers and devices are as they were then.

        Args:
            where: a time, or a hit or stop that has one; a number is how many instructions the
                guest's only vCPU had retired.

        Raises:
            OutsideHistory: it is before the beginning or after the end.
        """
        travel = self._there
        self._check_stopped()
        position, pc = self._position(where)
        travel.goto(position, pc)
        return travel.now

    def goto_end(self) -> Time:
        """Put the guest to the end of its history: the present."""
        travel = self._there
        self._check_stopped()
        travel.goto(travel.end)
        return travel.now

    def branch(self) -> None:
        """Make the past where the guest is its present: what came after it is forgotten.

        The guest can be changed from there, and its future is another one.
        """
        self._check_stopped()
        self._there.branch()

    def reverse_step(self, count: int = 1) -> Time:
        """Put the current vCPU ``count`` instructions back, and the others to where they were then.

        At the beginning of the history the guest stays there. Raises OutsideHistory if it is there
        already.
        """
        travel = self._there
        self._check_stopped()
        here = travel.now.position
        own = self._own_position(here)
        found = travel.recorder.turns.back(own, count)
        if found is None:
            self._check_not_at_begin(here)
            found = travel.begin
        travel.goto(found)
        return travel.now

    def reverse_run(self) -> Stop:
        """Go back to the last hit of any enabled point, or to the beginning of the history.

        The conditions of the points count, their handlers are not called, and their counts stay.
        The Stop has the reason ``"hit"``, or ``"history"`` at the beginning. After
        ``guest.interrupt()`` it is ``"interrupt"``, and the guest is where it was.
        """
        travel = self._there
        self._check_stopped()
        here = travel.now.position
        self._check_not_at_begin(here)
        points = [p for p in self._guest.points if p.enabled]
        pc = travel.now.pc
        try:
            with travel.silently():
                stop = self._search.last(points, here) if points else None
        except HistoryInterrupted:
            travel.goto(here, pc)
            return self._guest.execution.stop("interrupt")
        if stop is None:
            travel.goto(travel.begin)
            return self._guest.execution.stop("history", "the beginning of the history")
        return stop

    def reverse_step_over(self) -> Stop:
        """One instruction back; a call that is over together with all that it called.

        So is the handler of an exception that has returned. Of a call that began before the
        history, the last instruction is gone back to. The Stop has the reason ``"step"``; ``"hit"``
        if a point was hit on the way; ``"history"`` at the beginning of the history;
        ``"interrupt"`` after ``guest.interrupt()``, and the guest is where it was.
        """
        return self._steps.over()

    def reverse_step_out(self) -> Stop:
        """Back to the call of the current function; the Stop is as for ``reverse_step_over``.

        It is the call after which the function returns: for one that was entered by a jump from
        another function's end, the call of that. Raises Unsupported without a caller.
        """
        return self._steps.out()

    def reverse_step_line(self, *, into: bool = False) -> Stop:
        """Back to the beginning of the line, or from there to that of the line before.

        Over calls, or ``into`` those that have lines, to the beginning of the last line that they
        executed. The Stop is as for ``reverse_step_over``. Raises NoDebugInfo if no line is known
        here.
        """
        return self._steps.line(into=into)

    def reverse_step_instruction(self) -> Stop:
        """One instruction back, and the handler of an exception that has returned as a whole.

        As ``guest.step`` does forwards. No point stops it. The Stop has the reason ``"step"``, or
        ``"history"`` at the beginning.
        """
        return self._steps.instruction()

    def last_instruction_hits(self, points: Sequence[Point]) -> Stop | None:
        """The Stop at what the current vCPU's last instruction has hit, without moving the guest.

        ``points`` are watches, which report after the access. None: it has hit none of them.
        """
        return self._steps.accesses(points)

    @property
    def _steps(self) -> ReverseSteps:
        travel = self._there
        self._check_stopped()
        here = travel.now.position
        self._check_not_at_begin(here)
        return ReverseSteps(self._guest, travel, self._search, self._own_position(here))

    # ---- asking ------------------------------------------------------------------------------

    def last_write(self, where: Any, length: int | None = None, **options: Any) -> Hit | None:
        """The last write to a variable or address before now, without moving the guest.

        ``options`` are those of ``guest.watch``. The hit has its values, its ``time``, and a
        backtrace as of then. None: nothing has written there since the history began.
        """
        return self._last_access(where, length, "write", options)

    def last_read(self, where: Any, length: int | None = None, **options: Any) -> Hit | None:
        """The last read of it."""
        return self._last_access(where, length, "read", options)

    def last_execution(self, where: Any, **options: Any) -> Hit | None:
        """The last time that the instruction at ``where`` was about to be executed.

        ``options`` are those of ``guest.break_``.
        """
        return self._find(lambda: self._guest.break_(where, **options), last=True)

    def next_write(self, where: Any, length: int | None = None, **options: Any) -> Hit | None:
        """The next write to it, between now and the end of the history."""
        return self._find(lambda: self._guest.watch(where, length, "write", **options), last=False)

    def next_read(self, where: Any, length: int | None = None, **options: Any) -> Hit | None:
        """The next read of it."""
        return self._find(lambda: self._guest.watch(where, length, "read", **options), last=False)

    def next_execution(self, where: Any, **options: Any) -> Hit | None:
        """The next time that the instruction at ``where`` is about to be executed."""
        return self._find(lambda: self._guest.break_(where, **options), last=False)

    def _last_access(
        self, where: Any, length: int | None, access: AccessKind, options: dict[str, Any]
    ) -> Hit | None:
        return self._find(lambda: self._guest.watch(where, length, access, **options), last=True)

    def _find(self, make: Any, *, last: bool) -> Hit | None:
        travel = self._there
        self._check_stopped()
        here = travel.now.position
        with travel.elsewhere(), self._guest.execution.only(None):
            point: Point = make()
            try:
                if last:
                    stop = self._search.last([point], here)
                else:
                    stop = self._search.next([point], travel.end)
                if stop is None or stop.hit is None:
                    return None
                hit = stop.hit
                # As of then: the guest goes back.
                hit.backtrace()
                _ = hit.task
                hit.time = travel.now
                return hit
            finally:
                point.delete()

    def accesses(
        self,
        where: Any,
        start: When = None,
        end: When = None,
        *,
        access: AccessKind = "any",
        length: int | None = None,
        limit: int = DEFAULT_LIMIT,
        **options: Any,
    ) -> Accesses:
        """Every access to a variable or address after ``start`` and up to ``end``, as a table.

        Args:
            where, length, access: as for ``guest.watch``.
            start, end: times as for ``goto``; None: the beginning and the end of the history.
            limit: so many rows are kept. What is beyond is said in ``cut`` of the result, and
                logged. A row takes 64 bytes; parts of the history are repeated one by one, so
                that nothing else grows with the interval.
            options: ``when=`` and ``task=`` of ``guest.watch``.

        Raises:
            OutsideHistory: the interval is not in the history, or begins after its end. The other
                errors are those of ``guest.watch``.
        """
        travel = self._there
        self._check_stopped()
        limits = self._interval(start, end)
        helpers = partial(self._side_by_side.helpers, travel)
        return accesses(
            self._guest, travel, *limits, where, length, access, limit, options, helpers
        )

    def writes(self, where: Any, start: When = None, end: When = None, **options: Any) -> Accesses:
        """Every write to it, those of devices included: see ``accesses``."""
        return self.accesses(where, start, end, access="write", **options)

    def reads(self, where: Any, start: When = None, end: When = None, **options: Any) -> Accesses:
        """Every read of it: see ``accesses``."""
        return self.accesses(where, start, end, access="read", **options)

    def executions(
        self,
        where: str | int,
        start: When = None,
        end: When = None,
        *,
        when: Any = None,
        limit: int = DEFAULT_LIMIT,
    ) -> Accesses:
        """Every time from ``start`` to before ``end`` that the code at ``where`` was executed.

        ``where`` and ``when`` are those of ``guest.break_``; the positions are those before the
        instruction. The rest is as for ``accesses``.
        """
        travel = self._there
        self._check_stopped()
        limits = self._interval(start, end)
        helpers = partial(self._side_by_side.helpers, travel)
        return executions(self._guest, travel, *limits, where, when, limit, helpers)

    def value(
        self, where: Any, start: When = None, end: When = None, *, limit: int = DEFAULT_LIMIT
    ) -> Values:
        """The value of a variable of 1, 2, 4 or 8 bytes over time: at ``start``, and each change.

        Changes by devices and by the user of the debugger are among them. ``limit`` is how many
        writes are looked at; what is beyond is said in ``cut``. The rest is as for ``accesses``.
        """
        travel = self._there
        self._check_stopped()
        helpers = partial(self._side_by_side.helpers, travel)
        limits = self._interval(start, end)
        return values(self._guest, travel, *limits, where, limit, helpers)

    def calls(
        self,
        function: str | int,
        what: CallsUntil = "return",
        start: When = None,
        end: When = None,
        *,
        when: Any = None,
        limit: int = DEFAULT_CALLS,
    ) -> Calls:
        """Every call of a function from ``start`` to before ``end``, with its arguments.

        Args:
            function: its name or address.
            what: ``"return"``: also when each call returned, and what; ``"entry"``: only the calls,
                which takes half of the time.
            start, end: see ``accesses``.
            when: a condition at the function's first instruction, as for ``guest.break_``.
            limit: so many calls are kept; what is beyond is said in ``cut``.

        Raises Unsupported if all of its calls were inlined, and what ``accesses`` and
        ``guest.break_`` raise.
        """
        travel = self._there
        self._check_stopped()
        return calls(self._guest, travel, *self._interval(start, end), function, what, when, limit)

    def origin(self, where: Any, length: int | None = None) -> Origin:
        """Where the value that ``where`` has now came from, as far back as it is a copy.

        It is followed through loads, stores, moves, extensions and selections, one instruction
        after the other; ``reason`` and ``text`` of the result say what is at the end.

        Args:
            where: a variable, an address, or a register of the current vCPU (``"x0"``, ``"w3"``,
                ``"d1"``, ``"sp"``); a register hides a variable of that name.
            length: bytes at an address; the default is that of ``guest.watch``.

        Raises OptimizedOut for a local variable that is neither in memory nor in a register,
        Unsupported for more than 64 bytes, and the errors of names and addresses.
        """
        travel = self._there
        self._check_stopped()
        return origin(self._guest, travel, where, length)

    # ---- parts -------------------------------------------------------------------------------

    def _interval(self, start: When, end: When) -> tuple[Position, Position]:
        """The positions of an interval: by default of the whole history."""
        first = self.begin if start is None else self._position(start)[0]
        return first, self.end if end is None else self._position(end)[0]

    @property
    def _search(self) -> Search:
        return Search(self._guest, self._there)

    def _check_stopped(self) -> None:
        self._guest.execution.check_stopped("a guest goes to another time when it is stopped")

    def _check_not_at_begin(self, here: Position) -> None:
        if here <= self._there.begin:
            raise OutsideHistory(
                f"the guest is at the beginning of its history, {here}: nothing before it was "
                "recorded"
            )

    def _own_position(self, here: Position) -> Position:
        """Where the vCPU that the user has selected had its last turn."""
        number = self._guest.execution.current
        turns = self._there.recorder.turns
        if here.vcpu == number:
            return here
        for turn in range(here.turn - 1, turns.start.turn - 1, -1):
            found = turns.of(turn)
            if found is not None and found[0] == number:
                return Position(turn, *found)
        raise OutsideHistory(f"vCPU {number} has not run since the history began")

    def _position(self, where: Time | Position | Hit | Stop | int) -> tuple[Position, int | None]:
        if isinstance(where, Hit | Stop):
            if where.time is None:
                raise OutsideHistory(f"{where} has no time: there was no history then")
            where = where.time
        if isinstance(where, Time):
            return where.position, where.pc
        if isinstance(where, Position):
            return where, None
        if not isinstance(where, int) or isinstance(where, bool):
            raise OutsideHistory(
                f"{where!r} is no time: guest.history.now, a hit, a stop, or a number of "
                "instructions is one"
            )
        if len(self._guest.vcpus) > 1:
            raise OutsideHistory(
                f"{where} instructions: of which of the {len(self._guest.vcpus)} vCPUs? Give a "
                "time such as that of a hit"
            )
        return self._there.begin._replace(instructions=where), None

    def __repr__(self) -> str:
        if self._travel is None:
            return "<History: not recorded>"
        return f"<History from {self.begin} to {self.end}>"


def _check_available(guest: Guest) -> None:
    vm, vcpus = guest.board.vm, guest.board.vcpus
    if (
        not isinstance(vm, SupportsSnapshots)
        or not isinstance(vm, SupportsRepeatedRuns)
        or not all(isinstance(vcpu, SupportsInstructionLimit) for vcpu in vcpus)
        or not all(isinstance(vcpu, SupportsInstructionCount) for vcpu in vcpus)
    ):
        raise HistoryUnavailable(
            "this provider cannot repeat a run exactly: history needs the software provider "
            "(--provider soft)"
        )
    if not vm.runs_repeat:
        raise HistoryUnavailable(
            "with clock='host' a guest's time is the host's, which is another one when the run is "
            "repeated: use clock='virtual' for history"
        )


def _budget(budget: str | int | None) -> int:
    if budget is None or budget is True:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _PART_OF_MEMORY
    try:
        size = parse_size(budget) if isinstance(budget, str) else int(budget)
    except MachineError as error:
        raise BudgetTooSmall(f"history={budget!r}: {error}") from error
    if size <= 0:
        raise BudgetTooSmall(f"history={budget!r}: a budget is a number of bytes, such as '512M'")
    return size
