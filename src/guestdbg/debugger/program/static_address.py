"""Where a variable with a number is, by types alone: no guest memory is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_objects import float_format, plain
from guestdbg.debugger.program.variable_expression import Element

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.variable_expression import PathStep

__all__ = ["StaticAddress", "static_address"]

#: A larger offset is a mistake; evaluating the condition reports it.
_MOST_OFFSET = 1 << 48


class StaticAddress(NamedTuple):
    """A variable with a number that is found without debug information, once this is known.

    Attributes:
        address: of the variable or, with pointers on the way, of the first of them.
        size: of the number in bytes: 1, 2, 4 or 8.
        signed: whether it is signed.
        pointer_offsets: empty if the variable is at ``address``. Otherwise a pointer is there: add
            the first offset to it. Each further offset is added to a pointer read at the address
            so far; the variable is at the address after the last.
        truth: it is a ``_Bool``: any value but 0 counts as 1.
        register: 0 to 30 for X0 to X30, 31 for SP: ``address`` is added to its value, modulo 2^64.
            64 to 95 for V0 to V31.
        in_register: the first value on the way (the pointer, or the number itself) is not in
            memory, but is the register's.
        float_format: it is a floating-point value; None: an integer.
    """

    address: int
    size: int
    signed: bool
    pointer_offsets: tuple[int, ...] = ()
    truth: bool = False
    register: int | None = None
    in_register: bool = False
    float_format: FloatFormat | None = None


def static_address(address: int, type_: Any, path: Sequence[PathStep]) -> StaticAddress | None:
    """From a variable at ``address`` along the path; None unless a number is at its end."""
    drgn = drgn_import.drgn()
    kinds = drgn.TypeKind
    offsets: list[int] = []
    offset = 0
    for step in path:
        type_ = plain(type_)
        if type_.kind == kinds.POINTER:
            offsets.append(offset)
            offset, type_ = 0, plain(type_.type)
        elif not isinstance(step, Element):
            if step.arrow:
                return None
        elif type_.kind != kinds.ARRAY or _past_the_end(type_, step.number):
            return None
        else:
            type_ = type_.type
        if isinstance(step, Element):
            offset += step.number * int(drgn.sizeof(type_))
            continue
        member = type_.member(step.name)
        if member.bit_field_size is not None:
            return None
        offset += int(drgn.offsetof(type_, step.name))
        type_ = member.type
    type_ = plain(type_)
    if type_.kind == kinds.ENUM:
        type_ = plain(type_.type)
    floating = float_format(type_)
    if floating is None and type_.kind not in (kinds.INT, kinds.BOOL, kinds.POINTER):
        return None
    offsets.append(offset)
    if max(offsets) >= _MOST_OFFSET:
        return None
    signed = type_.kind == kinds.INT and bool(type_.is_signed)
    return StaticAddress(
        address + offsets[0],
        int(drgn.sizeof(type_)),
        signed,
        tuple(offsets[1:]),
        type_.kind == kinds.BOOL,
        float_format=floating,
    )


def _past_the_end(array: Any, index: int) -> bool:
    return array.length is not None and index >= array.length
