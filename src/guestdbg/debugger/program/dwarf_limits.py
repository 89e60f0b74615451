"""Limits of what pyelftools reads of DWARF: work and memory in proportion to the file.

pyelftools reads a string, or a table of abbreviations, as often as something refers to it. In a
small file thousands of entries may refer to one long string, and thousands of units to tables that
overlap. So each is read once, and those that overlap are refused. An entry has all attributes of
its abbreviation, also if they take no byte in it: so the number of these is limited too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program.elf_bounds import check_abbreviations, section_bytes

if TYPE_CHECKING:
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["limit"]

#: The smallest declaration of an abbreviation: code, tag, children, and the two zeros.
_DECLARATION = 5
#: Strings may share their ends, as linkers merge them: their sum may be so much more.
_SHARED, _ROOM = 8, 1 << 20


def limit(dwarf: DWARFInfo) -> None:
    """Have the strings and abbreviations of a file read within limits.

    Beyond them, reading an entry raises ValueError; for an abbreviation of too many attributes,
    which drgn must not get either, this function does.
    """
    strings, line_strings = dwarf.debug_str_sec, dwarf.debug_line_str_sec
    replaced: Any = dwarf
    if strings is not None:
        replaced.get_string_from_table = _strings(section_bytes(strings), ".debug_str")
    if line_strings is not None:
        replaced.get_string_from_linetable = _strings(
            section_bytes(line_strings), ".debug_line_str"
        )
    if dwarf.debug_abbrev_sec is not None:
        abbreviations = section_bytes(dwarf.debug_abbrev_sec)
        check_abbreviations(abbreviations)
        replaced.get_abbrev_table = _tables(dwarf.get_abbrev_table, len(abbreviations))


def _strings(section: bytes, name: str) -> Callable[[int], bytes | None]:
    """Gets the string at an offset, as pyelftools does: None if it has no end."""
    known: dict[int, bytes] = {}
    room = _ROOM + _SHARED * len(section)

    def get(offset: int) -> bytes | None:
        nonlocal room
        found = known.get(offset)
        if found is None:
            end = section.find(b"\0", offset) if 0 <= offset < len(section) else -1
            if end < 0:
                return None
            room -= end - offset
            if room < 0:
                raise ValueError(
                    f"the strings that entries refer to are far longer than the {len(section)} "
                    f"bytes of {name}"
                )
            found = known[offset] = section[offset:end]
        return found

    return get


def _tables(read: Callable[[int], Any], size: int) -> Callable[[int], Any]:
    """Gets the table of abbreviations at an offset."""
    known: dict[int, Any] = {}
    left = size // _DECLARATION + 1

    def get(offset: int) -> Any:
        nonlocal left
        table = known.get(offset)
        if table is None:
            if left <= 0:
                raise ValueError("the tables of abbreviations overlap")
            table = read(offset)
            left -= len(table._abbrev_map)
            known[offset] = table
        return table

    return get
