"""Hits from a log that is a Parquet file (`guestdbg run --log run.parquet`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guestdbg.library_errors import raised_as
from guestdbg.regular_file import open_regular_file
from guestdbg.report.errors import ReportError
from guestdbg.report.hits import Frame, HitRow, Hits
from guestdbg.tables import library

__all__ = ["read_table_log"]

#: Where `guestdbg run` keeps the other events of a log.
_NOTE = b"guestdbg-events"
_NEEDED = {"number", "point", "kind", "vcpu", "pc"}
_ROWS = 4096


def read_table_log(path: Path) -> Hits:
    """The hits of a log. Raises ReportError for a file that is no log, or is damaged."""
    parquet = library("pyarrow.parquet", "reading a Parquet file")
    hits = Hits(path.name)
    with (
        open_regular_file(path, what="log") as opened,
        raised_as(ReportError, f"{path}: cannot be read as Parquet"),
        parquet.ParquetFile(opened) as file,
    ):
        if missing := _NEEDED - set(file.schema_arrow.names):
            raise ReportError(f"{path}: this is no log of hits: it has no column {min(missing)!r}")
        events = json.loads((file.metadata.metadata or {}).get(_NOTE, b"[]"))
        hits.events = [event for event in events if isinstance(event, dict)]
        for row in _rows(file):
            hits.add(_row(row))
    return hits


def _rows(file: Any) -> Iterator[dict[str, Any]]:
    for batch in file.iter_batches(batch_size=_ROWS):
        yield from batch.to_pylist()


def _row(row: dict[str, Any]) -> HitRow:
    get = row.get
    return HitRow(
        number=row["number"],
        point=row["point"],
        kind=row["kind"],
        vcpu=row["vcpu"],
        instructions=get("instructions"),
        pc=row["pc"],
        instruction=get("instruction"),
        function=get("function"),
        offset=get("offset"),
        file=get("file"),
        line=get("line"),
        element=get("element"),
        access=get("access"),
        address=get("address"),
        size=get("size"),
        old=_value(row, "old"),
        new=_value(row, "new"),
        device=get("device"),
        task=None if get("pid") is None else f"{get('comm')} ({get('pid')})",
        context=get("context"),
        backtrace=[Frame(name, None, None) for name in reversed(_names(get("backtrace")))],
    )


def _names(backtrace: str | None) -> list[str]:
    return backtrace.split(";") if backtrace else []


def _value(row: dict[str, Any], name: str) -> int | float | str | None:
    for column in (f"{name}_float", f"{name}_bytes", name):
        found: int | float | str | None = row.get(column)
        if found is not None:
            return found
    return None
