"""A trace of a guest: on, off, and what it has."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, get_args

from guestdbg.kvm import SupportsCounterFrequency, SupportsFlowTrace
from guestdbg.kvm.constants import KVM_REG_ARM_TIMER_CNT
from guestdbg.kvm.regs import PSTATE
from guestdbg.kvm.tracing import FlowKind
from guestdbg.trace.tracing.call_arguments import CallArguments
from guestdbg.trace.tracing.errors import TracingError
from guestdbg.trace.tracing.event import Event
from guestdbg.trace.tracing.event_table import table_of
from guestdbg.trace.tracing.flow_records import events_of
from guestdbg.trace.tracing.guest_names import GuestNames
from guestdbg.trace.tracing.hit_record import hit_record
from guestdbg.trace.tracing.places import instructions_at

if TYPE_CHECKING:
    from guestdbg.debugger import Breakpoint, Guest, Hit
    from guestdbg.kvm import FlowTrace
    from guestdbg.tables import Table
    from guestdbg.trace.tracing.event import EventKind, EventWriter

__all__ = ["MOST_EVENTS", "WHAT", "Trace"]

log = logging.getLogger(__name__)

#: What can be traced.
WHAT: Final = ("calls", "exceptions", "contexts", "console", "hits")
#: Events that a trace without a writer keeps.
MOST_EVENTS: Final = 1_000_000
#: In ``Execution.on_repeat``.
_NAME = "trace"
_EL_SHIFT, _EL_MASK = 2, 3
_SECOND = 1_000_000_000


class _Over(Exception):
    """Nothing is traced any more: the provider need not record anything."""


class Trace:
    """What happens in a guest from ``start`` to ``stop``, in order of time: ``guest.trace()``.

    It is on when it is made, until ``stop()`` or the end of a ``with`` statement. A guest has one
    that is on at a time. What a history repeats is not traced again. When the guest is put back to
    an earlier time, by ``restore`` or ``history.branch()``, the trace ends.

    Args:
        guest: the guest.
        start: where it begins: a location, each time that the guest comes there, or a number of
            instructions, which all vCPUs have retired then; None: at once.
        stop: where it ends, in the same way; None: with ``stop()``.
        what: calls and returns, exceptions taken to EL1 and returned from, writes of context
            registers (CONTEXTIDR_EL1, TTBR0_EL1, SP_EL0), output on the console, hits of points.
        to: a file, whose form follows from its ending, or an ``EventWriter``; None: the events are
            kept in memory, a million at most.
        arguments: events of calls have the arguments, by the guest's debug information.

    Attributes:
        ended: why it has ended before ``stop()``; empty: it has not.
        written: events that it had so far.

    Raises:
        TracingError: the provider does not record what its vCPUs do; another trace of the guest
            is on; an argument is wrong; the file cannot be written.
        UnknownSymbol, InvalidLocation, OutOfRegisters: of ``start`` and ``stop``.
        GuestBusy: the guest runs.
    """

    def __init__(
        self,
        guest: Guest,
        start: str | int | None = None,
        stop: str | int | None = None,
        *,
        what: Sequence[str] = WHAT,
        to: str | os.PathLike[str] | EventWriter | None = None,
        arguments: bool = False,
    ) -> None:
        execution = guest.execution
        execution.check_stopped("a trace is switched on for a stopped guest")
        self._guest = guest
        self._what = _checked(what)
        machine = guest.board.vm
        if not isinstance(machine, SupportsFlowTrace):
            raise TracingError(
                "this provider does not record what its vCPUs do: a trace needs the software "
                'provider (provider="soft", --provider soft)'
            )
        if _NAME in execution.on_repeat:
            raise TracingError("another trace of this guest is on: stop() it first")
        self._first = instructions_at("start", start)
        self._last = instructions_at("stop", stop)
        self._names = GuestNames(guest)
        self._arguments = CallArguments(guest) if arguments else None
        self._events: list[Event] = []
        self._time = self._nanoseconds = 0
        self.written = 0
        self.ended = ""
        self._error: TracingError | None = None
        self._points: list[Breakpoint] = []
        self._inside = not isinstance(start, str)
        self._flow: FlowTrace | None = None
        self._writer = _writer(to)
        self._frequencies = [
            each.counter_frequency if isinstance(each, SupportsCounterFrequency) else 0
            for each in guest.board.vcpus
        ]
        self._on = True
        try:
            self._begin(machine, start, stop)
        except BaseException:
            self._release()
            if self._writer is not None:
                self._writer.close()
            raise

    def _begin(
        self, machine: SupportsFlowTrace, start: str | int | None, stop: str | int | None
    ) -> None:
        execution = self._guest.execution
        for where, handler in ((start, self._enter), (stop, self._leave)):
            if isinstance(where, str):
                self._points.append(execution.hidden_breakpoint(where, where, handler))
        flow: tuple[FlowKind, ...] = tuple(
            each for each in get_args(FlowKind) if each in self._what
        )
        if flow:
            self._flow = machine.start_flow_trace(
                flow,
                self._records,
                arguments=self._arguments is not None,
                start=self._first,
                stop=self._last,
            )
        # Last of what can fail: a trace that cannot be made changes no file.
        if self._writer is not None:
            try:
                self._writer.begin(self._names)
            except OSError as error:
                raise TracingError(f"the trace cannot be written: {error}") from error
        if "console" in self._what:
            self._guest.board.console.flush()
            self._guest.board.console.trace = self._console
        if "hits" in self._what:
            execution.observe_hits(self._hit)
        execution.on_repeat[_NAME] = self._repeat
        execution.before_close.append(self._closing)
        self._pause()

    # ---- what it has -------------------------------------------------------------------------

    @property
    def on(self) -> bool:
        """Whether it is on."""
        return self._on

    @property
    def events(self) -> list[Event]:
        """What it has until now. Raises TracingError if it is written to a file, GuestBusy."""
        if self._writer is not None:
            raise TracingError("the events of this trace are with its writer, and not in memory")
        self._guest.execution.check_stopped("a trace is read from a stopped guest")
        self._flush()
        return self._events

    def table(self) -> Table:
        """The same as a table, a row for each event: see docs/tables.md. Raises as ``events``."""
        return table_of(self.events, self._names)

    @property
    def complete(self) -> bool:
        """Whether it has all events from ``start`` until now, or ``stop``."""
        lost = self._flow is not None and self._flow.lost > 0
        return not self.ended and not lost

    def stop(self) -> None:
        """Trace nothing any more; a file is complete then. Nothing happens if it is off.

        Raises TracingError if something could not be written; what was written before is complete.
        """
        if self._on:
            self._guest.execution.check_stopped("a trace is switched off for a stopped guest")
            self._end()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    # ---- the end -----------------------------------------------------------------------------

    def _end(self) -> None:
        try:
            if "console" in self._what:
                self._guest.board.console.flush()
            self._flush()
        finally:
            self._on = False
            self._release()
            self._close_writer()

    def _release(self) -> None:
        """Nothing of the guest leads to this any more."""
        execution = self._guest.execution
        if self._flow is not None:
            self._flow.close()
        for point in self._points:
            point.delete()
        self._points.clear()
        execution.on_repeat.pop(_NAME, None)
        if self._closing in execution.before_close:
            execution.before_close.remove(self._closing)
        if self._guest.board.console.trace == self._console:
            self._guest.board.console.trace = None
        if "hits" in self._what:
            execution.observe_hits(None)

    def _close_writer(self) -> None:
        if self._writer is None:
            return
        try:
            self._writer.close()
        except Exception as error:
            self._fail(error)

    def _closing(self) -> None:
        """The guest is about to be closed."""
        try:
            self.stop()
        except TracingError as error:
            log.error("%s", error)

    def _fail(self, error: Exception) -> None:
        """The writer cannot write."""
        self.ended = f"it cannot be written: {error}"
        if self._error is None:
            self._error = TracingError(
                f"the trace cannot be written any more, after {self.written:,} events: {error}"
            )
            self._error.__cause__ = error

    # ---- events ------------------------------------------------------------------------------

    def _flush(self) -> None:
        if self._flow is not None:
            self._flow.flush()

    def _records(self, data: bytes) -> None:
        """The provider has records. Raises _Over if it need not have more."""
        if not self.ended:
            arguments = self._arguments
            self._add(events_of(data, None if arguments is None else arguments.of))
        if self.ended:
            raise _Over(self.ended)

    def _add(self, events: list[Event]) -> None:
        """The next events."""
        if not events or self.ended:
            return
        if events[0].time < self._time:
            self.ended = "the guest was put back to an earlier time"
            return
        self._time, self._nanoseconds = events[-1].time, events[-1].nanoseconds
        if self._writer is not None:
            self._names.next_batch()
            try:
                self._writer.write(events)
            except Exception as error:
                self._fail(error)
                log.warning("%s; the guest goes on without it", self._error)
                return
        else:
            room = MOST_EVENTS - len(self._events)
            self._events += events[:room]
            if len(events) > room:
                self.ended = (
                    f"{MOST_EVENTS:,} events are in memory: give a file, with to=, for more"
                )
                events = events[:room]
        self.written += len(events)

    def _now(self, kind: EventKind, place: int, source: int, detail: object) -> None:
        """Something happens that the provider does not record: by the vCPU at a place."""
        if not self._inside or self.ended or self._guest.execution.repeats:
            return
        execution = self._guest.execution
        time = execution.retired()
        if (self._first is not None and time <= self._first) or (
            self._last is not None and time > self._last
        ):
            return
        self._flush()
        vcpu = self._guest.board.vcpus[place]
        nanoseconds = 0
        if frequency := self._frequencies[place]:
            nanoseconds = vcpu.get_one_reg(KVM_REG_ARM_TIMER_CNT) * _SECOND // frequency
        nanoseconds = max(nanoseconds, self._nanoseconds)  # it says ticks, and not what is between
        el = vcpu.get_one_reg(PSTATE) >> _EL_SHIFT & _EL_MASK
        self._add([Event(time, nanoseconds, vcpu.id, kind, el, source, 0, 0, detail)])

    def _console(self, data: bytes) -> None:
        """Output on the console."""
        text = data.decode("utf-8", "replace")
        self._now("console", self._guest.execution.current, 0, text)

    def _hit(self, hit: Hit) -> None:
        """A point was hit."""
        self._now("hit", self._guest.vcpus.index(hit.vcpu), hit.pc, hit_record(hit))

    # ---- pauses ------------------------------------------------------------------------------

    def _enter(self, hit: Hit) -> None:
        """The guest has come to ``start``."""
        if not self._guest.execution.repeats:
            self._inside = True
            self._pause()

    def _leave(self, hit: Hit) -> None:
        """The guest has come to ``stop``."""
        if not self._guest.execution.repeats:
            self._inside = False
            self._pause()

    def _repeat(self, repeats: bool) -> None:
        """The guest repeats its history, or goes on by itself."""
        self._pause()

    def _pause(self) -> None:
        if self._flow is not None:
            self._flow.paused = not self._inside or self._guest.execution.repeats

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        try:
            self.stop()
        except TracingError as failed:
            if error is None:
                raise
            log.error("%s", failed)

    def __repr__(self) -> str:
        state = "on" if self._on else "off"
        return f"<Trace of {', '.join(self._what)}: {state}, {self.written:,} events>"


def _checked(what: Sequence[str]) -> tuple[str, ...]:
    if isinstance(what, str) or not what or any(each not in WHAT for each in what):
        raise TracingError(f"what={what!r}: it is a tuple of {', '.join(WHAT)}, or some of them")
    return tuple(each for each in WHAT if each in what)


def _writer(to: str | os.PathLike[str] | EventWriter | None) -> EventWriter | None:
    if to is None:
        return None
    if isinstance(to, str | os.PathLike):
        from guestdbg.trace.tracing.writers import writer_for

        return writer_for(Path(to), overwrite=True)
    for name in ("begin", "write", "close"):
        if not callable(getattr(to, name, None)):
            raise TracingError(f"to={to!r}: it is the path of a file, or an EventWriter")
    return to
