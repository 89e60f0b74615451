"""The registers in which the arguments of a function arrive.

Procedure Call Standard for the Arm 64-bit Architecture (AAPCS64), section 6.8.2. Code that was
compiled without optimisation says of a parameter only where it is stored, also for the function's
first instruction, which has not stored it yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.program import dwarf_entries
from guestdbg.debugger.program.local_variables.location import FIRST_VECTOR

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

__all__ = ["argument_register"]

_ARGUMENT_REGISTERS = 8
_DW_ATE_COMPLEX_FLOAT, _DW_ATE_FLOAT = 3, 4
_POINTERS = (
    "DW_TAG_pointer_type",
    "DW_TAG_reference_type",
    "DW_TAG_rvalue_reference_type",
    "DW_TAG_enumeration_type",
)
_SAME = (
    "DW_TAG_typedef",
    "DW_TAG_const_type",
    "DW_TAG_volatile_type",
    "DW_TAG_restrict_type",
    "DW_TAG_atomic_type",
)
_MOST_TYPES = 32


def argument_register(function: DIE, parameter: DIE) -> int | None:
    """The DWARF number of the X or V register that has a parameter when the function is entered.

    None where that takes more than the numbers and pointers before it to know: for structures, and
    what is passed on the stack.
    """
    used = {"integer": 0, "float": 0}
    for die in dwarf_entries.children(function, set()):
        if die.tag != "DW_TAG_formal_parameter":
            continue
        kind = _kind(die)
        if kind is None or used[kind] >= _ARGUMENT_REGISTERS:
            return None
        if die.offset == parameter.offset:
            return used[kind] + (FIRST_VECTOR if kind == "float" else 0)
        used[kind] += 1
    return None


def _kind(parameter: DIE) -> str | None:
    """``"integer"`` (in one X register), ``"float"`` (in a V register), or None."""
    die = parameter
    for _ in range(_MOST_TYPES):
        type_ = dwarf_entries.type_of(die)
        if type_ is None:
            return None
        die = type_
        if die.tag in _POINTERS:
            return "integer"
        if die.tag == "DW_TAG_base_type":
            size = die.attributes.get("DW_AT_byte_size")
            encoding = die.attributes.get("DW_AT_encoding")
            if size is None or encoding is None or encoding.value == _DW_ATE_COMPLEX_FLOAT:
                return None
            if encoding.value == _DW_ATE_FLOAT:
                return "float"
            return "integer" if size.value <= 8 else None
        if die.tag not in _SAME:
            return None
    return None
