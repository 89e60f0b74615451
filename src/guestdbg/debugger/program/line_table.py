"""The line table of an ELF image (DWARF ``.debug_line``): addresses to source lines and back."""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from guestdbg.debugger.errors import InvalidLocation, UnknownLine, near
from guestdbg.debugger.program.elf_bounds import (
    check_aranges,
    check_line_header,
    section_bytes,
    table_size,
)
from guestdbg.debugger.program.line_files import line_files
from guestdbg.library_errors import reason

if TYPE_CHECKING:
    from elftools.dwarf.aranges import ARanges
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo
    from elftools.dwarf.lineprogram import LineProgram

log = logging.getLogger(__name__)

__all__ = [
    "IsCode",
    "LineRow",
    "LineTable",
    "Statement",
    "address_ranges",
    "file_names",
    "is_file",
    "line_program",
]

#: Whether code of a unit from an address (as linked) up to another one is in the image. Linkers
#: leave the line numbers of functions that they remove, at addresses where there is nothing.
IsCode = Callable[["CompileUnit", int, int], bool]


#: Units of these have no code: their line tables are those of others, for the names of files.
_WITHOUT_CODE = ("DW_TAG_type_unit", "DW_TAG_partial_unit")
#: Files that are the main file of their unit.
_SOURCES = (".c", ".S", ".s", ".cc", ".cpp", ".rs")
_INSTRUCTION = 4
#: So many bytes of line tables are read to find all code of one source file.
_MAX_READ = 2 << 20
#: The names of source files by the line program.
_FILE_NAMES: WeakKeyDictionary[object, list[str]] = WeakKeyDictionary()


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
    up a source file reads all units. ``name`` is the file's, for messages.
    """

    def __init__(
        self,
        dwarf: DWARFInfo | None,
        slide: int = 0,
        is_code: IsCode = lambda unit, start, end: True,
        name: str = "the file",
    ) -> None:
        self._dwarf = dwarf
        self._slide = slide
        self._name = name
        self._is_code = is_code
        self.damage: str | None = None
        """Why the line numbers are ignored, if they are damaged."""
        try:
            self._aranges = address_ranges(dwarf) if dwarf is not None else None
        except Exception:
            self._aranges = None
        self._units: dict[int, _Unit] = {}
        self._by_table: dict[int, _Unit] = {}
        self._bytes = 0
        self._by_file: dict[str, dict[int, list[int]]] | None = None
        #: Of a file with very many units: in which of them a source file is.
        self._index = line_files(dwarf)

    def __bool__(self) -> bool:
        """Whether there are any line numbers."""
        return self._dwarf is not None if self._index is not None else bool(self._files())

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

    def rows(self, executed: Iterable[tuple[int, int]]) -> list[LineRow]:
        """All rows, by address. Of a file with very much debug information, those of the units
        that have code in one of the ranges (start, end) of ``executed``."""
        units: list[_Unit] = []
        try:
            if self._index is None:
                for unit in self._dwarf.iter_CUs() if self._dwarf is not None else ():
                    units.append(self._unit(unit.cu_offset))
            else:
                for start, end in executed:
                    while start < end:
                        row = self.at(start)
                        start = start + _INSTRUCTION if row is None else row.end
                units += self._units.values()
        except Exception as error:
            self._damaged(error)
        # Units may share a table.
        distinct = {id(unit): unit for unit in units}.values()
        return sorted(row for unit in distinct for row in unit.rows)

    def _damaged(self, error: Exception) -> None:
        """Warn, and do without line numbers from now on."""
        if self._dwarf is None:
            return
        self.damage = reason(error)
        log.warning(
            "the line numbers of %s are damaged, and are ignored: %s", self._name, self.damage
        )
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
            unit = self._units[offset] = self._read(self._dwarf, self._dwarf.get_CU_at(offset))
        return unit

    def _read(self, dwarf: DWARFInfo, unit: CompileUnit) -> _Unit:
        """The lines of a unit. Units may share a table, as those of types share their program's."""
        top = unit.get_top_DIE()
        at = top.attributes.get("DW_AT_stmt_list")
        if at is None or dwarf.debug_line_sec is None or top.tag in _WITHOUT_CODE:
            return _NO_LINES
        known = self._by_table.get(at.value)
        if known is None:
            section = section_bytes(dwarf.debug_line_sec)
            self._bytes += table_size(section, at.value)
            if self._bytes > 2 * len(section):
                raise ValueError("the line tables overlap, and have more bytes than their section")
            program = line_program(dwarf, unit)
            sequences = _sequences(program) if program is not None else ()
            known = self._by_table[at.value] = _Unit(
                (s for s in sequences if self._is_code(unit, s[0].address, s[-1].address)),
                self._slide,
            )
        return known

    def _files(self) -> dict[str, dict[int, list[int]]]:
        """The addresses of all statements, by file and line."""
        if self._by_file is None:
            self._by_file = self._read_files(None)
        return self._by_file

    def _files_like(self, file: str) -> dict[str, dict[int, list[int]]]:
        """The same, of the units that may have a source file; all where that is not known."""
        if self._index is None:
            return self._files()
        units = self._index.units(file)
        if PurePosixPath(file).suffix in _SOURCES:
            # Most are the main file of their unit. Otherwise they are included by another.
            own = [unit for unit in units if is_file(_main_file(unit), file)]
            units = own or units
        if self._index.size(units) > _MAX_READ:
            raise InvalidLocation(
                f"{file!r} has code in up to {len(units)} compilation units, which are too many to "
                "read: name a function"
            )
        return self._read_files(units)

    def _read_files(self, units: Iterable[CompileUnit] | None) -> dict[str, dict[int, list[int]]]:
        found: dict[str, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
        try:
            if units is None:
                units = self._dwarf.iter_CUs() if self._dwarf is not None else ()
            for unit in units:
                for address, file, line in self._unit(unit.cu_offset).statements:
                    found[file][line].add(address)
        except Exception as error:
            self._damaged(error)
        return {
            file: {line: sorted(addresses) for line, addresses in lines.items()}
            for file, lines in found.items()
        }

    def addresses(self, file: str, line: int) -> tuple[list[int], int, str]:
        """Where statements of ``file:line`` begin: (addresses, the actual line, the file's name).

        ``file`` is matched from its end (``queue.c``, ``src/queue.c``). For a line without code the
        next line with code is taken, as in other debuggers. Raises UnknownLine.
        """
        files = self._files_like(file)
        name = self._file(file, files)
        lines = files[name]
        known = sorted(lines)
        i = bisect_left(known, line)
        if i == len(known):
            raise UnknownLine(
                f"line {line} of {name} has no code, nor has any later line: "
                f"the last line with code is {known[-1]}"
            )
        taken = known[i]
        return lines[taken], taken, name

    def _file(self, file: str, files: Collection[str]) -> str:
        found = [known for known in files if is_file(known, file)]
        if len(found) == 1:
            return found[0]
        if not found:
            known = files if self._index is None else self._index.names
            names = list(dict.fromkeys(PurePosixPath(f).name for f in known))
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

    def __init__(self, sequences: Iterable[list[_State]], slide: int) -> None:
        self.rows: list[LineRow] = []
        self.statements: list[Statement] = []
        for sequence in sequences:
            self._add(sequence, slide)
        self.rows.sort()
        self._starts = [row.start for row in self.rows]

    def _add(self, sequence: list[_State], slide: int) -> None:
        last: _State | None = None
        for state in sequence:
            address = state.address + slide
            if last is not None and state.address > last.address and last.line:
                self.rows.append(LineRow(last.address + slide, address, last.file, last.line))
            # A row without length also marks the beginning of a statement.
            if state.is_stmt and state.line and not state.ends:
                self.statements.append(Statement(address, state.file, state.line))
            last = state

    def at(self, address: int) -> LineRow | None:
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and self.rows[i].start <= address < self.rows[i].end:
            return self.rows[i]
        return None


_NO_LINES = _Unit((), 0)


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


def _main_file(unit: CompileUnit) -> str:
    name = unit.get_top_DIE().attributes.get("DW_AT_name")
    return "" if name is None else _text(name.value)


def address_ranges(dwarf: DWARFInfo) -> ARanges | None:
    """``.debug_aranges``; None if there is none. Raises ValueError if it is damaged."""
    if dwarf.debug_aranges_sec is not None:
        check_aranges(section_bytes(dwarf.debug_aranges_sec))
    return dwarf.get_aranges()


def is_file(known: str, written: str) -> bool:
    """Whether a source file may be written so: its name, with as many directories as one likes."""
    parts = PurePosixPath(written).parts
    return PurePosixPath(known).parts[-len(parts) :] == parts


def line_program(dwarf: DWARFInfo, unit: CompileUnit) -> LineProgram | None:
    """A unit's line number program, whose header is checked first."""
    at = unit.get_top_DIE().attributes.get("DW_AT_stmt_list")
    if at is not None and dwarf.debug_line_sec is not None:
        check_line_header(section_bytes(dwarf.debug_line_sec), at.value)
    return dwarf.line_program_for_CU(unit)


def file_names(program: object) -> list[str]:
    """The source files of a line program, each with its directory where it has one."""
    names = _FILE_NAMES.get(program)
    if names is None:
        names = _FILE_NAMES[program] = _file_names(program)
    return names


def _file_names(program: object) -> list[str]:
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
