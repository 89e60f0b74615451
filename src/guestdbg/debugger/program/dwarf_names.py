"""In which compilation units a name occurs, found without reading their entries.

A name is a string in .debug_info itself (DW_FORM_string), or a reference to one in .debug_str
(DW_FORM_strp), direct or through .debug_str_offsets (DW_FORM_strx). So its bytes, or those of a
reference to it, are searched for. Units that are found by chance do no harm.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program.elf_bounds import section_bytes

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["NameIndex"]

#: Strings that end with the name may be merged: `lift` may be the end of many others.
_MAX_STRINGS = 256


class NameIndex:
    """Finds the units of one DWARF file in which a name, or a reference to an entry, occurs."""

    def __init__(self, dwarf: DWARFInfo) -> None:
        self._dwarf = dwarf
        self._info = _bytes(dwarf.debug_info_sec)
        self._units = list(dwarf.iter_CUs())
        self._starts = [unit.cu_offset for unit in self._units]

    def with_name(self, name: str) -> list[CompileUnit]:
        """The units that contain a string equal to ``name``, and maybe some others."""
        needle = name.encode("utf-8", "surrogateescape") + b"\0"
        found = self._containing(needle)
        offsets = list(_strings(_bytes(self._dwarf.debug_str_sec), needle))
        for offset in offsets:
            found |= self._containing(offset.to_bytes(4, "little"))
        if self.supplementary is not None:
            strings = _bytes(self.supplementary._dwarf.debug_str_sec)
            for offset in _strings(strings, needle):  # DW_FORM_GNU_strp_alt
                found |= self._containing(offset.to_bytes(4, "little"))
        table = _bytes(self._dwarf.debug_str_offsets_sec)
        if table and (indexed := _indexed(table, offsets)):
            found |= {n for n, unit in enumerate(self._units) if _uses(unit, table, indexed)}
        return [self._units[n] for n in sorted(found)]

    def referring_to(self, entries: list[int]) -> list[CompileUnit]:
        """The units that may refer to entries by their offset in the section.

        Of this file (DW_FORM_ref_addr), or of the supplementary one (DW_FORM_GNU_ref_alt).
        """
        found: set[int] = set()
        for offset in entries:
            found |= self._containing(offset.to_bytes(4, "little"))
        return [self._units[n] for n in sorted(found)]

    @cached_property
    def supplementary(self) -> NameIndex | None:
        """The index of the supplementary file (of dwz); None if there is none."""
        other = self._dwarf.supplementary_dwarfinfo
        return None if other is None else NameIndex(other)

    @cached_property
    def has_foreign_origins(self) -> bool:
        """Whether abstract origins may lie in another unit, as after link-time optimisation."""
        seen: set[int] = set()
        for unit in self._units:
            offset = unit["debug_abbrev_offset"]
            if offset in seen:
                continue
            seen.add(offset)
            for abbreviation in unit.get_abbrev_table()._abbrev_map.values():
                if ("DW_AT_abstract_origin", "DW_FORM_ref_addr") in abbreviation.iter_attr_specs():
                    return True
        return False

    def _containing(self, pattern: bytes) -> set[int]:
        """The places in the list of the units whose bytes contain the pattern."""
        info, starts = self._info, self._starts
        found: set[int] = set()
        position = info.find(pattern)
        while position >= 0:
            i = bisect_right(starts, position) - 1
            found.add(max(i, 0))
            # Nothing more is to be learnt of this unit.
            after = starts[i + 1] if i + 1 < len(starts) else len(info)
            position = info.find(pattern, max(after, position + 1))
        return found


def _bytes(section: Any) -> bytes:
    """The contents of a section; empty if there is none."""
    return b"" if section is None else section_bytes(section)


def _strings(strings: bytes, needle: bytes) -> Iterator[int]:
    position = strings.find(needle)
    for _ in range(_MAX_STRINGS):
        if position < 0:
            return
        yield position
        position = strings.find(needle, position + 1)


def _indexed(table: bytes, offsets: list[int]) -> list[int]:
    """Where .debug_str_offsets refers to the strings at ``offsets``, sorted."""
    found = []
    for offset in offsets:
        pattern = offset.to_bytes(4, "little")
        position = table.find(pattern)
        while position >= 0:
            found.append(position)
            position = table.find(pattern, position + 1)
    return sorted(found)


def _uses(unit: CompileUnit, table: bytes, indexed: list[int]) -> bool:
    """Whether one of these places in .debug_str_offsets is in the unit's part of it."""
    base = unit.get_top_DIE().attributes.get("DW_AT_str_offsets_base")
    if base is None or base.value < 8:
        return False
    # The header before it: 4 bytes of length, which counts from there, 2 of version, 2 of padding.
    end = base.value - 4 + int.from_bytes(table[base.value - 8 : base.value - 4], "little")
    return bisect_left(indexed, base.value) < bisect_left(indexed, end)
