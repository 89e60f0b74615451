"""The part of a page's data that is about coverage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guestdbg.report.executed_lines import ExecutedLines
    from guestdbg.report.sources import Sources

__all__ = ["MOST_FUNCTIONS", "MOST_LINES", "coverage_data"]

#: So many lines with code, and functions, are on a page at most; the totals are of all.
MOST_LINES = 100_000
MOST_FUNCTIONS = 2000
_EXACT = 1 << 53


def coverage_data(coverage: ExecutedLines, sources: Sources) -> dict[str, Any]:
    """The files, those with most executed lines first, with their text, and the functions."""
    files = sorted(coverage.lines.items(), key=lambda item: (-_executed(item[1]), item[0]))
    room = MOST_LINES
    shown = []
    for file, counts in files:
        room -= len(counts)
        if room < 0:
            break
        lines = [[line, _number(count)] for line, count in sorted(counts.items())]
        shown.append([file, _executed(counts), lines, sources.lines(file, counts)])
    functions = sorted(coverage.functions, key=lambda f: (-f.count, -f.executed, f.address))
    return {
        "counted": coverage.counted,
        "complete": coverage.complete,
        "files": shown,
        "moreFiles": len(files) - len(shown),
        "lines": sum(map(len, coverage.lines.values())),
        "executedLines": sum(map(_executed, coverage.lines.values())),
        "functions": [
            [f.name, _number(f.count), f.executed, (f.size + 3) // 4, f.file, f.line]
            for f in functions[:MOST_FUNCTIONS]
        ],
        "allFunctions": len(functions),
        "executedFunctions": sum(f.executed > 0 for f in functions),
    }


def _executed(counts: dict[int, int]) -> int:
    return sum(count > 0 for count in counts.values())


def _number(count: int) -> int | str:
    """What a number of JavaScript cannot hold is text."""
    return count if count < _EXACT else str(count)
