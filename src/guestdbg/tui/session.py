"""A guest under the interface: what is set, displayed and selected, and what the panes show.

All of it belongs to the thread of the guest, except ``names``, which is replaced as a whole.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from guestdbg.debugger import Breakpoint, Watch
from guestdbg.errors import GuestdbgError
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.terminal_text import hits
from guestdbg.tui.disassembly import around
from guestdbg.tui.errors import CommandError
from guestdbg.tui.evaluation import short
from guestdbg.tui.printable import printable
from guestdbg.tui.registers import flags, shown_registers
from guestdbg.tui.source_files import SourceFiles
from guestdbg.tui.view import Source, View, Watched

if TYPE_CHECKING:
    from guestdbg.debugger import Cpu, Frame, Guest, Hit, Point, Stop
    from guestdbg.machine import Time
    from guestdbg.tui.feed import Feed
    from guestdbg.tui.registers import RegisterValues

__all__ = ["Display", "Session"]

_STACK_FRAMES = 64
#: Times of so many hits are kept, for `goto #N`.
_TIMES = 10_000


@dataclass(frozen=True)
class Display:
    """An expression that is shown at each stop."""

    number: int
    text: str
    form: str


class Session:
    """One guest.

    Attributes:
        guest: the guest.
        feed: where everything goes that is shown.
        displays: expressions that are shown at each stop.
        labels: what points are called, by their number.
        temporary: points that are deleted when they are hit.
        frame: the selected frame, 0 for the innermost.
        place: the address that source and disassembly show; None: that of the frame.
        next_examined: where `x` goes on.
        names: all names that can be completed, sorted.
        times: when hits were, by their number.
        last_hits: what the guest is stopped at.
    """

    def __init__(self, guest: Guest, feed: Feed, folders: Sequence[Path] = ()) -> None:
        self.guest = guest
        self.feed = feed
        self.sources = SourceFiles(folders, [image.path for image in guest.images])
        self.displays: list[Display] = []
        self.labels: dict[int, str] = {}
        self.temporary: set[int] = set()
        self.frame = 0
        self.place: int | None = None
        self.next_examined: int | None = None
        self.names: tuple[str, ...] = ()
        self.times: OrderedDict[int, Time] = OrderedDict()
        self.last_hits: tuple[Hit, ...] = ()
        self._hits = 0
        self._display_numbers = itertools.count(1)
        self._named_linux = False
        self._before: dict[int, RegisterValues] = {}
        self._after: dict[int, RegisterValues] = {}
        self._values: dict[str, str] = {}
        self._changed: set[str] = set()
        guest.messages.listener = lambda message, text: self.say(f"-- {text}", "yellow")
        self.read_names()

    # ---- what is said ------------------------------------------------------------------------

    def say(self, text: str | Text, style: str = "") -> None:
        """A line, or several, in the pane of messages."""
        if isinstance(text, Text):
            self.feed.say(text)
            return
        for line in text.split("\n"):
            self.feed.say(Text(printable(line), style))

    def say_all(self, lines: Iterable[str | Text]) -> None:
        """The same for lines."""
        for line in lines:
            self.say(line)

    def fail(self, error: GuestdbgError) -> None:
        """An error; nothing else has happened."""
        self.say(f"error: {error}", "bold red")

    # ---- points ------------------------------------------------------------------------------

    @property
    def cpu(self) -> Cpu:
        """The selected vCPU."""
        return self.guest.cpu

    def added(self, point: Point, label: str, *, stops: bool) -> None:
        """A point was set. One that does not stop has its hits shown as they occur."""
        self.labels[point.number] = label
        if not stops:
            point(self._passed)

    def point(self, text: str) -> Point:
        """A point by its number."""
        number = int(text) if text.isdecimal() and len(text) < 10 else None
        for point in self.guest.points:
            if point.number == number:
                return point
        raise CommandError(f"there is no point {text!r}: `info breakpoints` lists them")

    def _passed(self, hit: Hit) -> None:
        """A hit that does not stop the guest. There may be 100,000 of them in a second."""
        self._hits += 1
        if hit.time is not None:
            self._keep_time(hit.time)
        if self.feed.wants_hits:
            self.feed.hit(self._line(hit))
        else:
            self.feed.count_hit()

    def _line(self, hit: Hit) -> Text:
        label = self.labels.get(hit.point.number, hit.point.name)
        line = hits.line(self._hits, label, hit)
        return _printable(line)

    def _keep_time(self, time: Time) -> None:
        self.times[self._hits] = time
        if len(self.times) > _TIMES:
            self.times.popitem(last=False)

    def report(self, stop: Stop) -> None:
        """Say why the guest has stopped."""
        self.frame, self.place = 0, None
        self.last_hits = stop.hits
        if stop.reason == "hit":
            for hit in stop.hits:
                if hit.point.handler is not None:
                    continue
                self._hits += 1
                time = hit.time or stop.time
                if time is not None:
                    self._keep_time(time)
                line = self._line(hit)
                self.feed.hit(line)
                self.say(line)
                if hit.point.number in self.temporary:
                    self.temporary.discard(hit.point.number)
                    hit.point.delete()
        elif stop.reason == "exit":
            self.say(f"the guest {stop.detail or 'ended'} (`reset` loads it again)", "bold")
        elif stop.reason == "panic":
            self.say(f"the guest's kernel panicked: {stop.detail}", "bold red")
        elif stop.reason not in ("step", "until"):
            detail = f": {stop.detail}" if stop.detail else ""
            self.say(f"stopped ({stop.reason}{detail}) at {stop.location}", "bold")
        if stop.reason in ("idle", "error", "interrupt"):
            self._diagnose()

    def _diagnose(self) -> None:
        for found in self.guest.diagnose():
            if found.text and found.status != "off":
                self.say(f"   vCPU {found.vcpu}: {found.text}", "dim")

    # ---- the panes ---------------------------------------------------------------------------

    def instructions(self) -> int | None:
        """Instructions retired by all vCPUs; None if the provider does not count them."""
        counts = [
            cpu.vcpu.instructions
            for cpu in self.guest.vcpus
            if isinstance(cpu.vcpu, SupportsInstructionCount)
        ]
        return sum(counts) if counts else None

    def frames(self) -> Sequence[Frame]:
        """The frames of the selected vCPU."""
        return self.cpu.backtrace(_STACK_FRAMES)

    def moved(self) -> None:
        """The guest has run: what differs from now is what has changed."""
        self._before, self._after = self._after, {}
        self._changed = set()
        self._watched(compare=True)

    def view(self) -> View:
        """What the panes show now."""
        cpu = self.cpu
        values, registers = shown_registers(cpu, self._before.get(cpu.id))
        self._after[cpu.id] = values
        pc = values["pc"]
        frames = self.frames()
        frame = frames[min(self.frame, len(frames) - 1)] if frames else None
        shown = self.place
        if shown is None:
            shown = pc if frame is None else frame.location.address
        return View(
            state=self._state(),
            where=self._where(cpu, values),
            pc=pc,
            shown=shown,
            registers=registers,
            source=self._source(shown),
            instructions=around(self.guest, shown, self._marks(pc)),
            watched=tuple(self._watched(compare=False)),
            stack=tuple(self._stack(frames)),
        )

    def _state(self) -> str:
        if self.guest.ended is not None:
            return "ended"
        if self.guest.has_history and self.guest.history.in_past:
            return "in the past"
        return "stopped"

    def _where(self, cpu: Cpu, values: RegisterValues) -> str:
        parts = [f"vCPU {cpu.id}"] if len(self.guest.vcpus) > 1 else []
        parts += [flags(values["pstate"]).rpartition(" ")[2], printable(str(cpu.location), 120)]
        if self.guest.has_linux:
            try:
                task = self.guest.linux.current(cpu)
                parts.append(printable(f"task {task.pid} {task.comm}"))
            except GuestdbgError:
                pass  # the kernel has not come so far
        count = self.instructions()
        if count is not None:
            parts.append(f"{count:,} instr")
        return "  ".join(parts)

    def _marks(self, pc: int) -> dict[int, str]:
        marks = {}
        for point in self.guest.points:
            if isinstance(point, Breakpoint):
                for address in point.addresses:
                    marks[address] = "B" if point.enabled else "b"
        marks[pc] = marks.get(pc, "") + "=>"
        return marks

    def _source(self, address: int) -> Source | None:
        location = self.cpu.locate(address)
        if location.file is None or location.line is None:
            return None
        lines = self.sources.lines(location.file)
        name = printable(location.file, 300)
        if lines is None:
            name += " (not on this machine: --source DIR)"
        marks = {}
        for point in self.guest.points:
            if not isinstance(point, Breakpoint):
                continue
            for place in point.addresses:
                at = self.guest.locate(place)
                if at.file == location.file and at.line is not None:
                    marks[at.line] = "B" if point.enabled else "b"
        return Source(name, lines, location.line, marks)

    def _stack(self, frames: Sequence[Frame]) -> Iterable[Text]:
        for frame in frames:
            selected = frame.number == self.frame
            text = Text(f"{'=>' if selected else '  '}#{frame.number} ")
            text.append(printable(frame.location.symbolic, 200), "bold green" if selected else "")
            if frame.location.source is not None:
                text.append(f" ({printable(frame.location.source, 200)})", "green")
            text.append(f"  {frame.pc:#x}", "dim")
            yield text

    def _watched(self, *, compare: bool) -> list[Watched]:
        """Displays and watches with their values; ``compare``: with those of the last stop."""
        rows = []
        for display in self.displays:
            rows.append((f"{display.number}: {display.text}", display.text, display.form))
        for point in self.guest.points:
            if isinstance(point, Watch):
                label = self.labels.get(point.number, point.name)
                rows.append((f"#{point.number} {label}", point.variable or point.name, ""))
        found = []
        for name, expression, form in rows:
            text = short(self.guest, self.cpu, expression, form)
            if compare and self._values.get(name, text) != text:
                self._changed.add(name)
            self._values[name] = text
            found.append(Watched(printable(name), text, name in self._changed))
        return found

    def add_display(self, text: str, form: str) -> Display:
        """Show an expression at each stop."""
        display = Display(next(self._display_numbers), text, form)
        self.displays.append(display)
        return display

    # ---- names -------------------------------------------------------------------------------

    def read_names(self) -> None:
        """Take the names again that can be completed: symbols may have come."""
        if self.names and self._named_linux == self.guest.has_linux:
            return
        found = {name for image in self.guest.images for name in image.symbols.names()}
        self._named_linux = self.guest.has_linux
        if self._named_linux:
            try:
                found.update(self.guest.linux.kallsyms.names())
            except GuestdbgError:
                self._named_linux = False  # not yet: the next stop asks again
        self.names = tuple(sorted(name for name in found if name.isprintable()))


def _printable(line: Text) -> Text:
    """A line with names of the guest in it, safe on a terminal."""
    if line.plain.isascii() and line.plain.isprintable():
        return line
    return Text.assemble(*((printable(part.plain), part.style) for part in [line]))
