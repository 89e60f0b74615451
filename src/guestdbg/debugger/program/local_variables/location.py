"""Where a variable is at an address: in a register, or in memory at a register plus an offset.

DWARF 5, sections 2.5 and 2.6 (expressions and location lists) and 3.3.5 (frame base). Of the
expressions only the simple ones are understood, with which a provider can find a variable by
itself. drgn evaluates the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.program.code_ranges import base_address

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

    from guestdbg.debugger.program.image import Image

__all__ = [
    "FIRST_VECTOR",
    "VariableLocation",
    "needs_entry_value",
    "needs_vectors",
    "variable_location",
]

#: DWARF register numbers of AArch64: X0 to X30, SP; V0 to V31.
_SP = 31
FIRST_VECTOR, _LAST_VECTOR = 64, 95
_OPS_OF_REGISTERS = ("DW_OP_regx", "DW_OP_regval_type", "DW_OP_GNU_regval_type")
_OP_REG, _OP_BREG = "DW_OP_reg", "DW_OP_breg"


class VariableLocation(NamedTuple):
    """Where a variable is.

    Attributes:
        register: 0 to 30 for X0 to X30, 31 for SP, 64 to 95 for V0 to V31; None: at a constant
            address.
        offset: what is added to the register, or the constant address.
        in_memory: it is at that address. Otherwise it is the register itself.
        throughout: it has this location in all of its function: also in the first instructions,
            before it is stored there.
    """

    register: int | None
    offset: int
    in_memory: bool
    throughout: bool

    @property
    def vector(self) -> int | None:
        """The number of the V register that the variable is; None if it is none."""
        if self.in_memory or self.register is None or self.register < FIRST_VECTOR:
            return None
        return self.register - FIRST_VECTOR


def variable_location(
    image: Image, die: DIE, function: DIE, address: int
) -> VariableLocation | None:
    """Where a variable is at an instruction of its function; None if that is not simple.

    Raises what pyelftools does for a damaged file.
    """
    operations, throughout = _operations(image, die, address)
    if len(operations) != 1:
        return None
    name, arguments = operations[0]
    if name == "DW_OP_addr":
        return VariableLocation(None, arguments[0] + image.slide, True, True)
    if name == "DW_OP_fbreg":
        base = _frame_base(image, function, address)
        if base is None:
            return None
        register, offset = base
        return VariableLocation(register, offset + arguments[0], True, throughout)
    if (number := _number(name, _OP_BREG)) is not None:
        return VariableLocation(number, arguments[0], True, throughout)
    if name == "DW_OP_regx" and FIRST_VECTOR <= arguments[0] <= _LAST_VECTOR:
        return VariableLocation(arguments[0], 0, False, throughout)
    if (number := _number(name, _OP_REG)) is not None and number != _SP:
        return VariableLocation(number, 0, False, throughout)
    return None


def needs_entry_value(image: Image, die: DIE, address: int) -> bool:
    """Whether only what a register was when the function was entered gives a variable's value.

    That is DW_OP_entry_value, for which the caller's code has to be searched.
    """
    operations, _throughout = _operations(image, die, address)
    return any("entry_value" in name for name, _arguments in operations)


def needs_vectors(image: Image, die: DIE, address: int) -> bool:
    """Whether a variable is spread over V registers, or is computed from them."""
    operations, _throughout = _operations(image, die, address)
    return any(
        name in _OPS_OF_REGISTERS and FIRST_VECTOR <= arguments[0] <= _LAST_VECTOR
        for name, arguments in operations
    )


def _operations(image: Image, die: DIE, address: int) -> tuple[list[tuple[str, list[int]]], bool]:
    """The expression of a variable at an address, and whether it has the same everywhere."""
    attribute = die.attributes.get("DW_AT_location")
    if attribute is None:
        return [], False
    if attribute.form == "DW_FORM_exprloc" or attribute.form.startswith("DW_FORM_block"):
        return _parsed(die, attribute.value), True
    found = _in_list(image, die, int(attribute.value), address - image.slide)
    return ([], False) if found is None else (_parsed(die, found), False)


def _parsed(die: DIE, expression: Any) -> list[tuple[str, list[int]]]:
    from elftools.dwarf.dwarf_expr import DWARFExprParser

    parsed = DWARFExprParser(die.cu.structs).parse_expr(expression)
    return [(operation.op_name, operation.args) for operation in parsed]


def _number(name: str, prefix: str) -> int | None:
    digits = name.removeprefix(prefix)
    if digits == name or not digits.isdecimal():
        return None
    return int(digits)


def _in_list(image: Image, die: DIE, offset: int, linked: int) -> Any | None:
    """The expression of a location list for an address as linked."""
    from elftools.dwarf.locationlists import BaseAddressEntry, LocationEntry

    lists = die.dwarfinfo.location_lists()
    if lists is None:
        return None
    unit: Any = die.cu
    base = base_address(unit)
    for entry in lists.get_location_list_at_offset(offset, die):
        if isinstance(entry, BaseAddressEntry):
            base = entry.base_address
        elif isinstance(entry, LocationEntry):
            at = 0 if entry.is_absolute else base
            if at + entry.begin_offset <= linked < at + entry.end_offset:
                return entry.loc_expr
    return None


def _frame_base(image: Image, function: DIE, address: int) -> tuple[int, int] | None:
    """DW_AT_frame_base at an instruction, as a register and an offset."""
    attribute = function.attributes.get("DW_AT_frame_base")
    if attribute is None or not (
        attribute.form == "DW_FORM_exprloc" or attribute.form.startswith("DW_FORM_block")
    ):
        return None
    operations = _parsed(function, attribute.value)
    if len(operations) != 1:
        return None
    name, arguments = operations[0]
    if name == "DW_OP_call_frame_cfa":
        return image.frames.cfa(address)
    if (number := _number(name, _OP_REG)) is not None:
        return number, 0
    if (number := _number(name, _OP_BREG)) is not None:
        return number, arguments[0]
    return None
