"""The code addresses of DWARF entries: DW_AT_low_pc with DW_AT_high_pc, or a list of ranges.

DWARF 5, section 2.17. Several entries may share a list, so it is read once.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from guestdbg.debugger.program.elf_bounds import section_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE

__all__ = ["Ranges", "base_address", "code_ranges", "entry_address"]

#: More ranges of one entry than this are ignored.
_MAX_RANGES = 4096
#: The smallest entry of a list with an address in it: DW_RLE_offset_pair, in bytes.
_SMALLEST = 3


class Ranges(list[tuple[int, int]]):
    """(start, end) of pieces of code, in the order of the file; empty ones are left out."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        super().__init__((start, end) for start, end in ranges if start < end)

    @cached_property
    def _merged(self) -> tuple[list[int], list[int]]:
        """The starts and ends of the pieces, sorted, those that touch taken together."""
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(self):
            if ends and start <= ends[-1]:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        return starts, ends

    def covers(self, address: int) -> bool:
        """Whether ``address`` lies in one of them."""
        starts, ends = self._merged
        i = bisect_right(starts, address) - 1
        return i >= 0 and address < ends[i]


class _Lists:
    """The range lists of a unit that were read, by their offset and the slide."""

    def __init__(self) -> None:
        self.known: dict[tuple[int, int], Ranges] = {}
        self.entries = 0


_READ: WeakKeyDictionary[CompileUnit, _Lists] = WeakKeyDictionary()


def base_address(unit: CompileUnit) -> int:
    """The address that the unit's range and location lists are relative to."""
    low = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    return low.value if low is not None else 0


def code_ranges(die: DIE, slide: int) -> Ranges:
    """(start, end) of the code of an entry, moved by ``slide``; empty if it has none.

    Raises what pyelftools does for a damaged file, and ValueError for lists that overlap.
    """
    attributes = die.attributes
    ranges = attributes.get("DW_AT_ranges")
    if ranges is not None:
        return _listed(die, ranges.value, slide)
    if "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        # An address, or the size of the code (DWARF 4 and later).
        is_address = high.form == "DW_FORM_addr" or "addrx" in high.form
        end = high.value if is_address else low + high.value
        return Ranges([(low + slide, end + slide)])
    return Ranges()


def _listed(die: DIE, offset: int, slide: int) -> Ranges:
    unit: Any = die.cu
    lists = _READ.setdefault(unit, _Lists())
    linked = lists.known.get((offset, 0))
    if linked is None:
        linked = lists.known[offset, 0] = Ranges(_read(die, offset, lists))
    known = lists.known.get((offset, slide))
    if known is None:
        known = lists.known[offset, slide] = Ranges(
            (start + slide, end + slide) for start, end in linked
        )
    return known


def _read(die: DIE, offset: int, lists: _Lists) -> list[tuple[int, int]]:
    unit: Any = die.cu
    dwarf = die.dwarfinfo
    reader = dwarf.range_lists()
    if reader is None:
        return []
    base = base_address(unit)
    found: list[tuple[int, int]] = []
    entries: Any = reader.get_range_list_at_offset(offset, unit)
    lists.entries += len(entries)
    section = dwarf.debug_rnglists_sec if unit["version"] >= 5 else dwarf.debug_ranges_sec
    # More entries than there is room for are in lists that share them.
    room = len(section_bytes(section)) // _SMALLEST if section is not None else 0
    if lists.entries > room + _MAX_RANGES:
        raise ValueError("the range lists overlap")
    for entry in entries[:_MAX_RANGES]:
        if hasattr(entry, "base_address"):
            base = entry.base_address
            continue
        at = 0 if entry.is_absolute else base
        found.append((at + entry.begin_offset, at + entry.end_offset))
    return found


def entry_address(die: DIE, ranges: Ranges, slide: int) -> int:
    """DW_AT_entry_pc; else DW_AT_low_pc, or the start of the first range."""
    entry = die.attributes.get("DW_AT_entry_pc")
    low = die.attributes.get("DW_AT_low_pc")
    if entry is not None:
        if entry.form == "DW_FORM_addr" or "addrx" in entry.form:
            return int(entry.value + slide)
        # A constant is an offset from the entry's base address.
        return int(entry.value + (low.value + slide if low is not None else ranges[0][0]))
    return ranges[0][0]
