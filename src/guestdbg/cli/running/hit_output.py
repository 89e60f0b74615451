"""A hit as a line for people and as a JSON object for programs."""

from typing import Any

from rich.text import Text

from guestdbg.cli.running import disassembly
from guestdbg.debugger import Backtrace, Frame, Hit, Watch
from guestdbg.debugger.unwind.backtrace import repeated
from guestdbg.kvm import SupportsInstructionCount

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


def _plain(value: Any, data: bytes | None, point: Watch) -> int | float | str | None:
    if isinstance(value, bytes):
        return value.hex()
    if point.float_format is None or data is None:
        found: int | None = value
        return found
    return point.float_format.plain(int.from_bytes(data, "little"))


def retired(hit: Hit) -> int | None:
    """How many instructions the vCPU had retired; None if the provider does not count them."""
    provider = hit.provider
    return provider.instructions if isinstance(provider, SupportsInstructionCount) else None


def record(number: int, label: str, hit: Hit, backtrace: Backtrace | None) -> dict[str, Any]:
    """A hit as a JSON object: addresses and the syndrome as hexadecimal text, values as numbers.

    A value that is not 1, 2, 4 or 8 bytes long is its bytes in hexadecimal. JSON has no number for
    an infinity or a NaN: they are text, of a NaN with its fraction.
    """
    location = hit.location
    found: dict[str, Any] = {
        "event": "hit",
        "number": number,
        "point": label,
        "kind": "watch" if isinstance(hit.point, Watch) else "break",
        "count": hit.count,
        "vcpu": hit.vcpu.id,
        "instructions": retired(hit),
        "pc": f"{hit.pc:#x}",
        "instruction": disassembly.of_hit(hit),
        "function": location.function,
        "offset": location.offset if location.function is not None else None,
        "file": location.file,
        "line": location.line,
    }
    if isinstance(hit.point, Watch):
        found |= {
            "element": hit.element,
            "access": hit.access,
            "address": f"{hit.address:#x}",
            "size": hit.size,
            "old": _plain(hit.old, hit.old_bytes, hit.point),
            "new": _plain(hit.new, hit.new_bytes, hit.point),
        }
        if hit.device is not None:
            found["device"] = hit.device
        if hit.new is None and hit.new_reason is not None:
            found["new_reason"] = hit.new_reason
    if (task := hit.task) is not None:
        found["task"] = {
            "pid": task.pid,
            "tgid": task.tgid,
            "comm": task.comm,
            "context": task.context,
        }
    found["esr_el2"] = f"{hit.syndrome:#x}"
    if backtrace is not None:
        found["backtrace"] = frame_records(backtrace)
        found["backtrace_cut"] = backtrace.cut
    return found


def frame_records(backtrace: Backtrace) -> list[dict[str, Any]]:
    """The frames of a backtrace as JSON objects."""
    return [
        {
            "pc": f"{frame.pc:#x}",
            "function": frame.location.function,
            "file": frame.location.file,
            "line": frame.location.line,
            "inlined": frame.inlined,
        }
        for frame in backtrace
    ]
