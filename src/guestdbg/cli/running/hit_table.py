"""A hit as a row of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.cli.running.hit_output import retired
from guestdbg.debugger import Watch
from guestdbg.tables import Column
from guestdbg.terminal_text import disassembly

if TYPE_CHECKING:
    from guestdbg.debugger import Backtrace, Hit

__all__ = ["COLUMNS", "row"]

#: The columns of a log that is a table; `row` gives their values in this order.
COLUMNS = (
    Column("number", "u64", "of the hit, counted over all points from 1"),
    Column("point", "text", "the point, as it was written on the command line"),
    Column("kind", "text", "watch or break"),
    Column("count", "u64", "the point's hits with this one"),
    Column("vcpu", "u32", "number of the vCPU"),
    Column(
        "instructions",
        "u64",
        "how many the vCPU had retired",
        unit="instructions",
        optional=True,
    ),
    Column("pc", "u64", "the instruction that made the access, or comes next", unit="address"),
    Column("instruction", "text", "its disassembly", optional=True),
    Column("function", "text", "the function that it is in", optional=True),
    Column("offset", "u64", "how far from the function's start", unit="bytes", optional=True),
    Column("file", "text", "source file", optional=True),
    Column("line", "u32", "source line", optional=True),
    Column("element", "text", "variable, member or element that was accessed", optional=True),
    Column("access", "text", "read, write or readwrite", optional=True),
    Column("address", "u64", "the first watched byte accessed", unit="address", optional=True),
    Column("size", "u64", "how many watched bytes were accessed", unit="bytes", optional=True),
    Column("old", "u64", "the value before, as an unsigned integer", optional=True),
    Column("new", "u64", "the value after a write", optional=True),
    Column("old_float", "f64", "the value before, of a variable that is a float", optional=True),
    Column("new_float", "f64", "the value after a write", optional=True),
    Column("old_bytes", "text", "in hexadecimal, if not of 1, 2, 4 or 8 bytes", optional=True),
    Column("new_bytes", "text", "the bytes after a write", optional=True),
    Column("device", "text", "the device that made the access", optional=True),
    Column("pid", "u32", "Linux: PID of the task", optional=True),
    Column("tgid", "u32", "Linux: PID of its process", optional=True),
    Column("comm", "text", "Linux: name of the task", optional=True),
    Column("context", "text", "Linux: process, softirq, hardirq or nmi", optional=True),
    Column("syndrome", "u64", "ESR_EL2 of the exit"),
    Column("backtrace", "text", "functions, outermost first, with ; between", optional=True),
)
_ONLY_WATCH = 10
_WORD = (1 << 64) - 1


def row(number: int, label: str, hit: Hit, backtrace: Backtrace | None) -> tuple[Any, ...]:
    """The values of a hit, in the order of `COLUMNS`."""
    location, task = hit.location, hit.task
    function = location.function
    is_watch = isinstance(hit.point, Watch)
    return (
        number,
        label,
        "watch" if is_watch else "break",
        hit.count,
        hit.vcpu.id,
        retired(hit),
        hit.pc,
        disassembly.of_hit(hit),
        function,
        location.offset if function is not None else None,
        location.file,
        location.line,
        *(_access(hit, hit.point) if isinstance(hit.point, Watch) else (None,) * _ONLY_WATCH),
        hit.device,
        *((None,) * 4 if task is None else (task.pid, task.tgid, task.comm, task.context)),
        hit.syndrome,
        None if backtrace is None else _folded(backtrace),
    )


def _access(hit: Hit, point: Watch) -> tuple[Any, ...]:
    old, new = _value(hit.old, hit.old_bytes, point), _value(hit.new, hit.new_bytes, point)
    pairs = [value for both in zip(old, new, strict=True) for value in both]
    return hit.element, hit.access, hit.address, hit.size, *pairs


def _value(
    value: Any, data: bytes | None, point: Watch
) -> tuple[int | None, float | None, str | None]:
    """A value as an integer, as a float and as bytes: where it is none of these, None."""
    if isinstance(value, bytes):
        return None, None, value.hex()
    if value is None or data is None:
        return None, None, None
    if point.float_format is not None:
        word = int.from_bytes(data, "little")
        return word & _WORD, point.float_format.value(word), None
    return value & _WORD, None, None


def _folded(backtrace: Backtrace) -> str:
    names = [frame.location.function or f"{frame.pc:#x}" for frame in backtrace]
    return ";".join(reversed(names))
