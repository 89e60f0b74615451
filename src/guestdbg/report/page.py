"""The page: one file of HTML, with everything in it."""

from __future__ import annotations

import json
import math
import os
import re
from collections import defaultdict
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.report.coverage_data import coverage_data
from guestdbg.report.sources import Sources

if TYPE_CHECKING:
    from guestdbg.report.executed_lines import ExecutedLines
    from guestdbg.report.hits import HitRow, Hits

__all__ = ["page", "write_page"]

_EXACT = 1 << 53
#: So many places are in the tables at most.
_MOST_PLACES = 1000
_MOST_EVENTS = 200


def page(
    hits: Hits, sources: Sources | None = None, *, coverage: ExecutedLines | None = None
) -> str:
    """The page of a run. It loads nothing from elsewhere.

    Text of the guest is data of the page, never part of its HTML or script.
    """
    sources = sources or Sources()
    data = _data(hits, sources)
    data["coverage"] = None if coverage is None else coverage_data(coverage, sources)
    assets = files("guestdbg.report") / "assets"
    parts = {
        # Half a surrogate pair, of a name that is no UTF-8, cannot be in a file.
        "TITLE": escape(hits.title.encode("utf-8", "backslashreplace").decode()),
        "STYLE": (assets / "page.css").read_text("utf-8"),
        "SCRIPT": (assets / "page.js").read_text("utf-8"),
        "COVERAGE": (assets / "coverage.js").read_text("utf-8"),
        "DATA": _json(data),
    }
    template = (assets / "page.html").read_text("utf-8")
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda match: parts[match[1]], template)


def write_page(path: Path, text: str) -> None:
    """Write a page to a new file. Raises OSError if that exists, or cannot be written whole."""
    with open(path, "x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            os.unlink(path)
            raise


def _json(value: Any) -> str:
    """JSON that can be in a script element: no `</script>` and no `<!--`."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


class _Texts:
    """Texts, each of them once; a hit has its number."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int | None:
        return None if text is None else self.numbers.setdefault(text, len(self.numbers))


def _data(hits: Hits, sources: Sources) -> dict[str, Any]:
    texts = _Texts()
    columns: dict[str, list[Any]] = defaultdict(list)
    for row in hits.rows:
        _add(columns, row, texts)
    end = next((e for e in reversed(hits.events) if e.get("event") == "end"), None)
    others = [event for event in hits.events if event.get("event") != "end"]
    return {
        "title": hits.title,
        "total": hits.total,
        "end": _shown_end(end),
        "events": [str(event.get("text") or event.get("event")) for event in others][:_MOST_EVENTS],
        "incomplete": hits.incomplete,
        "hits": {name: _packed(values) for name, values in columns.items()},
        "places": _places(hits),
        "sources": _sources(hits, sources),
        "texts": list(texts.numbers),
    }


def _packed(values: list[Any]) -> list[Any]:
    """A column without values is empty."""
    return values if any(value is not None for value in values) else []


def _add(columns: dict[str, list[Any]], row: HitRow, texts: _Texts) -> None:
    number = texts.number
    frames = [[number(f.function or "?"), number(f.file), f.line] for f in row.backtrace]
    for name, value in (
        ("number", row.number),
        ("point", number(row.point)),
        ("kind", number(row.kind)),
        ("vcpu", row.vcpu),
        ("time", _value(row.instructions)),
        ("pc", number(f"{row.pc:#x}")),
        ("instruction", number(row.instruction)),
        ("function", number(row.function)),
        ("offset", row.offset),
        ("file", number(row.file)),
        ("line", row.line),
        ("element", number(row.element)),
        ("access", number(row.access)),
        ("address", number(None if row.address is None else f"{row.address:#x}")),
        ("size", row.size),
        ("old", _value(row.old)),
        ("new", _value(row.new)),
        ("device", number(row.device)),
        ("task", number(row.task)),
        ("context", number(row.context)),
        ("backtrace", number(json.dumps(frames)) if frames else None),
    ):
        columns[name].append(value)


def _value(value: int | float | str | None) -> int | float | str | None:
    """A value as the page has it: what a number of JavaScript cannot hold is text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and abs(value) >= _EXACT:
        return str(value)
    return value


def _shown_end(end: dict[str, Any] | None) -> dict[str, Any] | None:
    if end is None:
        return None
    points = end.get("points")
    return {
        "text": str(end.get("text")),
        "instructions": end.get("instructions"),
        "seconds": end.get("seconds"),
        "points": [
            [str(point.get("point")), point.get("hits"), point.get("seen")]
            for point in (points if isinstance(points, list) else [])
            if isinstance(point, dict)
        ],
    }


def _places(hits: Hits) -> list[list[Any]]:
    return [[*place, count] for place, count in hits.by_place.most_common(_MOST_PLACES)]


def _sources(hits: Hits, sources: Sources) -> list[list[Any]]:
    """Of each file: its name, the count of each line that was hit, and lines of its text."""
    counts: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for (_function, file, line, _point, _access), count in hits.by_place.most_common(_MOST_PLACES):
        if file is not None and line is not None:
            counts[file][line] += count
    return [
        [file, sorted(lines.items()), sources.lines(file, lines)]
        for file, lines in sorted(counts.items(), key=lambda item: -sum(item[1].values()))
    ]
