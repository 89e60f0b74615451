"""The end of `guestdbg run`: why it ended, how far the guest got, and the hits of each point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.cli.running.styled_line import StyledLine

if TYPE_CHECKING:
    from guestdbg.cli.running.points import ArmedPoints
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Breakpoint, Guest, Watch

_INSTRUCTION = 4


class RunOutcome(NamedTuple):
    """Why a run ended: a word for programs, a sentence for people, and the exit status."""

    reason: str
    text: str
    status: int = 0


class Totals(NamedTuple):
    """How far the guest got; `instructions` is None if the provider does not count them."""

    seconds: float
    instructions: int | None


def print_summary(
    terminal: Terminal, guest: Guest, outcome: RunOutcome, totals: Totals, armed: ArmedPoints
) -> None:
    """Write the summary to the terminal."""
    text = StyledLine(f"-- {outcome.text}", "bold" if outcome.status == 0 else "bold red")
    text.append(f" ({_progress(totals)})", "not bold dim")
    lines = [text]
    if armed.points or armed.programs:
        rows = [_HEADER, *(row for label, point in armed.points for row in _rows(label, point))]
        rows += [(f"{each.hits:,}", "", "", "", f"exec {label}") for label, each in armed.programs]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for row in rows:
            hits, seen, address, size = (
                f"{word:>{width}}" for word, width in zip(row[:4], widths, strict=True)
            )
            style = "dim" if row is _HEADER else ""
            lines.append(StyledLine(f"   {hits}  {seen}  {address}  {size}  {row[4]}", style))
    lines += [StyledLine(f"   {note}") for note in _notes(guest, armed)]
    terminal.line(*lines)


_HEADER = ("hits", "seen", "address", "size", "point")


def _rows(label: str, point: Watch | Breakpoint) -> Iterator[tuple[str, ...]]:
    """The rows of a point: one for each of its addresses."""
    from guestdbg.debugger import Watch

    kind, size = ("watch", point.length) if isinstance(point, Watch) else ("break", _INSTRUCTION)
    counts = (f"{point.hits:,}", f"{point.seen:,}")
    for address in _addresses(point) or ("nowhere",):
        yield (*counts, address, f"{size:,}", f"{kind} {label}")
        counts, kind, label = ("", ""), "", ""


def _addresses(point: Watch | Breakpoint) -> list[str]:
    """Where a point is; empty if it is nowhere now."""
    from guestdbg.debugger import Breakpoint

    if isinstance(point, Breakpoint):
        return [f"{address:#x}" for address in point.addresses]
    return [f"{point.address:#x}"] if point.placed else []


def _notes(guest: Guest, armed: ArmedPoints) -> Iterator[str]:
    """What the counts do not say."""
    if missing := _unimplemented(guest):
        yield f"UNDEFINED to the guest: {'; '.join(missing)}"
    for text in guest.kernel_reports:
        yield f"the guest's kernel reported: {text}"
    if armed.waiting is not None:
        yield f"--after {armed.waiting} was never reached: nothing else was set"
    for label, program in armed.programs:
        if program.missed:
            yield f"{label}: no breakpoint register was left in {program.missed:,} processes"
    for label, point in armed.points:
        from guestdbg.debugger import FollowedWatch

        if isinstance(point, FollowedWatch) and point.moves:
            yield f"{label}: it moved {point.moves:,} times with its pointers"
        if point.task is not None:
            yield f"{label}: only in {point.task.describe()}"
        if point.unavailable:
            yield (
                f"{label}: the condition had no value at {point.unavailable:,} of "
                f"{point.seen:,}, and was false there: {point.why_unavailable}"
            )
        if not point.seen and (reason := guest.why_unreachable(point)) is not None:
            yield f"{label}: nothing could reach it at the end: {reason}"


def _unimplemented(guest: Guest) -> list[str]:
    """The instructions that the processor does not implement, each once."""
    return list(dict.fromkeys(it.summary for it in guest.messages.unimplemented))


def _progress(totals: Totals) -> str:
    parts = [f"{totals.seconds:.2f} s"]
    if totals.instructions is not None:
        parts.append(f"{totals.instructions:,} instructions")
        if totals.seconds > 0.1:
            parts.append(f"{totals.instructions / totals.seconds / 1e6:,.0f} MIPS")
    return ", ".join(parts)


def record(guest: Guest, outcome: RunOutcome, totals: Totals, armed: ArmedPoints) -> dict[str, Any]:
    """The last object of the log."""
    from guestdbg.debugger import Watch

    return {
        "event": "end",
        "reason": outcome.reason,
        "text": outcome.text,
        "status": outcome.status,
        "seconds": round(totals.seconds, 3),
        "instructions": totals.instructions,
        "unimplemented": _unimplemented(guest),
        "kernel_reports": list(guest.kernel_reports),
        "points": [
            {
                "point": label,
                "hits": point.hits,
                "seen": point.seen,
                "unavailable": point.unavailable,
                "addresses": _addresses(point),
                "size": point.length if isinstance(point, Watch) else _INSTRUCTION,
                "task": None if point.task is None else point.task.describe(),
                "unreachable": None if point.seen else guest.why_unreachable(point),
            }
            for label, point in armed.points
        ],
        "programs": [
            {"point": label, "hits": each.hits, "missed": each.missed}
            for label, each in armed.programs
        ],
        "waiting": armed.waiting,
    }
