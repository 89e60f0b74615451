"""The line table of an ELF image (DWARF ``.debug_line``): addresses to source lines and back."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.errors import UnknownLine, near
from guestdbg.debugger.program.elf_bounds import (
    check_aranges,
    check_line_header,
    section_bytes,
)
from guestdbg.library_errors import reason

if TYPE_CHECKING:
    from elftools.dwarf.aranges import ARanges
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.dwarf.lineprogram import LineProgram

log = logging.getLogger(__name__)

__all__ = ["IsCode", "LineRow", "LineTable", "Statement", "file_names", "line_program"]

#: Whether code of a unit from an address (as linked) up to another one is in the image. Linkers
#: leave the line numbers of functions that they remove, at addresses where there is nothing.
IsCode = Callable[["CompileUnit", int, int], bool]


class LineRow(NamedTuple):
    """Code from ``start`` up to ``end`` (exclusive) was compiled from ``line`` of ``file``."""

    start: int
    end: int
    file: str
    line: int


class Statement(NamedTuple):
    """A statement of ``line`` of ``file`` begins at ``address`` (DWARF's ``is_stmt``)."""

    address: int
    file: str
    line: int


class LineTable:
    """The rows and statements of one image.

    A compilation unit is read when an address in it is looked up, by ``.debug_aranges``. Looking
    up a source file reads all units.
    """

    def __init__(
        self,
        dwarf: DWARFInfo | None,
        slide: int = 0,
        is_code: IsCode = lambda unit, start, end: True,
    ) -> None:
        self._dwarf = dwarf
        self._slide = slide
        self._is_code = is_code
        self.damage: str | None = None
        """Why the line numbers are ignored, if they are damaged."""
        try:
            self._aranges = _aranges(dwarf) if dwarf is not None else None
        except Exception:
            self._aranges = None
        self._units: dict[int, _Unit] = {}
        self._by_file: dict[str, dict[int, list[int]]] | None = None

    def __bool__(self) -> bool:
        """Whether there are any line numbers."""
        return bool(self._files())

    @property
    def files(self) -> list[str]:
        """The source files that have code, as the compiler named them."""
        return sorted(self._files())

    def at(self, address: int) -> LineRow | None:
        """The row that covers ``address``."""
        try:
            for unit in self._units_at(address - self._slide):
                row = unit.at(address)
                if row is not None:
                    return row
        except Exception as error:
            self._damaged(error)
        return None

    def _damaged(self, error: Exception) -> None:
        """Warn, and do without line numbers from now on."""
        self.damage = reason(error)
        log.warning("the line numbers are damaged, and are ignored: %s", self.damage)
        self._dwarf = None
        self._by_file = None

    def _units_at(self, address: int) -> Iterator[_Unit]:
        if self._dwarf is None:
            return
        offset = None
        if self._aranges is not None and self._aranges.entries:
            offset = self._aranges.cu_offset_at_addr(address)
        if offset is not None:
            yield self._unit(offset)
            entries = self._aranges.entries if self._aranges is not None else ()
            for entry in entries:  # a removed function may be listed at the same place
                if (
                    entry.begin_addr <= address < entry.begin_addr + entry.length
                    and entry.info_offset != offset
                ):
                    yield self._unit(entry.info_offset)
            return
        # Units that .debug_aranges does not list may cover the address.
        listed = {e.info_offset for e in self._aranges.entries} if self._aranges else set()
        for unit in self._dwarf.iter_CUs():
            if unit.cu_offset not in listed:
                yield self._unit(unit.cu_offset)

    def _unit(self, offset: int) -> _Unit:
        unit = self._units.get(offset)
        if unit is None:
            assert self._dwarf is not None
            unit = _Unit(self._dwarf, self._dwarf.get_CU_at(offset), self._slide, self._is_code)
            self._units[offset] = unit
        return unit

    def _files(self) -> dict[str, dict[int, list[int]]]:
        """The addresses of all statements, by file and line."""
        if self._by_file is None:
            found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
            try:
                for unit in self._dwarf.iter_CUs() if self._dwarf is not None else ():
                    for address, file, line in self._unit(unit.cu_offset).statements:
                        found[file][line].add(address)
            except Exception as error:
                self._damaged(error)
            self._by_file = {
                file: {line: sorted(addresses) for line, addresses in lines.items()}
                for file, lines in found.items()
            }
        return self._by_file

    def addresses(self, file: str, line: int) -> tuple[list[int], int, str]:
        """Where statements of ``file:line`` begin: (addresses, the actual line, the file's name).

        ``file`` is matched from its end (``queue.c``, ``src/queue.c``). For a line without code the
        next line with code is taken, as in other debuggers. Raises UnknownLine.
        """
        name = self._file(file)
        lines = self._files()[name]
        known = sorted(lines)
        i = bisect_left(known, line)
        if i == len(known):
            raise UnknownLine(
                f"line {line} of {name} has no code, nor has any later line: "
                f"the last line with code is {known[-1]}"
            )
        taken = known[i]
        return lines[taken], taken, name

    def _file(self, file: str) -> str:
        parts = PurePosixPath(file).parts
        found = [f for f in self._files() if PurePosixPath(f).parts[-len(parts) :] == parts]
        if len(found) == 1:
            return found[0]
        if not found:
            names = [PurePosixPath(f).name for f in self._files()]
            text = f"there is no code from a source file named {file!r}"
            matches = near(PurePosixPath(file).name, names)
            if matches:
                text += "; did you mean " + " or ".join(repr(m) for m in matches) + "?"
            elif names:
                text += "; the files are " + ", ".join(sorted(set(names))[:6])
            raise UnknownLine(text)
        exact = [f for f in found if f == file]
        if exact:
            return exact[0]
        raise UnknownLine(f"{file!r} may be any of " + ", ".join(sorted(found)[:6]))


class _Unit:
    """The rows and statements of one compilation unit, sorted by address."""

    def __init__(self, dwarf: DWARFInfo, unit: CompileUnit, slide: int, is_code: IsCode) -> None:
        self._rows: list[LineRow] = []
        self.statements: list[Statement] = []
        program = line_program(dwarf, unit)
        if program is not None:
            for sequence in _sequences(program):
                if is_code(unit, sequence[0].address, sequence[-1].address):
                    self._add(sequence, slide)
        self._rows.sort()
        self._starts = [row.start for row in self._rows]

    def _add(self, sequence: list[_State], slide: int) -> None:
        last: _State | None = None
        for state in sequence:
            address = state.address + slide
            if last is not None and state.address > last.address and last.line:
                self._rows.append(LineRow(last.address + slide, address, last.file, last.line))
            # A row without length also marks the beginning of a statement.
            if state.is_stmt and state.line and not state.ends:
                self.statements.append(Statement(address, state.file, state.line))
            last = state

    def at(self, address: int) -> LineRow | None:
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and self._rows[i].start <= address < self._rows[i].end:
            return self._rows[i]
        return None


class _State(NamedTuple):
    """A row of the line number program; ``ends`` marks the first address after a sequence."""

    address: int
    file: str
    line: int
    is_stmt: bool
    ends: bool


def _sequences(program: LineProgram) -> Iterator[list[_State]]:
    """The rows of the program, a list for each contiguous piece of code."""
    names = file_names(program)
    first = 0 if program["version"] >= 5 else 1
    rows: list[_State] = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        index = state.file - first
        name = names[index] if 0 <= index < len(names) else "?"
        rows.append(
            _State(state.address, name, state.line, bool(state.is_stmt), bool(state.end_sequence))
        )
        if state.end_sequence:
            yield rows
            rows = []
    if rows:
        yield rows


def _aranges(dwarf: DWARFInfo) -> ARanges | None:
    if dwarf.debug_aranges_sec is not None:
        check_aranges(section_bytes(dwarf.debug_aranges_sec))
    return dwarf.get_aranges()


def line_program(dwarf: DWARFInfo, unit: CompileUnit) -> LineProgram | None:
    """A unit's line number program, whose header is checked first."""
    at = unit.get_top_DIE().attributes.get("DW_AT_stmt_list")
    if at is not None and dwarf.debug_line_sec is not None:
        check_line_header(section_bytes(dwarf.debug_line_sec), at.value)
    return dwarf.line_program_for_CU(unit)


def file_names(program: object) -> list[str]:
    """The source files of a line program, each with its directory where it has one."""
    header = program.header  # type: ignore[attr-defined]
    version = header["version"]
    directories = [_text(d) for d in header.get("include_directory", ())]
    names = []
    for entry in header["file_entry"]:
        name = _text(entry.name)
        index = entry.dir_index
        if version < 5:
            directory = directories[index - 1] if 0 < index <= len(directories) else ""
        else:
            directory = directories[index] if index < len(directories) else ""
            if index == 0:
                directory = ""  # the compilation directory, which depends on the machine
        names.append(str(PurePosixPath(directory) / name) if directory else name)
    return names


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)
