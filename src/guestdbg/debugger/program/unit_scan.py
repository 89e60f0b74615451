"""Where the entries of a unit begin, found without reading them: for files with very many.

A unit of a kernel has ten thousand entries of types, and a hundred functions. Only the lengths of
the entries' attributes are needed to get from one to the next. DWARF 5, section 7.5.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.program.elf_bounds import section_bytes

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.dwarfinfo import DWARFInfo

__all__ = ["LARGE", "Abbreviation", "UnitScan", "Units", "abbreviations", "uleb"]

#: .debug_info of more bytes than this is not read as a whole.
LARGE = 16 << 20

_SUBPROGRAM, _SIBLING, _NAME = 0x2E, 0x01, 0x03
_DECLARATION, _INLINE, _ABSTRACT_ORIGIN, _SPECIFICATION = 0x3C, 0x20, 0x31, 0x47
_REF_ADDR, _REF4, _IMPLICIT_CONST, _STRP, _STRING_FORM = 0x10, 0x13, 0x21, 0x0E, 0x08
_ULEB, _STRING, _BLOCK, _BLOCK1, _BLOCK2, _BLOCK4 = -1, -2, -3, -4, -5, -6
#: Bytes of each form in 32-bit DWARF with 64-bit addresses; negative: how to find them out.
_FORMS = {
    0x01: 8, 0x03: _BLOCK2, 0x04: _BLOCK4, 0x05: 2, 0x06: 4, 0x07: 8, 0x08: _STRING, 0x09: _BLOCK,
    0x0A: _BLOCK1, 0x0B: 1, 0x0C: 1, 0x0D: _ULEB, 0x0E: 4, 0x0F: _ULEB, 0x10: 4, 0x11: 1, 0x12: 2,
    0x13: 4, 0x14: 8, 0x15: _ULEB, 0x17: 4, 0x18: _BLOCK, 0x19: 0, 0x1A: _ULEB, 0x1B: _ULEB,
    0x1C: 4, 0x1D: 4, 0x1E: 16, 0x1F: 4, 0x20: 8, 0x21: 0, 0x22: _ULEB, 0x23: _ULEB, 0x24: 8,
    0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4, 0x29: 1, 0x2A: 2, 0x2B: 3, 0x2C: 4, 0x1F20: 4, 0x1F21: 4,
}  # fmt: skip


class Abbreviation(NamedTuple):
    """What the entries of one abbreviation have in common.

    Attributes:
        children: whether there are entries inside.
        steps: the bytes of the attributes, those of fixed length taken together; negative: a kind
            of length that the entry itself has.
        sibling: how many bytes after the code DW_AT_sibling is; -1: there is none there.
        is_function: DW_TAG_subprogram.
        names_first: the first bytes of the entry are its name (DW_FORM_string), or the reference to
            it (DW_FORM_strp).
        has_name: DW_AT_name.
        defines: not a mere declaration.
        specifies: the first bytes of the entry are a reference to its declaration in the unit.
        foreign: DW_AT_abstract_origin may lead into another unit.
    """

    children: bool
    steps: tuple[int, ...]
    sibling: int
    is_function: bool
    names_first: bool
    has_name: bool
    defines: bool
    specifies: bool
    foreign: bool


def abbreviations(section: bytes, at: int) -> dict[int, Abbreviation]:
    """The table of abbreviations at an offset of ``.debug_abbrev``.

    Raises ValueError or IndexError if it is damaged, or has forms that are not known.
    """
    found: dict[int, Abbreviation] = {}
    while True:
        code, at = uleb(section, at)
        if not code:
            return found
        tag, at = uleb(section, at)
        children = section[at] != 0
        at += 1
        specs: list[tuple[int, int]] = []
        while True:
            attribute, at = uleb(section, at)
            form, at = uleb(section, at)
            if form == _IMPLICIT_CONST:
                _, at = uleb(section, at)
            if not attribute and not form:
                break
            specs.append((attribute, form))
        found[code] = _abbreviation(tag, children, specs)


def _abbreviation(tag: int, children: bool, specs: list[tuple[int, int]]) -> Abbreviation:
    steps: list[int] = []
    sibling, position = -1, 0
    for attribute, form in specs:
        size = _FORMS.get(form)
        if size is None:
            raise ValueError(f"an attribute of the unknown form {form:#x}")
        if attribute == _SIBLING and form == _REF4 and position >= 0:
            sibling = position
        position = position + size if position >= 0 and size >= 0 else -1
        if size > 0 and steps and steps[-1] > 0:
            steps[-1] += size
        elif size:
            steps.append(size)
    attributes = dict(specs)
    first = next(((a, f) for a, f in specs if _FORMS[f]), None)
    return Abbreviation(
        children,
        tuple(steps),
        sibling,
        tag == _SUBPROGRAM,
        first in ((_NAME, _STRP), (_NAME, _STRING_FORM)),
        _NAME in attributes,
        _DECLARATION not in attributes or _INLINE in attributes,
        first == (_SPECIFICATION, _REF4),
        attributes.get(_ABSTRACT_ORIGIN) == _REF_ADDR,
    )


class UnitScan:
    """The entries directly inside the entry of a unit (32-bit DWARF).

    Raises ValueError, IndexError or KeyError if the unit is damaged.

    Attributes:
        starts: the offsets of these entries in ``.debug_info``, in order.
        functions: the offsets of those that are functions.
        end: the end of the unit.
    """

    def __init__(
        self, info: bytes, unit: CompileUnit, table: dict[int, Abbreviation], top_size: int
    ) -> None:
        self.starts: list[int] = []
        self.functions: list[int] = []
        self.end = unit.cu_offset + unit.size
        at = unit.cu_die_offset + top_size
        starts, functions, base = self.starts, self.functions, unit.cu_offset
        while at < self.end:
            start = at
            code, after = uleb(info, at)
            if not code:
                break
            kind = table[code]
            starts.append(start)
            if kind.is_function:
                functions.append(start)
            at = _end(info, after, kind)
            if not kind.children:
                continue
            if kind.sibling >= 0:
                to = after + kind.sibling
                sibling = base + int.from_bytes(info[to : to + 4], "little")
                if at < sibling <= self.end:
                    at = sibling
                    continue
            at = self._after_children(info, at, table, base)

    def _after_children(
        self, info: bytes, at: int, table: dict[int, Abbreviation], base: int
    ) -> int:
        depth = 1
        while depth and at < self.end:
            code, after = uleb(info, at)
            if not code:
                depth -= 1
                at = after
                continue
            kind = table[code]
            at = _end(info, after, kind)
            if not kind.children:
                continue
            sibling = 0
            if kind.sibling >= 0:
                to = after + kind.sibling
                sibling = base + int.from_bytes(info[to : to + 4], "little")
            if at < sibling <= self.end:
                at = sibling
            else:
                depth += 1
        return at

    def functions_at(self, positions: Iterable[int]) -> set[int]:
        """The functions that have the bytes at these offsets, in themselves or inside them."""
        found = set()
        for position in positions:
            i = bisect_right(self.starts, position) - 1
            if i >= 0 and position < self.end:
                found.add(self.starts[i])
        return found.intersection(self.functions)

    def extent(self, start: int) -> tuple[int, int]:
        """Where one of the entries begins, and where it ends, with all that is inside it."""
        i = bisect_right(self.starts, start)
        return start, self.starts[i] if i < len(self.starts) else self.end


class Units:
    """The tables and scans of the units of a file, each made once."""

    def __init__(self, dwarf: DWARFInfo) -> None:
        self.info = section_bytes(dwarf.debug_info_sec)
        self._abbreviations = section_bytes(dwarf.debug_abbrev_sec)
        self.units = list(dwarf.iter_CUs())
        self._starts = [unit.cu_offset for unit in self.units]
        self._tables: dict[int, dict[int, Abbreviation]] = {}
        self._scans: dict[int, UnitScan] = {}

    def unit_at(self, position: int) -> CompileUnit:
        """The unit that has the byte at an offset of ``.debug_info``."""
        return self.units[max(0, bisect_right(self._starts, position) - 1)]

    @property
    def has_foreign_origins(self) -> bool:
        """Whether abstract origins may lie in another unit, as after link-time optimisation."""
        pair = bytes((_ABSTRACT_ORIGIN, _REF_ADDR))
        return pair in self._abbreviations and any(
            kind.foreign for unit in self.units for kind in self.table(unit).values()
        )

    def table(self, unit: CompileUnit) -> dict[int, Abbreviation]:
        """The abbreviations of a unit."""
        at = unit["debug_abbrev_offset"]
        found = self._tables.get(at)
        if found is None:
            found = self._tables[at] = abbreviations(self._abbreviations, at)
        return found

    def scan(self, unit: CompileUnit) -> UnitScan:
        """The entries of a unit."""
        found = self._scans.get(unit.cu_offset)
        if found is None:
            size = unit.get_top_DIE().size
            found = UnitScan(self.info, unit, self.table(unit), size)
            self._scans[unit.cu_offset] = found
        return found


def _end(info: bytes, at: int, kind: Abbreviation) -> int:
    """The offset after the attributes of an entry, which begin at ``at``."""
    for step in kind.steps:
        if step > 0:
            at += step
        elif step == _ULEB:
            while info[at] & 0x80:
                at += 1
            at += 1
        elif step == _STRING:
            at = info.index(b"\0", at) + 1
        elif step == _BLOCK:
            size, at = uleb(info, at)
            at += size
        else:
            width = {_BLOCK1: 1, _BLOCK2: 2, _BLOCK4: 4}[step]
            at += width + int.from_bytes(info[at : at + width], "little")
    return at


def uleb(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned number, and the offset after it."""
    byte = data[at]
    at += 1
    if byte < 0x80:
        return byte, at
    value, shift = byte & 0x7F, 7
    while shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number that does not end")
