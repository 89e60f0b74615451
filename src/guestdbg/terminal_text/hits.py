"""Hits and backtraces as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from guestdbg.debugger import Watch
from guestdbg.debugger.unwind.backtrace import repeated
from guestdbg.terminal_text import disassembly

if TYPE_CHECKING:
    from guestdbg.debugger import Backtrace, Frame, Hit

__all__ = ["frames", "line", "value"]

# Larger numbers are shown in hexadecimal: more often than not they are addresses or flags.
_HEXADECIMAL_FROM = 1 << 16


def value(value: int | bytes | None) -> str:
    """A value that is not a float as text for people."""
    if value is None:
        return "?"
    if isinstance(value, bytes):
        return value.hex(" ")
    return f"{value:#x}" if value >= _HEXADECIMAL_FROM else str(value)


def line(number: int, name: str, hit: Hit) -> Text:
    """A hit on one line: `#3 write queue.tail  12 -> 951  in note_worst …`."""
    text = Text()
    text.append(f"#{number} ", style="bold yellow")
    if isinstance(hit.point, Watch):
        text.append(f"{hit.access} ", style="cyan")
        text.append(hit.shown_name if hit.element else name, style="bold")
        _append_values(text, hit)
        if hit.device is not None:
            text.append(f"  by {hit.device}", style="bold green")
    else:
        text.append("break ", style="cyan")
        text.append(name, style="bold")
    location = hit.location
    if location.function is not None:
        text.append("  in " if hit.device is None else "  during ")
        text.append(location.symbolic, style="bold green")
    if location.source is not None:
        text.append(f" ({location.source})", style="green")
    text.append(f"  pc {hit.pc:#x}", style="dim")
    if (instruction := disassembly.of_hit(hit)) is not None:
        text.append(f": {instruction}", style="dim")
    if isinstance(hit.point, Watch):
        text.append(f"  {hit.size} byte{'s' * (hit.size != 1)} at {hit.address:#x}", style="dim")
    if hit.vcpu.id:
        text.append(f"  vcpu {hit.vcpu.id}", style="dim")
    if (task := hit.task) is not None:
        text.append(f"  task {task}", style="dim")
    return text


def _append_values(text: Text, hit: Hit) -> None:
    floats = hit.float_texts
    old = value(hit.element_old) if floats is None else floats[0] or "?"
    if hit.access == "read":
        text.append(f"  {old}", style="bold magenta")
        return
    if hit.new is None:
        text.append(f"  {old}, not written: {hit.new_reason}", style="magenta")
        return
    new = value(hit.element_new) if floats is None else floats[1] or "?"
    text.append(f"  {old} -> {new}", style="bold magenta")


def frames(backtrace: Backtrace) -> Text:
    """The callers, one indented line for each; the innermost frame is on the hit's own line.

    Those of a recursion are shown once, with how often they repeat; a last line says why the
    backtrace is cut.
    """
    lines: list[Text] = []
    for run, times in backtrace.runs():
        lines += [_caller(frame) for frame in run if frame.number]
        if times > 1:
            lines.append(Text(f"     {repeated(len(run), times)}", style="dim"))
    if backtrace.cut is not None:
        lines.append(Text(f"     ({backtrace.cut})", style="dim"))
    return Text("\n").join(lines)


def _caller(frame: Frame) -> Text:
    # The source line says where the call is; the offset within the caller adds nothing.
    text = Text(f"     called by {frame.location.function or frame.location.symbolic}", "green")
    if frame.location.source is not None:
        text.append(f" ({frame.location.source})", style="green")
    text.append(f"  {frame.pc:#x}", style="dim")
    if frame.inlined:
        text.append("  inlined", style="dim")
    return text
