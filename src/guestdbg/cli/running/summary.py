"""The end of `guestdbg run`: why it ended, how far the guest got, and the hits of each point."""

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from guestdbg.cli.running.terminal import Terminal
from guestdbg.debugger import Point, Watch


@dataclass(frozen=True)
class RunOutcome:
    """Why a run ended: a word for programs, a sentence for people, and the exit status."""

    reason: str
    text: str
    status: int = 0


@dataclass(frozen=True)
class Totals:
    """How far the guest got; `instructions` is None if the provider does not count them."""

    seconds: float
    instructions: int | None


def print_summary(
    terminal: Terminal, outcome: RunOutcome, totals: Totals, points: list[tuple[str, Point]]
) -> None:
    """Write the summary to the terminal."""
    text = Text(f"-- {outcome.text}", style="bold" if outcome.status == 0 else "bold red")
    text.append(f" ({_progress(totals)})", style="not bold dim")
    if not points:
        terminal.line(text)
        return
    rows = [("hits", "seen", "point")]
    for label, point in points:
        kind = "watch" if isinstance(point, Watch) else "break"
        rows.append((f"{point.hits:,}", f"{point.seen:,}", f"{kind} {label}"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"   {hits:>{widths[0]}}  {seen:>{widths[1]}}  {what}" for hits, seen, what in rows]
    lines += [
        f"   {label}: the condition had no value at {point.unavailable:,} of {point.seen:,}, "
        f"and was false there: {point.why_unavailable}"
        for label, point in points
        if point.unavailable
    ]
    terminal.line(text, Text(lines[0], "dim"), *(Text(line) for line in lines[1:]))


def _progress(totals: Totals) -> str:
    parts = [f"{totals.seconds:.2f} s"]
    if totals.instructions is not None:
        parts.append(f"{totals.instructions:,} instructions")
        if totals.seconds > 0.1:
            parts.append(f"{totals.instructions / totals.seconds / 1e6:,.0f} MIPS")
    return ", ".join(parts)


def record(outcome: RunOutcome, totals: Totals, points: list[tuple[str, Point]]) -> dict[str, Any]:
    """The last object of the log."""
    return {
        "event": "end",
        "reason": outcome.reason,
        "text": outcome.text,
        "status": outcome.status,
        "seconds": round(totals.seconds, 3),
        "instructions": totals.instructions,
        "points": [
            {
                "point": label,
                "hits": point.hits,
                "seen": point.seen,
                "unavailable": point.unavailable,
            }
            for label, point in points
        ],
    }
