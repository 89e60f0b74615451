"""What the faults of a campaign led to, as one page of HTML. It has no script."""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from guestdbg.report.sources import Sources

if TYPE_CHECKING:
    from guestdbg.faults import FaultCampaign, Found, LineOutcomes

__all__ = ["fault_page"]

#: So many places are listed of each outcome, and so many lines with faults are shown.
_MOST_PLACES = 500
_MOST_LINES = 5000
#: Colours of page.css, by outcome.
_COLOURS = {
    "success": "c1",
    "other output": "c4",
    "crash": "c3",
    "hang": "c5",
    "detected": "c2",
    "no effect": "none",
}
_OTHER_COLOURS = ("c0", "c6", "c7")


def fault_page(
    campaign: FaultCampaign, sources: Sources | None = None, *, title: str | None = None
) -> str:
    """The page. Text of the guest is text of the page, never part of its HTML."""
    sources = sources or Sources()
    title = title or campaign.manifest.title or campaign.directory.name
    outcomes = campaign.outcomes()
    assets = files("guestdbg.report") / "assets"
    style = (assets / "page.css").read_text("utf-8") + (assets / "faults.css").read_text("utf-8")
    parts = [_HEAD.format(title=_text(title), style=style), *_about(campaign, title)]
    parts += _section("Outcomes", _by_model(campaign.by_model(), outcomes))
    chosen = [name for name in outcomes if name != "no effect"]
    found = campaign.found(*chosen) if chosen else []
    parts += _section("Source lines", _by_line(campaign.by_line(), outcomes, found, sources))
    for name in campaign.failed_outcomes():
        listed = [each for each in found if each.outcome == name]
        parts += _section(f"Faults that led to “{name}”", _places(listed))
    return "\n".join([*parts, "</main>\n</body>\n</html>\n"])


_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="faults">"""


def _text(text: str) -> str:
    # Half a surrogate pair, of a name that is no UTF-8, cannot be in a file.
    return escape(text.encode("utf-8", "backslashreplace").decode())


def _about(campaign: FaultCampaign, title: str) -> Iterator[str]:
    yield f"<header>\n<h1>{_text(title)}</h1>\n<ul>"
    summary = campaign.summary()
    of = "" if summary.complete or summary.cases is None else f" of {summary.cases:,}"
    yield f"<li>{summary.done:,}{of} cases</li>"
    for name, text in campaign.manifest.about.items():
        yield f"<li>{_text(name)}: {_text(text)}</li>"
    yield "</ul>\n</header>\n<main>"


def _section(title: str, rows: Iterator[str]) -> Iterator[str]:
    yield f"<section>\n<h2>{_text(title)}</h2>"
    yield from rows
    yield "</section>"


def _colour(outcome: str) -> str:
    number = zlib.crc32(outcome.encode("utf-8", "replace"))
    return _COLOURS.get(outcome) or _OTHER_COLOURS[number % len(_OTHER_COLOURS)]


def _head_of(outcomes: Mapping[str, int], last: str) -> str:
    cells = [
        f'<th class="number"><span class="key {_colour(name)}"></span>{_text(name)}</th>'
        for name in outcomes
    ]
    return f"<thead><tr>{''.join(cells)}{last}</tr></thead>"


def _cells(counts: Mapping[str, int], outcomes: Mapping[str, int]) -> str:
    return "".join(
        f'<td class="number{"" if counts.get(name) else " nothing"}">{counts.get(name, 0):,}</td>'
        for name in outcomes
    )


def _bar(counts: Mapping[str, int], outcomes: Mapping[str, int]) -> str:
    total = sum(counts.values()) or 1
    parts = [
        f'<span class="{_colour(name)}" style="width:{100 * counts[name] / total:.2f}%" '
        f'title="{_text(name)}: {counts[name]:,}"></span>'
        for name in outcomes
        if counts.get(name)
    ]
    return f'<span class="share">{"".join(parts)}</span>'


def _by_model(
    models: Mapping[str, Mapping[str, int]], outcomes: Mapping[str, int]
) -> Iterator[str]:
    yield f'<div class="wide"><table>{_head_of(outcomes, "<th></th><th>fault model</th>")}<tbody>'
    for model, counts in models.items():
        bar = f"<td>{_bar(counts, outcomes)}</td>"
        yield f"<tr>{_cells(counts, outcomes)}{bar}<td>{_text(model)}</td></tr>"
    yield "</tbody></table></div>"


def _by_line(
    lines: Sequence[LineOutcomes],
    outcomes: Mapping[str, int],
    found: Sequence[Found],
    sources: Sources,
) -> Iterator[str]:
    if len(lines) > _MOST_LINES:
        yield f"<p>The first {_MOST_LINES:,} of {len(lines):,} lines with faults.</p>"
    by_place: dict[tuple[str | None, int | None, str], list[Found]] = defaultdict(list)
    for each in found:
        key = (each.file, each.line, "" if each.line is not None else each.symbol)
        by_place[key].append(each)
    grouped: dict[str | None, list[LineOutcomes]] = defaultdict(list)
    for line in lines[:_MOST_LINES]:
        grouped[line.file].append(line)
    width = len(outcomes) + 3
    for file, some in grouped.items():
        yield f"<h3>{_text(file or 'Instructions without a source line')}</h3>"
        yield '<div class="source"><table>'
        yield _head_of(outcomes, "<th></th><th></th><th></th>") + "<tbody>"
        texts = {}
        if file is not None:
            texts = dict(sources.lines(file, [each.line or 0 for each in some]))
        at = {each.line: each for each in some if each.line is not None}
        for number in sorted({*texts, *at}):
            text = texts.get(number, "")
            if number not in at:
                yield f'<tr><td colspan="{len(outcomes) + 1}"></td>{_code(number, text)}</tr>'
                continue
            yield _line(at[number], outcomes, _code(number, text or at[number].symbol))
            yield from _details(by_place[file, number, ""], width)
        for line in some:
            if line.line is None:
                yield _line(line, outcomes, f"<td></td><td>{_text(line.symbol)}</td>")
                yield from _details(by_place[file, None, line.symbol], width)
        yield "</tbody></table></div>"


def _code(number: int, text: str) -> str:
    return f'<td class="number">{number}</td><td>{_text(text)}</td>'


def _line(line: LineOutcomes, outcomes: Mapping[str, int], code: str) -> str:
    worst = next(name for name in outcomes if line.outcomes.get(name))
    cells, bar = _cells(line.outcomes, outcomes), _bar(line.outcomes, outcomes)
    return f'<tr class="at worst-{_colour(worst)}">{cells}<td>{bar}</td>{code}</tr>'


def _details(found: Sequence[Found], width: int) -> Iterator[str]:
    if not found:
        return
    counts: dict[str, int] = defaultdict(int)
    for each in found:
        counts[each.outcome] += each.cases
    summary = ", ".join(f"{_text(name)} {count:,}" for name, count in counts.items())
    items = "".join(
        f"<li>{_text(each.outcome)}: {_item(each)}</li>" for each in found[:_MOST_PLACES]
    )
    if len(found) > _MOST_PLACES:
        items += f"<li>and {len(found) - _MOST_PLACES:,} more</li>"
    yield (
        f'<tr><td colspan="{width}"><details><summary>{summary}</summary><ul>{items}</ul></details>'
        "</td></tr>"
    )


def _item(each: Found) -> str:
    what = f"; {_text(each.what)}" if each.what else ""
    times = "" if each.times == 1 else f"; at {each.times:,} executions"
    return (
        f"{_text(each.model)} at {_text(each.symbol)} <code>{_text(each.instruction)}</code>{what}"
        f"{times} (case {each.case})"
    )


def _places(found: Sequence[Found]) -> Iterator[str]:
    names = ("case", "cases", "after instructions", "where", "instruction", "model", "what")
    head = "".join(f"<th>{name}</th>" for name in names)
    yield f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>'
    for each in found[:_MOST_PLACES]:
        yield (
            f'<tr><td class="number">{each.case}</td><td class="number">{each.cases:,}</td>'
            f'<td class="number">{each.at:,}</td><td>{_text(each.where)}</td>'
            f'<td class="code">{_text(each.instruction)}</td><td>{_text(each.model)}</td>'
            f"<td>{_text(each.what)}</td></tr>"
        )
    yield "</tbody></table></div>"
    if len(found) > _MOST_PLACES:
        yield f"<p>and {len(found) - _MOST_PLACES:,} more places</p>"
