"""What a DWARF entry (DIE) says of a function: names, and where it was called.

DWARF 5, sections 3.3.8 (inlined subroutines), 7.5.5 (forms).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from guestdbg.debugger.program.line_table import file_names, line_program

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE

__all__ = [
    "CLASSES",
    "call_site",
    "children",
    "is_named",
    "name",
    "origin",
    "outside_functions",
    "parent",
    "qualified_name",
    "text",
    "type_of",
]

#: References from one entry to the next that are followed at most: a damaged file may have a ring.
_MAX_REFERENCES = 16
#: Names have so many namespaces and classes at most.
_MAX_SCOPES = 32
_IN_UNIT = (
    "DW_FORM_ref1",
    "DW_FORM_ref2",
    "DW_FORM_ref4",
    "DW_FORM_ref8",
    "DW_FORM_ref_udata",
)
_REFERENCES = ("DW_AT_abstract_origin", "DW_AT_specification")
CLASSES = ("DW_TAG_structure_type", "DW_TAG_class_type", "DW_TAG_union_type")
_SCOPES = ("DW_TAG_namespace", "DW_TAG_module", *CLASSES)


def children(die: DIE, seen: set[int]) -> Iterator[DIE]:
    """The entries directly inside an entry; ``seen`` collects their offsets.

    In a damaged file entries may lie inside several others. An entry that was seen before ends the
    iteration. It does not use pyelftools' own, which nests as deeply as the entries do, and follows
    DW_AT_sibling wherever it leads.
    """
    if not die.has_children:
        return
    unit: Any = die.cu
    ends = _ENDS.setdefault(unit, {})
    at = die.offset + die.size
    while True:
        child = unit.get_DIE_from_refaddr(at)
        child.set_parent(die)
        if child.is_null():
            ends[die.offset] = at + child.size
            return
        if child.offset in seen:
            return
        seen.add(child.offset)
        yield child
        at = _end(child, ends)


def outside_functions(unit: CompileUnit) -> Iterator[DIE]:
    """All entries of a unit that are not inside a function: also in namespaces and classes."""
    seen: set[int] = set()
    waiting = [unit.get_top_DIE()]
    while waiting:
        for die in children(waiting.pop(), seen):
            yield die
            if die.tag in _SCOPES:
                waiting.append(die)


#: Of each unit: where the entries inside an entry end, by its offset.
_ENDS: WeakKeyDictionary[CompileUnit, dict[int, int]] = WeakKeyDictionary()


def _end(die: DIE, ends: dict[int, int]) -> int:
    """The offset after an entry and all inside it."""
    end = _known_end(die, ends)
    if end is not None:
        return end
    unit: Any = die.cu
    at = die.offset + die.size
    nested = [die.offset]
    while nested:
        inner = unit.get_DIE_from_refaddr(at)
        at += inner.size
        if inner.is_null():
            ends[nested.pop()] = at
            continue
        end = _known_end(inner, ends)
        if end is None:
            nested.append(inner.offset)
        else:
            at = end
    return at


def _known_end(die: DIE, ends: dict[int, int]) -> int | None:
    """The same if nothing has to be read for it."""
    after: int = die.offset + die.size
    if not die.has_children:
        return after
    sibling = die.attributes.get("DW_AT_sibling")
    if sibling is not None and sibling.form in _IN_UNIT:
        unit: Any = die.cu
        at = int(unit.cu_offset + sibling.raw_value)
        if at > after:
            return at
    return ends.get(die.offset)


def parent(die: DIE) -> DIE | None:
    """The entry around an entry; None for the entry of a unit."""
    if die._parent is not None:
        return die._parent
    unit: Any = die.cu
    around: DIE = unit.get_top_DIE()
    while around.offset < die.offset:
        inside: DIE | None = None
        for child in children(around, set()):
            if child.offset >= die.offset:
                if child.offset == die.offset:
                    return around
                break
            inside = child
        if inside is None:
            break
        around = inside
    return None


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


def type_of(die: DIE) -> DIE | None:
    """The entry of its type (DW_AT_type); None if it has none."""
    found = origin(die, "DW_AT_type")
    return None if found is None else found[0].get_DIE_from_attribute("DW_AT_type")


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
    around = parent(_chain(die)[-1])
    for _ in range(_MAX_SCOPES):
        if around is None or around.tag not in _SCOPES:
            break
        parts.append(name(around) or "(anonymous namespace)")
        around = parent(around)
    return "::".join(reversed(parts))


def is_named(die: DIE, written: str) -> bool:
    """Whether that is the function's name, qualified name, or name for the linker."""
    simple = name(die)
    if simple == written:
        return True
    if simple == written.rpartition("::")[2]:
        return qualified_name(die) == written
    linkage = origin(die, "DW_AT_linkage_name")
    return linkage is not None and text(linkage[1]) == written


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
