"""The functions of a name in a file with very much debug information, and who inlines them.

In such a file thousands of units declare a function that they call. So units in which the name is
that of a declaration only are passed over, and of the others only those functions are read that
refer to the name's entry.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.program import dwarf_entries
from guestdbg.debugger.program.elf_bounds import section_bytes
from guestdbg.debugger.program.unit_scan import LARGE, Units, uleb

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo

    from guestdbg.debugger.program.unit_scan import Abbreviation

__all__ = ["Found", "FunctionFinder", "function_finder"]

#: Strings that end with the name may be merged: `lift` may be the end of many others.
_MAX_STRINGS = 256
_MAX_PLACES = 1 << 17
#: Bytes of the code of an abbreviation, of which there are hundreds.
_CODES = (1, 2)
#: DW_LANG_*: C in all its versions, and assemblers: functions are not inside other entries.
_C = (0x01, 0x02, 0x0C, 0x1D, 0x2C, 0x3E, 0x8001)


class Found(NamedTuple):
    """A function that has the name, or in which a function of the name is inlined.

    Attributes:
        unit: its unit.
        die: its entry.
        size: how many bytes of ``.debug_info`` it has, with all that is inside it.
    """

    unit: CompileUnit
    die: DIE
    size: int


def function_finder(dwarf: DWARFInfo) -> FunctionFinder | None:
    """The finder for a file; None if it is small, or written in a way that this does not know."""
    info = dwarf.debug_info_sec
    if info is None or dwarf.debug_abbrev_sec is None or info.size < LARGE:
        return None
    if dwarf.supplementary_dwarfinfo is not None or dwarf.debug_str_offsets_sec is not None:
        return None  # names are elsewhere (dwz), or have an index (split DWARF)
    units = Units(dwarf)
    if any(unit.structs.dwarf_format != 32 for unit in units.units) or units.has_foreign_origins:
        return None
    return FunctionFinder(dwarf, units)


class FunctionFinder:
    """Finds functions. The methods raise what ``UnitScan`` and pyelftools do for damaged files."""

    def __init__(self, dwarf: DWARFInfo, units: Units) -> None:
        self._dwarf = dwarf
        self._units = units
        section = dwarf.debug_str_sec
        self._strings = b"" if section is None else section_bytes(section)

    def functions(self, unit: CompileUnit) -> Iterator[DIE] | None:
        """The functions of a unit; None if they may be inside of other entries (C++, Rust)."""
        top = unit.get_top_DIE()
        language = top.attributes.get("DW_AT_language")
        if language is None or language.value not in _C:
            return None
        return (self._entry(unit, at) for at in self._units.scan(unit).functions)

    @staticmethod
    def _entry(unit: CompileUnit, offset: int) -> DIE:
        die = unit.get_DIE_from_refaddr(offset)
        die.set_parent(unit.get_top_DIE())
        return die

    def named(self, name: str) -> list[Found]:
        """Where to look for the functions of that name and their inlined copies."""
        found: dict[int, Found] = {}
        for unit, positions in self._places(name).items():
            scan = self._units.scan(unit)
            waiting = scan.functions_at(positions)
            entries: set[int] = set()
            while waiting:
                entry = waiting.pop()
                if not self._is_named(unit, entry, name):
                    continue
                attributes = self._entry(unit, entry).attributes
                inline = "DW_AT_inline" in attributes
                if not inline and "DW_AT_declaration" not in attributes:
                    entries.add(entry)  # no other entry has it as its origin, but calls refer to it
                    continue
                reference = _reference(unit, entry)
                inside = _occurrences(self._units.info, reference, unit.cu_offset, scan.end)
                around = scan.functions_at(inside) - entries
                waiting |= {e for e in around - {entry} if self._is_named(unit, e, name)}
                entries |= around if inline else set()
            for entry in entries:
                start, end = scan.extent(entry)
                found[start] = Found(unit, self._entry(unit, start), end - start)
        return list(found.values())

    def _is_named(self, unit: CompileUnit, entry: int, name: str) -> bool:
        return dwarf_entries.is_named(self._entry(unit, entry), name)

    def _places(self, name: str) -> dict[CompileUnit, list[int]]:
        """Where the name of an entry that may define a function is, by the unit."""
        needle = name.encode("utf-8", "surrogateescape") + b"\0"
        found: dict[CompileUnit, list[int]] = defaultdict(list)
        for pattern in (needle, *self._references(needle)):
            for position in _occurrences(self._units.info, pattern, 0, len(self._units.info)):
                unit = self._units.unit_at(position)
                if self._may_define(unit, position):
                    found[unit].append(position)
        return found

    def _references(self, needle: bytes) -> Iterator[bytes]:
        """How an entry refers to the name; linkers merge a string with the end of another."""
        for position in _occurrences(self._strings, needle, 0, len(self._strings), _MAX_STRINGS):
            yield position.to_bytes(4, "little")

    def _specified(self, unit: CompileUnit, start: int) -> bool:
        """Whether a function of the unit is declared by the entry at ``start``."""
        table, info = self._units.table(unit), self._units.info
        if not any(kind.specifies for kind in table.values()):
            return False
        end = unit.cu_offset + unit.size
        return any(
            (kind := _kind(info, position, length, table)) is not None and kind.specifies
            for position in _occurrences(info, _reference(unit, start), unit.cu_die_offset, end)
            for length in _CODES
        )

    def _may_define(self, unit: CompileUnit, position: int) -> bool:
        """Whether the entry with its name at ``position`` may define a function.

        If it does not, it is a declaration, or no function; or it is no name at all.
        """
        table = self._units.table(unit)
        info = self._units.info
        for length in _CODES:
            kind = _kind(info, position, length, table)
            if kind is not None and kind.is_function and kind.names_first:
                return kind.defines or self._specified(unit, position - length)
        # Compilers that write the name elsewhere in the entry.
        return any(k.is_function and k.has_name and not k.names_first for k in table.values())


def _reference(unit: CompileUnit, entry: int) -> bytes:
    """How other entries of the unit refer to one (DW_FORM_ref4)."""
    return (entry - unit.cu_offset).to_bytes(4, "little")


def _kind(
    info: bytes, position: int, length: int, table: dict[int, Abbreviation]
) -> Abbreviation | None:
    """The kind of an entry whose code of ``length`` bytes is before ``position``, if that is so."""
    code, after = uleb(info, max(0, position - length))
    return table.get(code) if after == position else None


def _occurrences(
    data: bytes, pattern: bytes, start: int, end: int, most: int = _MAX_PLACES
) -> Iterator[int]:
    position = data.find(pattern, start, end)
    for _ in range(most):
        if position < 0:
            return
        yield position
        position = data.find(pattern, position + 1, end)
