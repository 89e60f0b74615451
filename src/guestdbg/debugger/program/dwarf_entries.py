"""What a DWARF entry (DIE) says of a function: names, code addresses, and where it was called.

DWARF 5, sections 2.17 (code addresses), 3.3.8 (inlined subroutines), 7.5.5 (forms).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program.line_table import file_names, line_program

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE

__all__ = [
    "Ranges",
    "base_address",
    "call_site",
    "children",
    "code_ranges",
    "entry_address",
    "is_named",
    "name",
    "origin",
    "qualified_name",
    "text",
]

Ranges = list[tuple[int, int]]

#: References from one entry to the next that are followed at most: a damaged file may have a ring.
_MAX_REFERENCES = 16
_REFERENCES = ("DW_AT_abstract_origin", "DW_AT_specification")
_SCOPES = (
    "DW_TAG_namespace",
    "DW_TAG_module",
    "DW_TAG_structure_type",
    "DW_TAG_class_type",
    "DW_TAG_union_type",
)
_MAX_RANGES = 4096


def children(die: DIE, seen: set[int]) -> Iterator[DIE]:
    """The entries directly inside an entry; ``seen`` collects their offsets.

    In a damaged file entries may be their own siblings, or lie inside several others. An entry that
    was seen before ends the iteration.
    """
    for child in die.iter_children():
        if child.offset in seen:
            return
        seen.add(child.offset)
        yield child


def text(value: object) -> str:
    """A string attribute as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _chain(die: DIE) -> list[DIE]:
    """The entry, and those that describe the same thing: its abstract origin, its declaration."""
    found = [die]
    for _ in range(_MAX_REFERENCES):
        reference = next((r for r in _REFERENCES if r in found[-1].attributes), None)
        if reference is None:
            break
        found.append(found[-1].get_DIE_from_attribute(reference))
    return found


def origin(die: DIE, attribute: str) -> tuple[DIE, object] | None:
    """The value of an attribute, and the entry that has it: this one, or one that it refers to."""
    for each in _chain(die):
        found = each.attributes.get(attribute)
        if found is not None:
            return each, found.value
    return None


def name(die: DIE) -> str | None:
    """DW_AT_name, of the entry or of its abstract origin."""
    found = origin(die, "DW_AT_name")
    return None if found is None else text(found[1])


def qualified_name(die: DIE) -> str | None:
    """The name with the namespaces and classes around it: ``drv::Port::get``."""
    simple = name(die)
    if simple is None:
        return None
    parts = [simple]
    # The declaration lies in the class, the definition may be outside.
    parent = _chain(die)[-1].get_parent()
    while parent is not None and parent.tag in _SCOPES:
        parts.append(name(parent) or "(anonymous namespace)")
        parent = parent.get_parent()
    return "::".join(reversed(parts))


def is_named(die: DIE, wanted: str) -> bool:
    """Whether that is the function's name, qualified name, or name for the linker."""
    simple = name(die)
    if simple == wanted:
        return True
    if simple == wanted.rpartition("::")[2]:
        return qualified_name(die) == wanted
    linkage = origin(die, "DW_AT_linkage_name")
    return linkage is not None and text(linkage[1]) == wanted


def base_address(unit: CompileUnit) -> int:
    """The address that the unit's range and location lists are relative to."""
    low = unit.get_top_DIE().attributes.get("DW_AT_low_pc")
    return low.value if low is not None else 0


def code_ranges(die: DIE, slide: int) -> Ranges:
    """(start, end) of the code of an entry, moved by ``slide``; empty if it has none."""
    attributes = die.attributes
    ranges = attributes.get("DW_AT_ranges")
    found: Ranges = []
    if ranges is not None:
        lists = die.dwarfinfo.range_lists()
        if lists is None:
            return []
        unit: Any = die.cu
        base = base_address(unit)
        entries: Sequence[Any] = lists.get_range_list_at_offset(ranges.value, unit)
        for entry in entries[:_MAX_RANGES]:
            if hasattr(entry, "base_address"):
                base = entry.base_address
                continue
            at = 0 if entry.is_absolute else base
            found.append((at + entry.begin_offset, at + entry.end_offset))
    elif "DW_AT_low_pc" in attributes and "DW_AT_high_pc" in attributes:
        low, high = attributes["DW_AT_low_pc"].value, attributes["DW_AT_high_pc"]
        # An address, or the size of the code (DWARF 4 and later).
        is_address = high.form == "DW_FORM_addr" or "addrx" in high.form
        found.append((low, high.value if is_address else low + high.value))
    return [(start + slide, end + slide) for start, end in found if start < end]


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


def call_site(die: DIE) -> tuple[str | None, int | None]:
    """The file and line of the call that was inlined (DW_AT_call_file, DW_AT_call_line)."""
    line = die.attributes.get("DW_AT_call_line")
    file = die.attributes.get("DW_AT_call_file")
    unit: Any = die.cu
    program = line_program(die.dwarfinfo, unit)
    name_ = None
    if file is not None and program is not None:
        names = file_names(program)
        index = file.value - (0 if program["version"] >= 5 else 1)
        if 0 <= index < len(names):
            name_ = names[index]
    return name_, None if line is None else int(line.value)
