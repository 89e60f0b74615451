"""The messages of OutOfRegisters: who takes the debug registers, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.arm64.debug import Privilege
from guestdbg.debugger.hardware.watched_ranges import share_registers
from guestdbg.kvm.table_filters import Tables

if TYPE_CHECKING:
    from guestdbg.debugger.hardware.watched_ranges import WatchedRange

__all__ = ["BreakpointKey", "breakpoint_shortage", "context_shortage", "watchpoint_shortage"]

#: Address, Exception level, context and tables of a breakpoint.
BreakpointKey = tuple[int, Privilege, int | None, Tables | None]


def context_shortage(contexts: Sequence[int], context_aware: int, total: int) -> str:
    """Why so many contexts do not fit."""
    return (
        f"{len(contexts)} contexts are asked for ("
        + ", ".join(f"{c:#x}" for c in contexts)
        + f"), and only {context_aware} of the {total} breakpoint registers can match one"
    )


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def watchpoint_shortage(needed: int, available: int, ranges: Sequence[WatchedRange]) -> str:
    """Why these ranges do not fit: who takes how many registers, and what would be enough."""
    lines = [
        f"{_plural(needed, 'watchpoint register')} would be needed, and this guest has {available}:"
    ]
    for watched in ranges:
        count = watched.registers
        why = ""
        if count > 1:
            why = ": " + _why_split(watched.start, watched.length)
        lines.append(
            f"  {', '.join(watched.names)}: {_plural(watched.length, 'byte')} "
            f"at {watched.start:#x}, {_plural(count, 'register')}{why}"
        )
    if any(p.registers > 1 for p in ranges):
        lines.append(
            "one register watches up to 8 bytes within a doubleword, or an aligned power of two "
            "from 16 bytes to 2 GiB"
        )
    enough = _enough(list(ranges), available)
    lines.append(
        "watch less"
        + (
            f", or let one register watch more than was asked (overwatch={enough} bytes would do); "
            "accesses to the other bytes then stop the guest and are not reported"
            if enough
            else ""
        )
    )
    return "\n".join(lines)


def _enough(ranges: list[WatchedRange], available: int) -> int | None:
    """The least power of two that ``overwatch`` would have to be; None where none would do."""
    for bits in range(3, 17):
        shared = share_registers(ranges, available, 1 << bits)
        if sum(p.registers for p in shared) <= available:
            return 1 << bits
    return None


def _why_split(start: int, length: int) -> str:
    if length // arm64_debug.MAX_MASK_BYTES > 64:
        return f"2 GiB each at most, and the range has {length / 2**30:.0f} GiB"
    parts = arm64_debug.split(start, length)
    shown = ", ".join(f"{a:#x}+{n}" for a, n in parts[:6])
    return shown + (", …" if len(parts) > 6 else "")


def breakpoint_shortage(
    total: int,
    breakpoints: Mapping[BreakpointKey, Sequence[str]],
    contexts: Sequence[int],
) -> str:
    """Why these breakpoints do not fit, with those who take the registers."""
    needed = len(breakpoints) + len(contexts)
    lines = [
        f"{_plural(needed, 'breakpoint register')} would be needed, and this guest has {total}:"
    ]
    lines += [f"  {', '.join(names)}: {a:#x}" for (a, _el, _c, _t), names in breakpoints.items()]
    lines += [f"  context {c:#x}, which breakpoints or watches are bound to" for c in contexts]
    lines.append("delete or disable some, or ask for software ones (kind='software')")
    return "\n".join(lines)
