"""Coverage as tables, for pandas, Polars and the like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, get_args

from guestdbg.tables import Column, Table, Values
from guestdbg.trace.coverage.errors import CoverageError
from guestdbg.trace.coverage.result import TableName

if TYPE_CHECKING:
    from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["table_of"]

_VCPU = (
    Column("vcpu", "u32", "number of the vCPU"),
    Column("el", "u8", "exception level"),
)
_COUNT = Column("count", "u64", "how often it was executed; without counts 1 or 0")
_FILE = Column("file", "text", "source file", optional=True)
_LINE = Column("line", "u32", "source line", optional=True)

_COLUMNS: dict[TableName, Sequence[Column]] = {
    "instructions": (*_VCPU, Column("address", "u64", "the instruction", "address"), _COUNT),
    "lines": (Column("file", "text", "source file"), Column("line", "u32", "source line"), _COUNT),
    "functions": (
        Column("name", "text", "the function"),
        Column("address", "u64", "where it begins", "address"),
        Column("size", "u64", "its size; 0: not known", "bytes"),
        Column("count", "u64", "how often it was entered; without counts 1 or 0"),
        Column("executed", "u64", "how many different instructions of it were executed"),
        *(_FILE, _LINE),
    ),
    "edges": (
        *_VCPU,
        Column("branch", "u64", "the branch", "address"),
        Column("target", "u64", "where it went", "address"),
        Column("count", "u64", "how often"),
    ),
}


def table_of(result: CoverageResult, what: TableName) -> Table:
    """One of the tables. Raises CoverageError for another name."""
    rows = _ROWS.get(what)
    if rows is None:
        raise CoverageError(
            f"there is no table of {what!r}: there are those of {', '.join(get_args(TableName))}"
        )
    listed = list(rows(result))
    columns = _COLUMNS[what]
    return Table([Values(column, [row[n] for row in listed]) for n, column in enumerate(columns)])


def _instructions(result: CoverageResult) -> Iterable[tuple[Any, ...]]:
    for each in result.vcpus:
        for address, count in each.executed.counts().items():
            yield each.vcpu, each.el, address, count


def _lines(result: CoverageResult) -> Iterable[tuple[Any, ...]]:
    return ((each.file, each.line, each.count) for each in result.lines())


def _functions(result: CoverageResult) -> Iterable[tuple[Any, ...]]:
    return (
        (f.name, f.address, f.size, f.count, f.executed, f.file, f.line) for f in result.functions()
    )


def _edges(result: CoverageResult) -> Iterable[tuple[Any, ...]]:
    for each in result.vcpus:
        for (branch, target), count in sorted(each.edges.items()):
            yield each.vcpu, each.el, branch, target, count


_ROWS: dict[str, Callable[[CoverageResult], Iterable[tuple[Any, ...]]]] = {
    "instructions": _instructions,
    "lines": _lines,
    "functions": _functions,
    "edges": _edges,
}
