"""Coverage as notebooks show it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from guestdbg.html_table import fields_html, table_html

if TYPE_CHECKING:
    from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["html_of"]

#: So many files, and functions, are shown.
_SHOWN = 15


def html_of(result: CoverageResult) -> str:
    """Tables of HTML: how much, the files, and the functions that were executed most."""
    executed = result.instructions()
    fields: list[tuple[str, object]] = [
        ("instructions executed", f"{len(executed):,}"),
        ("vCPUs", ", ".join(map(str, sorted({each.vcpu for each in result.vcpus})))),
        ("complete", None if result.complete else "no: there was no room for all of it"),
    ]
    if result.guest.has_linux:
        return fields_html("Coverage", fields)
    functions = result.functions()
    ran = sorted((f for f in functions if f.executed), key=lambda f: (-f.count, f.address))
    fields.append(("functions executed", f"{len(ran):,} of {len(functions):,}"))
    return (
        fields_html("Coverage", fields)
        + _files(result)
        + table_html(
            "Functions",
            ("function", "entered" if result.counted else "executed", "instructions", "source"),
            [(f.name, f.count, f.executed, _source(f.file, f.line)) for f in ran[:_SHOWN]],
            note=_more(len(ran), "functions"),
        )
    )


def _files(result: CoverageResult) -> str:
    lines = result.lines()
    if not lines:
        return ""
    known = Counter(line.file for line in lines)
    executed = Counter(line.file for line in lines if line.count)
    files = sorted(known)
    rows = [(f, executed[f], known[f], f"{100 * executed[f] / known[f]:.0f} %") for f in files]
    names = ("file", "lines executed", "lines", "share")
    return table_html("Files", names, rows[:_SHOWN], note=_more(len(files), "files"))


def _source(file: str | None, line: int | None) -> str | None:
    return None if file is None else f"{file}:{line}"


def _more(count: int, what: str) -> str | None:
    return f"{count - _SHOWN:,} more {what}" if count > _SHOWN else None
