"""The results of a fault campaign: by source line, by model, and those of one outcome."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from guestdbg.campaign import Campaign, CampaignError
from guestdbg.faults.job import FAULT_COLUMNS
from guestdbg.faults.outcomes import ORDER
from guestdbg.tables import library

__all__ = ["FaultCampaign", "Found", "LineOutcomes"]


@dataclass(frozen=True, slots=True)
class LineOutcomes:
    """What the faults at one source line led to.

    Attributes:
        file, line: the line; None: the instruction at ``symbol`` has none.
        symbol: the first instruction with a fault, by name.
        outcomes: how many cases have each outcome.
    """

    file: str | None
    line: int | None
    symbol: str
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def cases(self) -> int:
        """How many there are."""
        return self.outcomes.total()

    @property
    def source(self) -> str:
        """``file:line``, or the symbol."""
        if self.file is None:
            return self.symbol
        return f"{self.file.rpartition('/')[2]}:{self.line}"


@dataclass(frozen=True, slots=True)
class Found:
    """Faults of one model at one instruction that led to one outcome.

    Attributes:
        outcome, model: the outcome and the model.
        symbol, file, line, pc, instruction: where.
        what: the targets and bits, such as ``"x0 bits 0-3, 7"``; "": nothing more to say.
        times: at how many of its executions.
        cases: how many faults that are.
        case: the number of the first of them.
        at: instructions up to that one.
    """

    outcome: str
    model: str
    symbol: str
    file: str | None
    line: int | None
    pc: int
    instruction: str
    what: str
    times: int
    cases: int
    case: int
    at: int

    @property
    def where(self) -> str:
        """The symbol, with file and line."""
        if self.file is None:
            return self.symbol
        return f"{self.symbol} ({self.file.rpartition('/')[2]}:{self.line})"


class FaultCampaign(Campaign):
    """A campaign whose cases are faults; ``guest.fault_campaign`` makes one.

    ``FaultCampaign(directory)`` is one that was made, also while it runs. Nothing of it is
    executed to read its results. Its table has, beside the columns of each campaign of a guest, the
    fault of each case: ``fault_at``, ``fault_pc``, ``symbol``, ``file``, ``line``,
    ``instruction``, ``model``, ``target`` and ``bit``.

    Raises:
        CampaignError: there is none, or its cases are no faults.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        super().__init__(directory)
        names = [column.name for column in self.manifest.columns]
        if not all(column.name in names for column in FAULT_COLUMNS):
            raise CampaignError(f"{directory}: the cases of this campaign are no faults")

    def outcomes(self) -> Counter[str]:
        """How many cases have each outcome, the worst first."""
        counts = self.summary().counts
        return Counter({name: counts[name] for name in in_order(counts)})

    def failed_outcomes(self) -> Sequence[str]:
        """The outcomes that are failures and have cases, the worst first."""
        rows = self._counted("outcome", "failure")
        return in_order({outcome: count for outcome, failure, count in rows if failure})

    def by_model(self) -> Mapping[str, Counter[str]]:
        """The same of each fault model."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for model, outcome, count in self._counted("model", "outcome"):
            found[model][outcome] = count
        return dict(found)

    def by_line(self) -> Sequence[LineOutcomes]:
        """What the faults at each source line led to, by file and line.

        Instructions without a line have an entry each.
        """
        table = self._counted("file", "line", "symbol", "outcome", first="fault_pc")
        found: dict[tuple[str | None, int | None, str], LineOutcomes] = {}
        for file, line, symbol, outcome, count, _ in sorted(table, key=lambda row: row[-1]):
            key = (file, line, "" if line is not None else symbol)
            if key not in found:
                found[key] = LineOutcomes(file, line, symbol)
            found[key].outcomes[outcome] += count
        order = {each.file: n for n, each in reversed(list(enumerate(found.values())))}
        return sorted(found.values(), key=lambda e: (order[e.file], e.line or 0))

    def found(self, *outcomes: str) -> Sequence[Found]:
        """The faults that led to these outcomes, those of one model at one instruction together."""
        arrow, compute = (
            library(n, "the results of faults") for n in ("pyarrow", "pyarrow.compute")
        )
        table = self.to_arrow()
        wanted = compute.is_in(
            table.column("outcome").cast(arrow.string()), value_set=arrow.array(outcomes)
        )
        groups: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
        for row in table.filter(wanted).to_pylist():
            groups[row["outcome"], row["model"], row["fault_pc"]].append(row)
        found = [_found(rows) for rows in groups.values()]
        place = {outcome: n for n, outcome in enumerate(outcomes)}
        return sorted(found, key=lambda each: (place[each.outcome], each.case))

    def _counted(self, *columns: str, first: str = "") -> list[tuple[Any, ...]]:
        """Rows of these columns, each with how many cases have it (and the least of ``first``)."""
        of = [("case", "count")] + ([(first, "min")] if first else [])
        names = [*columns, "case_count", *([f"{first}_min"] if first else [])]
        table = self.to_arrow().group_by(list(columns)).aggregate(of)
        return list(zip(*(table.column(name).to_pylist() for name in names), strict=True))

    def text(self, sources: Sequence[str | os.PathLike[str]] = (), *, width: int = 80) -> str:
        """What the faults led to by source line, as text of at most ``width`` columns.

        ``sources`` are folders with the source files that are shown.
        """
        # report is a layer above this one: it is imported only where something is shown.
        module = import_module("guestdbg.report")
        text: str = module.fault_text(self, module.Sources([Path(e) for e in sources]), width)
        return text

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        title: str | None = None,
        sources: Sequence[str | os.PathLike[str]] = (),
    ) -> str:
        """The same as a page of HTML, which is also written to ``path``, a new file.

        Raises OSError if that exists, or cannot be written.
        """
        module = import_module("guestdbg.report")
        folders = module.Sources([Path(each) for each in sources])
        text: str = module.fault_page(self, folders, title=title)
        if path is not None:
            module.write_page(Path(path), text)
        return text


def in_order(outcomes: Mapping[str, int]) -> list[str]:
    """Names of outcomes, the worst first; those of the user after the success of an attack."""
    known = {name: n for n, name in enumerate(ORDER)}
    return sorted(outcomes, key=lambda name: (known.get(name, 0.5), name))


def _found(rows: Sequence[Mapping[str, Any]]) -> Found:
    first = min(rows, key=lambda row: row["case"])
    bits: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        bits[row["target"]].update([] if row["bit"] is None else [row["bit"]])
    what = [" ".join(filter(None, (target, _spans(found)))) for target, found in bits.items()]
    return Found(
        first["outcome"],
        first["model"],
        first["symbol"],
        first["file"],
        first["line"],
        first["fault_pc"],
        first["instruction"],
        ", ".join(filter(None, what)),
        len({row["fault_at"] for row in rows}),
        len(rows),
        first["case"],
        first["fault_at"],
    )


def _spans(bits: set[int]) -> str:
    """``bit 3``, ``bits 0-3, 7``."""
    spans: list[list[int]] = []
    for bit in sorted(bits):
        if spans and spans[-1][1] == bit - 1:
            spans[-1][1] = bit
        else:
            spans.append([bit, bit])
    if not spans:
        return ""
    texts = [f"{a}" if a == b else f"{a}-{b}" for a, b in spans]
    return f"bit{'s' if len(bits) > 1 else ''} {', '.join(texts)}"
