"""What the faults of a campaign led to, as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.faults import FaultCampaign, Found, LineOutcomes
    from guestdbg.report.sources import Sources

__all__ = ["fault_text"]

#: So many faults are listed.
_SHOWN = 40
_NUMBER = 7


def fault_text(campaign: FaultCampaign, sources: Sources, width: int = 80) -> str:
    """By model, by source line, and the faults that are failures; at most ``width`` columns."""
    lines = [(campaign.manifest.title or str(campaign.directory))[:width]]
    for name, text in campaign.manifest.about.items():
        lines += textwrap.wrap(
            f"{name}: {text}", width, initial_indent="  ", subsequent_indent="    "
        )
    outcomes = campaign.outcomes()
    if not outcomes:
        return "\n".join(map(_printable, [*lines, "no case has a result yet"]))
    table = _Table(list(outcomes), width)
    lines += ["", *table.head("by model")]
    lines += [table.row(counts, model) for model, counts in campaign.by_model().items()]
    lines += ["", *table.head("by source line")]
    lines += _by_line(campaign.by_line(), table, sources)
    failures = campaign.failed_outcomes()
    if failures:
        lines += ["", *_faults(campaign.found(*failures), width)]
    return "\n".join(map(_printable, lines))


def _printable(line: str) -> str:
    """Names of a guest may have what would control a terminal."""
    return "".join(c if c.isprintable() else " " if c == "\t" else "?" for c in line)


class _Table:
    """Rows with a number for each outcome, and text after them."""

    def __init__(self, outcomes: Sequence[str], width: int) -> None:
        self._outcomes = outcomes
        self._width = width
        self._words = [name.split() for name in outcomes]
        self._columns = [1 + max(_NUMBER - 1, *map(len, words)) for words in self._words]

    def head(self, text: str) -> Iterator[str]:
        """The names of the columns, a word in each line."""
        height = max(map(len, self._words))
        for n in range(height):
            words = [[""] * (height - len(words)) + words for words in self._words]
            yield self._joined([each[n] for each in words], text if n == height - 1 else "")

    def row(self, counts: dict[str, int], text: str) -> str:
        """A row; 0 is a dot."""
        values = [counts.get(name, 0) for name in self._outcomes]
        return self._joined([f"{value:,}" if value else "." for value in values], text)

    def _joined(self, cells: Sequence[str], text: str) -> str:
        row = "".join(cell.rjust(size) for cell, size in zip(cells, self._columns, strict=True))
        return f"{row}  {text}"[: self._width].rstrip()


def _by_line(found: Sequence[LineOutcomes], table: _Table, sources: Sources) -> Iterator[str]:
    files: dict[str | None, list[LineOutcomes]] = {}
    for each in found:
        files.setdefault(each.file, []).append(each)
    for file, lines in files.items():
        texts = {}
        if file is not None:
            texts = dict(sources.lines(file, [each.line or 0 for each in lines]))
            yield file
        for each in lines:
            text = texts.get(each.line or 0, "").strip() or each.symbol
            yield table.row(each.outcomes, text if each.line is None else f"{each.line:>4} {text}")


def _faults(found: Sequence[Found], width: int) -> Iterator[str]:
    outcome = ""
    for each in found[:_SHOWN]:
        if each.outcome != outcome:
            outcome = each.outcome
            yield f"{outcome}:"
        text = f"case {each.case}: {each.model} at {each.where}: {each.instruction}"
        text += f"; {each.what}" if each.what else ""
        text += "" if each.times == 1 else f"; at {each.times:,} executions"
        yield from textwrap.wrap(text, width, initial_indent="  ", subsequent_indent="      ")
    if len(found) > _SHOWN:
        yield f"  and {len(found) - _SHOWN:,} more places"
