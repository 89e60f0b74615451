"""A hit as a JSON object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.debugger import Watch
from guestdbg.kvm import SupportsInstructionCount
from guestdbg.terminal_text import disassembly

if TYPE_CHECKING:
    from guestdbg.debugger import Backtrace, Hit


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
