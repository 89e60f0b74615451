"""Tombstones: what linkers write for the addresses of code and data that they have removed.

GNU ld writes 0 (in range lists 1, as 0 would end the list), LLVM's lld the highest address or the
one below it, also of 32 bits where the field has 32. An address of these is real only if the image
has something there: a guest that is linked at 0 has code at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

from guestdbg.debugger.program import dwarf_entries

if TYPE_CHECKING:
    from elftools.dwarf.compileunit import CompileUnit

    from guestdbg.debugger.program.symbol_table import SymbolTable

__all__ = ["TOMBSTONES", "is_removed_function"]


class _Claim(NamedTuple):
    """A function: its names (linkage names too), and its size."""

    names: set[str]
    size: int


#: The addresses that linkers write for what they have removed, before any slide.
TOMBSTONES = frozenset(
    (0, 1, 0xFFFF_FFFF, 0xFFFF_FFFE, 0xFFFF_FFFF_FFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFE)
)


def is_removed_function(
    unit: CompileUnit, start: int, end: int, symbols: SymbolTable, slide: int
) -> bool:
    """Whether the code that ``unit`` has from ``start``, a tombstone, to ``end`` was removed.

    For an image with code at that address: then it is removed unless the symbol there is one of the
    functions that the unit says are there. A unit without functions there (assembly) is believed.
    """
    claimed = _functions_at(unit, start)
    of_this_size = [names for names, size in claimed if size == end - start]
    names = set().union(*(of_this_size or [names for names, _ in claimed]))
    if not names:
        return False
    real = {s.name for s in symbols.starting_at(start + slide)}
    return bool(real) and not names & real


#: The functions of each unit that begin at a tombstone, by the address.
_CLAIMED: WeakKeyDictionary[CompileUnit, dict[int, list[_Claim]]] = WeakKeyDictionary()


def _functions_at(unit: CompileUnit, address: int) -> list[_Claim]:
    """The functions of ``unit`` that begin at ``address``, a tombstone."""
    claimed = _CLAIMED.get(unit)
    if claimed is None:
        claimed = _CLAIMED[unit] = {}
        for at, claim in _claims(unit):
            claimed.setdefault(at, []).append(claim)
    return claimed.get(address, [])


def _claims(unit: CompileUnit) -> Iterator[tuple[int, _Claim]]:
    """The functions of ``unit`` at tombstones, each with its address."""
    for die in dwarf_entries.outside_functions(unit):
        low = die.attributes.get("DW_AT_low_pc")
        if die.tag != "DW_TAG_subprogram" or low is None or low.value not in TOMBSTONES:
            continue
        high = die.attributes.get("DW_AT_high_pc")
        size = high.value if high is not None else 0
        if high is not None and high.form == "DW_FORM_addr":
            size -= low.value
        yield low.value, _Claim(_names(die), size)


def _names(die: Any) -> set[str]:
    """The names of a function, also those of its declaration (DW_AT_specification)."""
    found: set[str] = set()
    for _ in range(4):
        for key in ("DW_AT_name", "DW_AT_linkage_name", "DW_AT_MIPS_linkage_name"):
            if key in die.attributes:
                value = die.attributes[key].value
                found.add(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
        for key in ("DW_AT_specification", "DW_AT_abstract_origin"):
            if key in die.attributes:
                die = die.get_DIE_from_attribute(key)
                break
        else:
            break
    return found
