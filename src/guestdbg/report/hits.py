"""Hits as columns: what a page shows, from whatever made them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["MOST_HITS", "Frame", "HitRow", "Hits"]

#: So many hits are on a page at most: a browser takes a second for them. All are counted.
MOST_HITS = 200_000

Value = int | float | str | None


@dataclass(frozen=True, slots=True)
class Frame:
    """A caller."""

    function: str | None
    file: str | None
    line: int | None


@dataclass(slots=True)
class HitRow:
    """One hit, as a log has it.

    Attributes:
        instructions: how many the vCPU had retired; None: that is not known.
        task: what Linux calls the task, ``"sh (117)"``.
        backtrace: the frames, innermost first.
    """

    number: int
    point: str
    kind: str
    vcpu: int
    instructions: int | None
    pc: int
    instruction: str | None = None
    function: str | None = None
    offset: int | None = None
    file: str | None = None
    line: int | None = None
    element: str | None = None
    access: str | None = None
    address: int | None = None
    size: int | None = None
    old: Value = None
    new: Value = None
    device: str | None = None
    task: str | None = None
    context: str | None = None
    backtrace: Sequence[Frame] = ()


@dataclass
class Hits:
    """The hits of a run.

    Attributes:
        title: what the page is called.
        rows: the first ``MOST_HITS`` of them.
        total: how many there were.
        by_place: how often each (function, file, line, point, access) was hit, over all.
        events: the other events of the log, in their order; the last one says how the run ended.
        incomplete: why the log ends early; None: it does not.
    """

    title: str
    rows: list[HitRow] = field(default_factory=list)
    total: int = 0
    by_place: Counter[tuple[str | None, str | None, int | None, str, str | None]] = field(
        default_factory=Counter
    )
    events: list[dict[str, Any]] = field(default_factory=list)
    incomplete: str | None = None

    def add(self, row: HitRow) -> None:
        """Add a hit."""
        self.total += 1
        self.by_place[row.function, row.file, row.line, row.point, row.access] += 1
        if len(self.rows) < MOST_HITS:
            self.rows.append(row)
