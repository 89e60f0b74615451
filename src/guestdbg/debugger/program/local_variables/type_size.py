"""The size of a variable by its DWARF type, before drgn makes room for a value of it.

DWARF 5, sections 5.5 (arrays), 5.13 (subranges) and 2.21 (sizes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.program import dwarf_entries

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

__all__ = ["MOST_IN_REGISTERS", "type_size"]

#: More bytes than this are in no registers, and in no constant of the debug information.
MOST_IN_REGISTERS = 16 << 20

#: So many types of types are followed. drgn follows fewer.
_MOST_TYPES = 1024


def type_size(variable: DIE) -> int:
    """The size of a variable in bytes; 0 where the debug information does not say.

    Raises ValueError if the types are nested too deeply, or refer to each other in a ring, and what
    pyelftools does for a damaged file.
    """
    die = variable
    count = 1
    for _ in range(_MOST_TYPES):
        size = die.attributes.get("DW_AT_byte_size")
        if size is not None and die is not variable:
            return count * size.value if isinstance(size.value, int) else 0
        if die.tag == "DW_TAG_array_type":
            count *= _elements(die)
        elif die.tag == "DW_TAG_pointer_type":
            return count * 8
        type_ = dwarf_entries.type_of(die)
        if type_ is None:
            return 0
        die = type_
    raise ValueError("its types are nested too deeply")


def _elements(array: DIE) -> int:
    """How many elements all dimensions of an array have together."""
    count = 1
    for die in dwarf_entries.children(array, set()):
        if die.tag == "DW_TAG_subrange_type":
            attributes = die.attributes
            if "DW_AT_count" in attributes:
                number = attributes["DW_AT_count"].value
            elif "DW_AT_upper_bound" in attributes:
                bound = attributes["DW_AT_upper_bound"].value
                number = bound + 1 if isinstance(bound, int) else 0
            else:
                number = 0
            count *= number if isinstance(number, int) else 0
    return count
