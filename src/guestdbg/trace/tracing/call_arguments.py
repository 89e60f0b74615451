"""The arguments of calls, from X0 to X7 and the guest's debug information."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger.program import dwarf_entries
from guestdbg.debugger.program.local_variables.arguments import argument_register

if TYPE_CHECKING:
    from elftools.dwarf.die import DIE

    from guestdbg.debugger import Guest
    from guestdbg.debugger.program.image import Image

__all__ = ["CallArguments"]

_REGISTERS = 8
_MOST_FUNCTIONS = 1 << 14
_MOST_TYPES = 32
_POINTERS = ("DW_TAG_pointer_type", "DW_TAG_reference_type", "DW_TAG_rvalue_reference_type")
_DW_ATE_BOOLEAN, _DW_ATE_SIGNED, _DW_ATE_SIGNED_CHAR = 2, 5, 6

#: The name of a parameter, the X register that it arrives in, and how its value is shown.
_Parameter = tuple[str, int, Callable[[int], str]]


class CallArguments:
    """Shows the arguments with which functions are called.

    Those that arrive in X0 to X7, of functions that an ELF file of the guest describes (AAPCS64,
    section 6.8.2): numbers, pointers, enumerators. What is passed in vector registers or on the
    stack, and what comes after a structure, is left out.
    """

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        self._known: dict[int, tuple[_Parameter, ...]] = {}

    def of(self, function: int, registers: tuple[int, ...]) -> object:
        """Names and texts; None if nothing is known of the function."""
        known = self._known.get(function)
        if known is None:
            if len(self._known) >= _MOST_FUNCTIONS:
                self._known.clear()
            known = self._known[function] = self._parameters(function)
        return tuple((name, show(registers[n])) for name, n, show in known) or None

    def _parameters(self, function: int) -> tuple[_Parameter, ...]:
        for image in self._guest.images:
            if image.covers(function):
                try:
                    return tuple(_described(image, function))
                except Exception:  # of a damaged file, as elftools and our readers raise it
                    return ()
        return ()


def _described(image: Image, address: int) -> list[_Parameter]:
    """The parameters of the function that begins at an address."""
    block = next((b for b in image.scopes.at(address) if b.kind == "function"), None)
    if block is None or block.entry != address:
        return []
    found: list[_Parameter] = []
    for name, die in block.variables.items():
        if die.tag != "DW_TAG_formal_parameter":
            continue
        register = argument_register(block.die, die)
        if register is not None and register < _REGISTERS:
            found.append((name, register, _shown_as(die)))
    return sorted(found, key=lambda parameter: parameter[1])


def _shown_as(parameter: DIE) -> Callable[[int], str]:
    """How a value of the parameter's type is shown, which is in the lowest bits of a register."""
    die = parameter
    for _ in range(_MOST_TYPES):
        type_ = dwarf_entries.type_of(die)
        if type_ is None or type_.tag in _POINTERS:
            return hex
        die = type_
        if die.tag == "DW_TAG_enumeration_type":
            return _enumerator(die)
        if die.tag == "DW_TAG_base_type":
            return _number(die)
    return hex


def _number(type_: DIE) -> Callable[[int], str]:
    bits = 8 * int(type_.attributes["DW_AT_byte_size"].value)
    encoding = type_.attributes["DW_AT_encoding"].value
    mask, sign = (1 << bits) - 1, 1 << bits - 1
    if encoding == _DW_ATE_BOOLEAN:
        return lambda value: "true" if value & mask else "false"
    if encoding in (_DW_ATE_SIGNED, _DW_ATE_SIGNED_CHAR):
        return lambda value: str(((value & mask) ^ sign) - sign)
    return lambda value: str(value & mask)


def _enumerator(type_: DIE) -> Callable[[int], str]:
    size = type_.attributes.get("DW_AT_byte_size")
    mask = (1 << 8 * int(size.value)) - 1 if size is not None else (1 << 32) - 1
    names: dict[int, str] = {}
    for die in dwarf_entries.children(type_, set()):
        name, value = die.attributes.get("DW_AT_name"), die.attributes.get("DW_AT_const_value")
        if die.tag == "DW_TAG_enumerator" and name is not None and value is not None:
            names.setdefault(int(value.value) & mask, name.value.decode("utf-8", "replace"))
    return lambda value: names.get(value & mask) or str(value & mask)
