"""A run as one page of HTML: hits over time, values, who wrote, source lines, and coverage.

errors          a log or a page that cannot be read or written
hits            hits as columns, from whatever made them
json_log        hits from a log of JSON lines
table_log       hits from a log that is a Parquet file
recorded        hits from the recordings of a guest
sources         the source lines that hits name, out of folders that the user gives
executed_lines  what of a program was executed
coverage_data   the part of a page that shows it
page            the page
fault_text      what the faults of a campaign led to, as text
fault_page      the same as a page
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.report.errors import ReportError
from guestdbg.report.executed_lines import ExecutedLines, executed_lines, read_coverage
from guestdbg.report.fault_page import fault_page
from guestdbg.report.fault_text import fault_text
from guestdbg.report.hits import MOST_HITS, Hits
from guestdbg.report.json_log import read_json_log
from guestdbg.report.page import page, write_page
from guestdbg.report.recorded import recorded_hits
from guestdbg.report.sources import Sources
from guestdbg.report.table_log import read_table_log

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.trace import CoverageResult

__all__ = [
    "MOST_HITS",
    "ExecutedLines",
    "Hits",
    "ReportError",
    "Sources",
    "fault_page",
    "fault_text",
    "guest_report",
    "page",
    "read_coverage",
    "read_log",
]


def read_log(path: Path) -> Hits:
    """The hits of a log of ``guestdbg run --log``: JSON lines, or Parquet by its ending.

    Raises:
        ReportError: it is no such log, or damaged: the text says where.
        MissingLibrary: a Parquet file takes pyarrow, which is not installed.
    """
    if path.suffix.lower() == ".parquet":
        return read_table_log(path)
    if path.suffix.lower() == ".csv":
        raise ReportError(
            f"{path}: a CSV log does not say how the run ended; make a log that ends in .jsonl or "
            ".parquet"
        )
    return read_json_log(path)


def guest_report(
    guest: Guest,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    sources: tuple[str | os.PathLike[str], ...] = (),
    coverage: CoverageResult | None = None,
) -> str:
    """The recordings of a guest as a page of HTML, which is also written to ``path``, a new file.

    Args:
        guest: the guest; its recordings are those of ``guest.record`` that are not deleted.
        path: the file; None: none is written.
        title: the title; None: the name of the guest's file.
        sources: folders with the source files that are shown.
        coverage: what the guest executed, which is shown too: ``coverage.result()``.

    Raises:
        ReportError: the guest has no recordings, and no coverage is given.
        OSError: the file exists already, or cannot be written.
    """
    hits = recorded_hits(guest, may_be_none=coverage is not None)
    if title is not None:
        hits.title = title
    text = page(
        hits,
        Sources([Path(folder) for folder in sources]),
        coverage=None if coverage is None else executed_lines(coverage),
    )
    if path is not None:
        write_page(Path(path), text)
    return text
