"""What of a program was executed: lines and functions, from a guest or from a file."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.regular_file import open_regular_file
from guestdbg.report.errors import ReportError

if TYPE_CHECKING:
    from guestdbg.trace import CoverageResult

__all__ = ["ExecutedFunction", "ExecutedLines", "executed_lines", "read_coverage"]

#: The coverage of a Linux kernel with all its lines has some ten MiB.
_LARGEST = 256 << 20
_NO_COVERAGE = (
    "this is no coverage of guestdbg as JSON (guestdbg run GUEST --coverage FILE.json makes it)"
)


@dataclass(frozen=True, slots=True)
class ExecutedFunction:
    """A function of the program; ``file`` and ``line`` are None if they are not known."""

    name: str
    address: int
    size: int
    count: int
    executed: int
    file: str | None
    line: int | None


@dataclass
class ExecutedLines:
    """Lines and functions of a program, and how often they were executed.

    Attributes:
        counted: False: a count is 1 or 0, and says whether it was executed.
        complete: False: there was no room for all of it.
        lines: by file, the count of each line that has code.
        functions: the functions.
    """

    counted: bool
    complete: bool
    lines: dict[str, dict[int, int]] = field(default_factory=dict)
    functions: list[ExecutedFunction] = field(default_factory=list)


def executed_lines(result: CoverageResult) -> ExecutedLines:
    """Those of a guest: ``coverage.result()``."""
    lines: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for each in result.lines():
        lines[each.file][each.line] = each.count
    functions = [
        ExecutedFunction(f.name, f.address, f.size, f.count, f.executed, f.file, f.line)
        for f in result.functions()
    ]
    return ExecutedLines(result.counted, result.complete, dict(lines), functions)


def read_coverage(path: Path) -> ExecutedLines:
    """Those of a file of ``guestdbg run --coverage FILE.json``.

    Raises:
        ReportError: it is no such file, or damaged: the text says what is wrong.
        UnsuitableFile: it cannot be read.
    """
    if path.suffix in (".info", ".drcov"):
        raise ReportError(
            f"{path}: a report takes coverage as JSON: guestdbg run GUEST --coverage FILE.json"
        )
    try:
        with open_regular_file(path, what="file with coverage") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise ReportError(f"{path}: cannot be read: {error.strerror}") from error
    if len(text) > _LARGEST:
        raise ReportError(f"{path}: larger than {_LARGEST >> 20} MiB: {_NO_COVERAGE}")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: {_NO_COVERAGE}") from None
    if not isinstance(document, dict) or document.get("format") != "guestdbg coverage":
        raise ReportError(f"{path}: {_NO_COVERAGE}")
    if document.get("version") != 1:
        raise ReportError(
            f"{path}: version {document.get('version')!r} of the format; this guestdbg reads 1"
        )
    try:
        return ExecutedLines(
            counted=document["form"] != "first",
            complete=bool(document["complete"]),
            lines={
                file: {_natural(int(line)): _natural(count) for line, count in counts.items()}
                for file, counts in document["lines"].items()
            },
            functions=[_function(each) for each in document["functions"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReportError(f"{path}: the coverage is not as expected: {error!r}") from error


def _function(each: dict[str, Any]) -> ExecutedFunction:
    file, line = each["file"], each["line"]
    return ExecutedFunction(
        _text(each["name"]),
        int(_text(each["address"]), 16),
        _natural(each["size"]),
        _natural(each["count"]),
        _natural(each["executed"]),
        None if file is None else _text(file),
        None if line is None else _natural(line),
    )


def _natural(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError(f"{value!r} is no count")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is no text")
