"""The lines and functions of a guest's program, and what of them was executed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from guestdbg.debugger.program.demangled import display_name
from guestdbg.debugger.program.symbol_table import SymbolKind
from guestdbg.hexadecimal_repr import hexadecimal

if TYPE_CHECKING:
    from guestdbg.debugger import Guest, Image, Symbol
    from guestdbg.debugger.program.line_table import LineRow
    from guestdbg.trace.coverage.executed import Executed

__all__ = ["FunctionCoverage", "LineCoverage", "functions_of", "has_lines", "lines_of"]

_INSTRUCTION = 4


@dataclass(frozen=True, slots=True)
class LineCoverage:
    """A source line that has code.

    Attributes:
        file: the file, as the compiler named it.
        line: its number.
        count: how often it was executed, which is how often the one of its instructions was that
            was executed most. What several functions have of a line, of an inlined function for
            example, is added. Without counts it is 1 or 0.
        path: the file where it was found: under this name, or beside the program's ELF file; None:
            it was not.
    """

    file: str
    line: int
    count: int
    path: Path | None = None


@hexadecimal("address")
@dataclass(frozen=True, slots=True)
class FunctionCoverage:
    """A function of the guest's program.

    Attributes:
        name: its name.
        address: where it begins.
        size: its size in bytes, 0 if that is not known.
        count: how often it was entered at its beginning. Without counts it is 1 or 0.
        executed: how many different instructions of it were executed.
        file, line: where its source begins, if that is known.
    """

    name: str
    address: int
    size: int
    count: int
    executed: int
    file: str | None = None
    line: int | None = None


def has_lines(guest: Guest) -> bool:
    """Whether any line of the guest's program is known."""
    return any(image.lines for image in guest.images)


def lines_of(guest: Guest, executed: Executed, *, counted: bool) -> list[LineCoverage]:
    """All lines that have code; of a very large program, those of the units that were executed."""
    counts: dict[tuple[str, int], int] = {}
    paths: dict[str, Path | None] = {}
    for image in guest.images:
        by_function: defaultdict[tuple[str, int, int], int] = defaultdict(int)
        for row in image.lines.rows((run.start, run.end) for run in executed):
            function = image.symbols.at(row.start)
            key = (row.file, row.line, 0 if function is None else function.address)
            most = max((run.count for run in executed.between(row.start, row.end)), default=0)
            by_function[key] = max(by_function[key], most)
        for (file, line, _), count in by_function.items():
            counts[file, line] = counts.get((file, line), 0) + count
            if file not in paths:
                paths[file] = _found(image, file)
    return [
        LineCoverage(file, line, count if counted else min(count, 1), paths[file])
        for (file, line), count in sorted(counts.items())
    ]


def _found(image: Image, file: str) -> Path | None:
    """The source file of an image, if it is on this machine."""
    beside = image.path.absolute().parent
    for path in (Path(file), beside / file, beside / PurePosixPath(file).name):
        if path.is_file():
            return path.absolute()
    return None


def functions_of(guest: Guest, executed: Executed, *, counted: bool) -> list[FunctionCoverage]:
    """All functions of the program's files, and those of other symbols that were executed."""
    found: dict[int, Symbol] = {}
    for image in guest.images:
        for symbol in image.symbols:
            if symbol.kind is SymbolKind.FUNCTION and image.covers(symbol.address):
                found.setdefault(symbol.address, image.symbols.at(symbol.address) or symbol)
    for symbol in _executed_symbols(guest, executed):
        found.setdefault(symbol.address, symbol)
    return [
        _function(guest.images, symbol, end, executed, counted)
        for symbol, end in _with_ends(sorted(found.values(), key=lambda s: s.address))
    ]


def _executed_symbols(guest: Guest, executed: Executed) -> Iterator[Symbol]:
    """The symbols that executed instructions belong to."""
    beyond = 0
    for run in executed:
        address = max(run.start, beyond)
        while address < run.end:
            symbol = guest.execution.symbol_at(address)
            if symbol is None:
                address = beyond = address + _INSTRUCTION
                continue
            yield symbol
            address = beyond = max(address + _INSTRUCTION, symbol.address + symbol.size)


def _with_ends(symbols: Sequence[Symbol]) -> Iterator[tuple[Symbol, int]]:
    """Each symbol and where it ends: one without a size ends at the next one."""
    for place, symbol in enumerate(symbols, 1):
        end = symbol.address + symbol.size
        if not symbol.size:
            last = place == len(symbols)
            end = symbol.address + _INSTRUCTION if last else symbols[place].address
        yield symbol, end


def _function(
    images: Iterable[Image], symbol: Symbol, end: int, executed: Executed, counted: bool
) -> FunctionCoverage:
    count = executed[symbol.address]
    row: LineRow | None = None
    for image in images:
        if image.covers(symbol.address):
            row = image.lines.at(symbol.address)
            break
    runs = executed.between(symbol.address, end)
    return FunctionCoverage(
        display_name(symbol.name),
        symbol.address,
        symbol.size,
        count if counted else min(count, 1),
        sum((run.end - run.start) // _INSTRUCTION for run in runs),
        None if row is None else row.file,
        None if row is None else row.line,
    )
