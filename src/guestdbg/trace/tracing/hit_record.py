"""A hit as an event's detail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guestdbg.debugger import Watch
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger import Hit

__all__ = ["hit_record"]


def hit_record(hit: Hit) -> dict[str, Any]:
    """The members that a hit has in the lines of ``--log``: see docs/cli.md."""
    location = hit.location
    found: dict[str, Any] = {
        "point": hit.point.name,
        "kind": "watch" if isinstance(hit.point, Watch) else "break",
        "count": hit.count,
        "vcpu": hit.vcpu.id,
        "pc": f"{hit.pc:#x}",
        "function": location.function,
        "file": location.file,
        "line": location.line,
    }
    if isinstance(hit.point, Watch):
        found |= {
            "element": hit.element,
            "access": hit.access,
            "address": f"{hit.address:#x}",
            "size": hit.size,
            "old": _plain(hit.old),
            "new": _plain(hit.new),
        }
    try:
        task = hit.task
    except GuestdbgError:
        task = None
    if task is not None:
        found["task"] = {"pid": task.pid, "comm": task.comm}
    return found


def _plain(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value
