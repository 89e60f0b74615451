"""Hits from a log of JSON lines (`guestdbg run --log run.jsonl`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from guestdbg.regular_file import open_regular_file
from guestdbg.report.errors import ReportError
from guestdbg.report.hits import Frame, HitRow, Hits

__all__ = ["read_json_log"]

#: A line of a log is shorter: a backtrace has a few hundred frames at most.
_LONGEST_LINE = 1 << 22
_MOST_EVENTS = 1000


def read_json_log(path: Path) -> Hits:
    """The hits of a log. Raises ReportError, which names the line that is wrong."""
    hits = Hits(path.name)
    number = 0
    try:
        with open_regular_file(path, what="log") as file:
            while line := file.readline(_LONGEST_LINE):
                number += 1
                if not line.strip():
                    continue
                if not line.endswith(b"\n"):
                    _unfinished(hits, path, number, line, file.read(1))
                    break
                _add(hits, _parsed(path, number, line), path, number)
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}") from error
    if not number:
        raise ReportError(f"{path}: the log is empty: no run has written to it")
    return hits


def _unfinished(hits: Hits, path: Path, number: int, line: bytes, more: bytes) -> None:
    """A last line without an end: the run was killed while it wrote, or the file is no log."""
    if more:
        raise ReportError(f"{path}: line {number} is longer than any of a log")
    try:
        document = json.loads(line)
    except ValueError:
        if number == 1:
            raise _no_log(path, number) from None
        hits.incomplete = f"the log ends in the middle of line {number}"
    else:
        _add(hits, document, path, number)


def _no_log(path: Path, number: int) -> ReportError:
    return ReportError(
        f"{path}: line {number} is no event of a log (guestdbg run GUEST --log FILE makes one)"
    )


def _parsed(path: Path, number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _no_log(path, number) from None


def _add(hits: Hits, document: Any, path: Path, number: int) -> None:
    if not isinstance(document, dict) or not isinstance(document.get("event"), str):
        if isinstance(document, dict) and document.get("format") == "guestdbg coverage":
            raise ReportError(f"{path}: this is coverage, and no log: give it as --coverage FILE")
        raise _no_log(path, number)
    if document["event"] != "hit":
        hits.events.append(document)
        del hits.events[:-_MOST_EVENTS]
        return
    try:
        hits.add(_row(document))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{path}: line {number}: a hit is not as expected: {error!r}") from error


def _row(hit: dict[str, Any]) -> HitRow:
    task = hit.get("task")
    return HitRow(
        number=int(hit["number"]),
        point=_text(hit["point"]) or "",
        kind=_text(hit["kind"]) or "",
        vcpu=int(hit["vcpu"]),
        instructions=_number(hit.get("instructions")),
        pc=int(hit["pc"], 16),
        instruction=_text(hit.get("instruction")),
        function=_text(hit.get("function")),
        offset=_number(hit.get("offset")),
        file=_text(hit.get("file")),
        line=_number(hit.get("line")),
        element=_text(hit.get("element")),
        access=_text(hit.get("access")),
        address=int(hit["address"], 16) if "address" in hit else None,
        size=_number(hit.get("size")),
        old=_value(hit.get("old")),
        new=_value(hit.get("new")),
        device=_text(hit.get("device")),
        task=None if task is None else f"{_text(task['comm'])} ({int(task['pid'])})",
        context=None if task is None else _text(task["context"]),
        backtrace=[
            Frame(_text(f["function"]) or _text(f["pc"]), _text(f["file"]), _number(f["line"]))
            for f in hit.get("backtrace") or ()
        ],
    )


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise TypeError(f"{value!r} is no text")


def _number(value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise TypeError(f"{value!r} is no number")


def _value(value: Any) -> int | float | str | None:
    if value is None or isinstance(value, int | float | str):
        return value
    raise TypeError(f"{value!r} is no value")
