"""The end of `guestdbg run`: why it ended, how far the guest came, what was hit how often."""

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from guestdbg.cli.terminal import Terminal
from guestdbg.debugger import Point, Watch


@dataclass(frozen=True)
class Ending:
    """Why the run ended: a word for programs, a sentence for people, the exit status."""

    reason: str
    text: str
    status: int = 0


@dataclass(frozen=True)
class Totals:
    """How far the guest came; `instructions` is None where the provider does not count."""

    seconds: float
    instructions: int | None


def print_summary(
    terminal: Terminal, ending: Ending, totals: Totals, points: list[tuple[str, Point]]
) -> None:
    """Writes the summary to the terminal."""
    text = Text(f"-- {ending.text}", style="bold" if ending.status == 0 else "bold red")
    text.append(f" ({_far(totals)})", style="not bold dim")
    if not points:
        terminal.line(text)
        return
    rows = [("hits", "seen", "point")]
    for label, point in points:
        kind = "watch" if isinstance(point, Watch) else "break"
        rows.append((f"{point.hits:,}", f"{point.seen:,}", f"{kind} {label}"))
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"   {hits:>{wide[0]}}  {seen:>{wide[1]}}  {what}" for hits, seen, what in rows]
    terminal.line(text, Text(lines[0], "dim"), *(Text(line) for line in lines[1:]))


def _far(totals: Totals) -> str:
    parts = [f"{totals.seconds:.2f} s"]
    if totals.instructions is not None:
        parts.append(f"{totals.instructions:,} instructions")
        if totals.seconds > 0.1:
            parts.append(f"{totals.instructions / totals.seconds / 1e6:,.0f} MIPS")
    return ", ".join(parts)


def record(ending: Ending, totals: Totals, points: list[tuple[str, Point]]) -> dict[str, Any]:
    """The last line of the log."""
    return {
        "event": "end",
        "reason": ending.reason,
        "text": ending.text,
        "status": ending.status,
        "seconds": round(totals.seconds, 3),
        "instructions": totals.instructions,
        "points": [
            {"point": label, "hits": point.hits, "seen": point.seen} for label, point in points
        ],
    }
