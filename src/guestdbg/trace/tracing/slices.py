"""Events as viewers show them: tracks, and slices that lie in each other on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from guestdbg.trace.tracing.call_stack import CallStack

if TYPE_CHECKING:
    from guestdbg.trace.tracing.event import About, Event, Task

__all__ = ["CLOCK", "DEEPEST", "Details", "SliceFile", "Slices"]

#: The track of the counter.
CLOCK = "guest time (ns)"

#: Slices that lie in each other. Perfetto shows no more than 512.
DEEPEST = 500
_MOST_NAMES = 1 << 16
_MOST_THREADS = 1 << 15
_LONGEST_LINE = 400
#: From here on an address is the same in all processes (the top half of the address space).
_SHARED = 1 << 55

#: What a viewer shows with a slice: names, and numbers or text.
Details = Sequence[tuple[str, int | str]]


class SliceFile(Protocol):
    """What a form of file does with slices. Times are instructions."""

    def track(self, number: int, name: str, parent: int | None) -> None:
        """A track begins, or gets another name."""

    def begin(self, track: int, time: int, name: str, details: Details) -> None: ...

    def end(self, track: int, time: int) -> None:
        """The innermost slice of a track ends."""

    def instant(self, track: int, time: int, name: str, details: Details) -> None: ...

    def counter(self, track: int, time: int, value: int) -> None: ...


class _Thread:
    """One thread of execution: a task of the guest, or a vCPU on which no task is known."""

    def __init__(self, track: int, name: str) -> None:
        self.track = track
        self.name = name
        self.stack = CallStack()


class _Vcpu:
    """Where a vCPU is."""

    def __init__(self, thread: _Thread) -> None:
        self.thread = thread
        self.el: int | None = None
        self.context = 0  # SP_EL0, where it names a task
        self.space = 0  # TTBR0_EL1
        self.running: int | None = None  # the track that shows which task it executes
        self.line: tuple[int, str] | None = None  # what the console has of a line, and since when


class Slices:
    """Turns events into slices.

    Args:
        about: the guest.
        file: where they go.

    Attributes:
        hidden: slices that were left out, because they lay too deep for a viewer.
    """

    def __init__(self, about: About, file: SliceFile) -> None:
        self._about = about
        self._file = file
        self._tracks = 0
        self._threads: dict[object, _Thread] = {}
        self._names: dict[tuple[int, int, int], str] = {}
        self._time = 0
        self.hidden = 0
        self._clock = self._track(CLOCK)
        self._console: int | None = None
        self._hits: int | None = None
        self._tasks: int | None = None
        self._vcpus: dict[int, _Vcpu] = {}
        self._counted = -1

    def add(self, events: Sequence[Event]) -> None:
        """Add a batch, in order of time."""
        for event in events:
            # Never back: a viewer would throw away what begins before what came before it.
            self._time = max(self._time, event.time)
            vcpu = self._vcpus.get(event.vcpu) or self._new_vcpu(event.vcpu)
            _HANDLERS[event.kind](self, vcpu, event)
            if event.kind not in ("console", "context"):
                vcpu.el = event.el
        if events:
            self._count(events[-1])

    def end(self) -> None:
        """Nothing else comes: everything that is open ends."""
        for vcpu in self._vcpus.values():
            self._flush_line(vcpu)
            if vcpu.running is not None:
                self._file.end(vcpu.running, self._time)
                vcpu.running = None
        for thread in self._threads.values():
            self._ended(thread, thread.stack.clear())
        self._threads.clear()
        self._vcpus.clear()

    # ---- what happens ----------------------------------------------------------------------

    def _call(self, vcpu: _Vcpu, event: Event) -> None:
        thread = vcpu.thread
        name = self._function(event.target, vcpu)
        ended = thread.stack.call(event.source, event.value, name)
        self._ended(thread, ended, 1)
        details: Details = event.detail if isinstance(event.detail, tuple) else ()
        self._begun(thread, name, details)

    def _return(self, vcpu: _Vcpu, event: Event) -> None:
        def function_of(address: int) -> str | None:
            return self._function(address, vcpu)

        stack = vcpu.thread.stack
        self._ended(vcpu.thread, stack.returned(event.target, event.value, function_of))

    def _exception(self, vcpu: _Vcpu, event: Event) -> None:
        thread = vcpu.thread
        came_from = event.el if vcpu.el is None else min(vcpu.el, event.el)
        self._ended(thread, thread.stack.exception(came_from), 1)
        details = [("at", self._place(event.source, vcpu)), ("ESR", f"{event.value:#x}")]
        self._begun(thread, str(event.detail or "exception"), details)
        self._count(event)

    def _exception_return(self, vcpu: _Vcpu, event: Event) -> None:
        self._ended(vcpu.thread, vcpu.thread.stack.exception_return(event.el))

    def _context(self, vcpu: _Vcpu, event: Event) -> None:
        register = str(event.detail)
        if register == "TTBR0_EL1":
            vcpu.space = event.value
            return
        task = self._about.task(register, event.value)
        if task is not None:
            if register == "SP_EL0":
                vcpu.context = event.value
            self._switch(vcpu, event.vcpu, task)
        elif register == "CONTEXTIDR_EL1" and not vcpu.context:
            name = f"context {event.value:#x}"
            # Threads of a process have one CONTEXTIDR: on two vCPUs they are two.
            key = ("context", event.value, event.vcpu)
            thread = self._thread(key, name, self._task_group())
            self._run(vcpu, event.vcpu, thread)

    def _switch(self, vcpu: _Vcpu, number: int, task: Task) -> None:
        # Each vCPU has an idle task of its own, all with the number 0.
        key = ("task", task.pid, number if task.pid == 0 else 0)
        name = f"{task.name} ({task.pid})" if task.pid else f"{task.name} (0, vCPU {number})"
        thread = self._thread(key, name, self._task_group())
        if thread.name != name:  # execve, or a thread that was given a name
            thread.name = name
            self._file.track(thread.track, name, self._task_group())
        self._run(vcpu, number, thread)

    def _run(self, vcpu: _Vcpu, number: int, thread: _Thread) -> None:
        """Show which task a vCPU executes from here on."""
        if vcpu.thread is thread:
            return
        vcpu.thread = thread
        if vcpu.running is None:
            vcpu.running = self._track(f"vCPU {number}: task")
        else:
            self._file.end(vcpu.running, self._time)
        self._file.begin(vcpu.running, self._time, thread.name, ())

    def _console_text(self, vcpu: _Vcpu, event: Event) -> None:
        for piece in str(event.detail).splitlines(keepends=True):
            since, text = vcpu.line or (self._time, "")
            vcpu.line = since, text + piece
            if piece.endswith("\n") or len(vcpu.line[1]) >= _LONGEST_LINE:
                self._flush_line(vcpu)

    def _flush_line(self, vcpu: _Vcpu) -> None:
        line, vcpu.line = vcpu.line, None
        if line is None or not (text := line[1].strip()):
            return
        if self._console is None:
            self._console = self._track("console")
        self._file.instant(self._console, self._time, text, (("since", line[0]),))

    def _hit(self, vcpu: _Vcpu, event: Event) -> None:
        if self._hits is None:
            self._hits = self._track("hits")
        record = event.detail if isinstance(event.detail, dict) else {}
        details = [(str(name), _shown(value)) for name, value in record.items() if value != ""]
        name = str(record.get("point") or self._place(event.source, vcpu))
        self._file.instant(self._hits, self._time, name, details)
        self._count(event)

    # ---- slices and tracks ---------------------------------------------------------------

    def _begun(self, thread: _Thread, name: str, details: Details) -> None:
        if len(thread.stack) > DEEPEST:
            self.hidden += 1
        else:
            self._file.begin(thread.track, self._time, name, details)

    def _ended(self, thread: _Thread, count: int, begun: int = 0) -> None:
        """The innermost frames have ended; the stack has ``begun`` new ones since."""
        if count:
            depth = len(thread.stack) - begun
            for _ in range(min(depth + count, DEEPEST) - min(depth, DEEPEST)):
                self._file.end(thread.track, self._time)

    def _count(self, event: Event) -> None:
        """The guest's time, where something happens that people look at."""
        if event.nanoseconds > self._counted:
            self._counted = event.nanoseconds
            self._file.counter(self._clock, self._time, event.nanoseconds)

    def _track(self, name: str, parent: int | None = None) -> int:
        self._tracks += 1
        self._file.track(self._tracks, name, parent)
        return self._tracks

    def _task_group(self) -> int:
        if self._tasks is None:
            self._tasks = self._track("tasks")
        return self._tasks

    def _new_vcpu(self, number: int) -> _Vcpu:
        vcpu = _Vcpu(self._thread(("vcpu", number), f"vCPU {number}", None))
        self._vcpus[number] = vcpu
        return vcpu

    def _thread(self, key: object, name: str, parent: int | None) -> _Thread:
        thread = self._threads.get(key)
        if thread is None:
            if len(self._threads) >= _MOST_THREADS:
                self._forget_one()
            thread = self._threads[key] = _Thread(self._track(name, parent), name)
        return thread

    def _forget_one(self) -> None:
        """The oldest task that no vCPU executes: most likely it is no more."""
        used = {id(vcpu.thread) for vcpu in self._vcpus.values()}
        for key, thread in self._threads.items():
            if id(thread) not in used:
                self._ended(thread, thread.stack.clear())
                del self._threads[key]
                return

    def _function(self, address: int, vcpu: _Vcpu) -> str:
        own = (0, 0) if address >= _SHARED else (vcpu.context, vcpu.space)
        key = (address, *own)
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _MOST_NAMES:
                self._names.clear()
            name = self._about.function(address, vcpu.context) or f"{address:#x}"
            self._names[key] = name
        return name

    def _place(self, address: int, vcpu: _Vcpu) -> str:
        name = self._function(address, vcpu)
        return name if name.startswith("0x") else f"{address:#x} in {name}"


def _shown(value: object) -> int | str:
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


_HANDLERS = {
    "call": Slices._call,
    "return": Slices._return,
    "exception": Slices._exception,
    "exception_return": Slices._exception_return,
    "context": Slices._context,
    "console": Slices._console_text,
    "hit": Slices._hit,
}
