"""Which units have lines of a source file, found without reading their line tables.

For files with very much debug information. The name of a source file is a string in the header of
the line table (DWARF 4), or in .debug_line_str, to which the header refers (DWARF 5).
"""

from __future__ import annotations

from bisect import bisect_right
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from guestdbg.debugger.program.elf_bounds import section_bytes, table_size
from guestdbg.debugger.program.unit_scan import LARGE

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["LineFiles", "line_files"]

#: The entry of a unit has its reference to the line table among its first bytes.
_ENTRY = 128
_MAX_PLACES = 1 << 16
_SLASH = 0x2F


def line_files(dwarf: DWARFInfo | None) -> LineFiles | None:
    """The index of a file; None if it is small enough to be read."""
    if dwarf is None or dwarf.debug_line_sec is None or dwarf.debug_info_sec is None:
        return None
    return LineFiles(dwarf) if dwarf.debug_info_sec.size >= LARGE else None


class LineFiles:
    """Finds the units of a file. Raises ValueError for damaged tables."""

    def __init__(self, dwarf: DWARFInfo) -> None:
        self._lines = section_bytes(dwarf.debug_line_sec)
        strings = dwarf.debug_line_str_sec
        self._strings = b"" if strings is None else section_bytes(strings)
        self._info = section_bytes(dwarf.debug_info_sec)
        self._units = list(dwarf.iter_CUs())
        self._tables: list[int] = []
        at = 0
        while at < len(self._lines):
            self._tables.append(at)
            at += table_size(self._lines, at)

    def units(self, file: str) -> list[CompileUnit]:
        """The units whose line tables may name a file, as written by a person."""
        name = PurePosixPath(file).name.encode("utf-8", "surrogateescape") + b"\0"
        places = self._occurrences(self._lines, name)
        for reference in self._references(name):
            places += self._occurrences(self._lines, reference)
        tables = {self._tables[max(0, bisect_right(self._tables, at) - 1)] for at in places}
        entries = [table.to_bytes(4, "little") for table in tables]
        found = []
        for unit in self._units:
            entry = self._info[unit.cu_die_offset : unit.cu_die_offset + _ENTRY]
            if any(table in entry for table in entries):
                found.append(unit)
        return found

    def size(self, units: list[CompileUnit]) -> int:
        """About how many bytes the line tables of so many units have."""
        return len(self._lines) // max(1, len(self._tables)) * len(units)

    @property
    def names(self) -> list[str]:
        """The names of all source files, for messages."""
        text = self._strings.decode("utf-8", "replace").split("\0")
        return [name for name in text if "." in PurePosixPath(name).name]

    def _references(self, name: bytes) -> set[bytes]:
        """How a header refers to the file: the name, with all or some of its directories."""
        found: set[bytes] = set()
        for at in self._occurrences(self._strings, name):
            found.add(at.to_bytes(4, "little"))  # linkers merge a string with the end of another
            start = self._strings.rfind(b"\0", 0, at) + 1
            if at == start or self._strings[at - 1] != _SLASH:
                continue
            for n in range(start, at):
                if n == start or self._strings[n - 1] == _SLASH:
                    found.add(n.to_bytes(4, "little"))
        return found

    @staticmethod
    def _occurrences(data: bytes, pattern: bytes) -> list[int]:
        found: list[int] = []
        position = data.find(pattern)
        while position >= 0 and len(found) < _MAX_PLACES:
            found.append(position)
            position = data.find(pattern, position + 1)
        return found
