"""The functions of one image as DWARF has them: their blocks, and what was inlined into them.

A function's tree of blocks (DW_TAG_lexical_block, DW_TAG_inlined_subroutine) is read when an
address in it is looked up. ``named`` reads the units in which the name occurs.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from guestdbg.debugger.errors import InvalidLocation
from guestdbg.debugger.program import dwarf_entries
from guestdbg.debugger.program.code_ranges import Ranges, code_ranges, entry_address
from guestdbg.debugger.program.dwarf_names import NameIndex
from guestdbg.debugger.program.function_finder import function_finder
from guestdbg.debugger.program.line_table import address_ranges
from guestdbg.library_errors import reason

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit
    from elftools.dwarf.die import DIE
    from elftools.dwarf.dwarfinfo import DWARFInfo

    from guestdbg.debugger.program.function_finder import FunctionFinder
    from guestdbg.debugger.program.line_table import IsCode

log = logging.getLogger(__name__)

__all__ = ["Block", "Scopes"]

#: Blocks nested deeper than this are ignored. Compilers inline some tens of levels.
_MAX_DEPTH = 256
#: So many bytes of .debug_info are read to find all copies of one function.
_MAX_READ = 32 << 20
#: The same for a file with very many units.
_MAX_INLINED = 4 << 20
_KINDS: dict[str, Literal["function", "inlined", "lexical"]] = {
    "DW_TAG_subprogram": "function",
    "DW_TAG_inlined_subroutine": "inlined",
    "DW_TAG_lexical_block": "lexical",
}
_VARIABLES = ("DW_TAG_variable", "DW_TAG_formal_parameter")


class Block:
    """A function, a copy of an inlined function, or a lexical block.

    Attributes:
        kind: ``"function"``, ``"inlined"`` or ``"lexical"``.
        die: its DWARF entry.
        ranges: (start, end) of its code, in guest addresses.
        entry: the address of its first instruction (DW_AT_entry_pc, or else the first range's).
        parent: the block around it; None for a function.

    All but these is read when it is asked for. ``damaged`` is called with the exception if that
    fails; the answer is None or empty then.
    """

    def __init__(
        self,
        kind: Literal["function", "inlined", "lexical"],
        die: DIE,
        ranges: Ranges,
        slide: int,
        damaged: Callable[[Exception], None],
    ) -> None:
        self.kind = kind
        self.die = die
        self.ranges = ranges
        self.entry = entry_address(die, ranges, slide)
        self.parent: Block | None = None
        self._seen: set[int] = set()
        self._slide = slide
        self._damaged = damaged
        self._children: list[Block] | None = None
        self._variables: dict[str, DIE] | None = None

    def covers(self, address: int) -> bool:
        """Whether the block has code at ``address``."""
        return self.ranges.covers(address)

    @property
    def name(self) -> str | None:
        """The name of the function, with its namespaces and classes; None if it has none."""
        try:
            return dwarf_entries.qualified_name(self.die)
        except Exception as error:
            self._damaged(error)
            return None

    @property
    def call(self) -> tuple[str | None, int | None]:
        """The file and line of the call that was inlined; None for what is not known."""
        try:
            return dwarf_entries.call_site(self.die)
        except Exception as error:
            self._damaged(error)
            return None, None

    def offset(self, address: int) -> int:
        """How many bytes after the entry ``address`` lies, or after the start of its range."""
        if address >= self.entry:
            return address - self.entry
        return address - max(start for start, end in self.ranges if start <= address < end)

    @property
    def children(self) -> list[Block]:
        """The blocks directly inside it."""
        if self._children is None:
            self._read_children()
        assert self._children is not None
        return self._children

    @property
    def variables(self) -> dict[str, DIE]:
        """The parameters and variables declared in this block, not those of inner blocks."""
        if self._variables is None:
            self._read_children()
        assert self._variables is not None
        return self._variables

    def _read_children(self) -> None:
        self._children, self._variables = [], {}
        try:
            self._children, self._variables = self._parts()
        except Exception as error:
            self._damaged(error)

    def _parts(self) -> tuple[list[Block], dict[str, DIE]]:
        children: list[Block] = []
        variables: dict[str, DIE] = {}
        for die in dwarf_entries.children(self.die, self._seen):
            if die.tag in _VARIABLES:
                if name := dwarf_entries.name(die):
                    variables[name] = die
            elif kind := _KINDS.get(str(die.tag)):
                ranges = code_ranges(die, self._slide)
                if kind != "function" and ranges:
                    child = Block(kind, die, ranges, self._slide, self._damaged)
                    child.parent, child._seen = self, self._seen
                    children.append(child)
        return children, variables

    def inner(self, address: int) -> list[Block]:
        """This block and those inside it that cover ``address``, the innermost first."""
        found = [self]
        for _ in range(_MAX_DEPTH):
            child = next((c for c in found[-1].children if c.covers(address)), None)
            if child is None:
                break
            found.append(child)
        return found[::-1]

    def walk(self) -> Iterator[Block]:
        """This block and all inside it."""
        waiting = [(self, 0)]
        while waiting:
            block, depth = waiting.pop()
            yield block
            if depth < _MAX_DEPTH:
                waiting += [(child, depth + 1) for child in block.children]


class Scopes:
    """The functions of one image; empty without DWARF.

    ``is_code`` says whether code is in the image: what the linker removed is not. ``name`` is the
    file's, for messages.
    """

    def __init__(
        self,
        dwarf: DWARFInfo | None,
        slide: int = 0,
        is_code: IsCode | None = None,
        name: str = "the file",
    ) -> None:
        self._dwarf = dwarf
        self._name = name
        self._slide = slide
        self._is_code: IsCode = is_code or (lambda unit, start, end: True)
        self._units: list[tuple[int, int, int]] | None = None
        self._functions: dict[int, list[Block]] = {}
        self._named: dict[str, list[Block]] = {}
        self._names: NameIndex | None = None
        self._finder: FunctionFinder | None = None
        self._listed = False
        if dwarf is not None:
            try:
                self._finder = function_finder(dwarf)
            except Exception as error:
                self._damaged(error)

    def _damaged(self, error: Exception) -> None:
        """Warn, and do without from now on."""
        if self._dwarf is None:
            return
        log.warning(
            "the debug information of %s on functions is damaged, and is ignored: %s",
            self._name,
            reason(error),
        )
        self._dwarf = None
        self._units, self._functions, self._named = [], {}, {}

    @property
    def names(self) -> NameIndex | None:
        """In which units names occur; None without DWARF. Raises what pyelftools does."""
        if self._names is None and self._dwarf is not None:
            self._names = NameIndex(self._dwarf)
        return self._names

    def at(self, address: int) -> list[Block]:
        """The blocks that cover ``address``, the innermost first, the function last."""
        if self._dwarf is None:
            return []
        try:
            for offset in self._units_at(address):
                for function in self._unit(offset):
                    if function.covers(address):
                        return function.inner(address)
        except Exception as error:  # pyelftools may raise anything for a damaged file
            self._damaged(error)
        return []

    def named(self, name: str) -> list[Block]:
        """The functions with code and the inlined copies of that name, by address.

        The name is that of the function alone or with its namespaces and classes, or the name for
        the linker. Raises InvalidLocation if too much has to be read to find all.
        """
        if self._dwarf is None:
            return []
        found = self._named.get(name)
        if found is None:
            try:
                found = self._find(name)
            except InvalidLocation:
                raise
            except Exception as error:
                self._damaged(error)
                found = []
            self._named[name] = found
        return found

    def declares_local(self, name: str) -> bool | None:
        """Whether a function has a parameter or variable of that name.

        None if too much would have to be read to know that.
        """
        if self._dwarf is None:
            return False
        if self._finder is not None:
            return None
        try:
            names = self.names
            assert names is not None
            units = names.with_name(name)
            shared = names.has_foreign_origins and bool(units)
            if names.supplementary is not None:
                shared = shared or bool(names.supplementary.with_name(name))
            if shared or sum(u.size for u in units) > _MAX_READ:
                return None
            return any(
                name in block.variables
                for unit in units
                for function in self._unit(unit.cu_offset)
                for block in function.walk()
            )
        except Exception as error:
            self._damaged(error)
            return False

    def _find(self, name: str) -> list[Block]:
        if self._finder is not None:
            return self._find_in(self._finder, name)
        names = self.names
        assert names is not None
        units = {u.cu_offset: u for u in names.with_name(name.rpartition("::")[2])}
        self._check_size(name, units.values())
        entries = []
        if names.has_foreign_origins:
            entries += _entries(units.values(), name)
        if (supplementary := names.supplementary) is not None:
            entries += _entries(supplementary.with_name(name.rpartition("::")[2]), name)
        if entries:
            units |= {u.cu_offset: u for u in names.referring_to(entries)}
            self._check_size(name, units.values())
        found = [
            block
            for offset in units
            for function in self._unit(offset)
            for block in function.walk()
            if block.kind != "lexical" and dwarf_entries.is_named(block.die, name)
        ]
        return sorted(found, key=lambda block: block.entry)

    def _find_in(self, finder: FunctionFinder, name: str) -> list[Block]:
        """The same in a file with very many units."""
        functions = finder.named(name)
        size = sum(function.size for function in functions)
        if size > _MAX_INLINED:
            raise InvalidLocation(
                f"{name!r} is in {len(functions)} functions, most of which inline it; these are "
                "too many to look for all its copies: name a line, as in file.c:12"
            )
        found = [
            block
            for function in functions
            if (outer := self._block(function.unit, function.die)) is not None
            for block in outer.walk()
            if block.kind != "lexical" and dwarf_entries.is_named(block.die, name)
        ]
        return sorted(found, key=lambda block: block.entry)

    def _block(self, unit: CompileUnit, die: DIE) -> Block | None:
        """A function's block; None if it has no code."""
        linked = code_ranges(die, 0)
        ranges = Ranges(
            (start + self._slide, end + self._slide)
            for start, end in linked
            if self._is_code(unit, start, end)
        )
        return Block("function", die, ranges, self._slide, self._damaged) if ranges else None

    def _check_size(self, name: str, units: Collection[CompileUnit]) -> None:
        if sum(unit.size for unit in units) > _MAX_READ:
            raise InvalidLocation(
                f"{name!r} occurs in {len(units)} compilation units, which are too many to look "
                "for all its copies: name a line, as in file.c:12"
            )

    def _units_at(self, address: int) -> list[int]:
        """The offsets of the compilation units that have code at ``address``."""
        assert self._dwarf is not None
        if self._units is None and self._finder is not None:
            self._units = self._listed_units()
            self._listed = bool(self._units)
        found = self._units_in_list(address) if self._units is not None else []
        if self._units is None or (self._listed and not found):
            self._units, self._listed = self._all_units(), False
            found = self._units_in_list(address)
        return found

    def _all_units(self) -> list[tuple[int, int, int]]:
        """(start, end, offset) of the code of all units, by their entries."""
        assert self._dwarf is not None
        return sorted(
            (start, end, unit.cu_offset)
            for unit in self._dwarf.iter_CUs()
            for start, end in code_ranges(unit.get_top_DIE(), self._slide)
        )

    def _listed_units(self) -> list[tuple[int, int, int]] | None:
        """The same of those in ``.debug_aranges``, which takes no reading; None if it is empty."""
        assert self._dwarf is not None
        table = address_ranges(self._dwarf)
        if table is None or not table.entries:
            return None
        slide = self._slide
        return sorted(
            (e.begin_addr + slide, e.begin_addr + e.length + slide, e.info_offset)
            for e in table.entries
        )

    def _units_in_list(self, address: int) -> list[int]:
        assert self._units is not None
        i = bisect_right(self._units, (address, 1 << 64, 0))
        # Ranges may overlap, as those of code that the linker removed do: look back a little.
        return [u for start, end, u in self._units[max(0, i - 8) : i] if start <= address < end]

    def _unit(self, offset: int) -> list[Block]:
        functions = self._functions.get(offset)
        if functions is None:
            assert self._dwarf is not None
            unit = self._dwarf.get_CU_at(offset)
            dies = self._finder.functions(unit) if self._finder is not None else None
            blocks = (self._block(unit, die) for die in dies or _functions(unit))
            functions = self._functions[offset] = [b for b in blocks if b is not None]
        return functions


def _functions(unit: CompileUnit) -> Iterator[DIE]:
    """The functions of a unit, those in namespaces and classes included."""
    for die in dwarf_entries.outside_functions(unit):
        if die.tag == "DW_TAG_subprogram":
            yield die


def _entries(units: Iterable[CompileUnit], name: str) -> list[int]:
    """The offsets of the functions of that name, to which other units may refer."""
    return [
        die.offset
        for unit in units
        for die in _functions(unit)
        if dwarf_entries.is_named(die, name)
    ]
