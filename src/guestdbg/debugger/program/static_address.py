"""Where an integer of the guest's program lies, by types alone: nothing is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guestdbg.debugger.breakpoints.conditions.compiler import StaticAddress
from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_objects import plain
from guestdbg.debugger.program.variable_expression import Element, PathStep

__all__ = ["fixed"]

#: An element so far off is a mistake, which is told when the condition is judged.
_FAR = 1 << 48


def fixed(address: int, type_: Any, steps: Sequence[PathStep]) -> StaticAddress | None:
    """From a variable at ``address`` along the steps; None where no integer is at their end."""
    drgn = drgn_import.drgn()
    kinds = drgn.TypeKind
    through: list[int] = []
    offset = 0
    for step in steps:
        type_ = plain(type_)
        if type_.kind == kinds.POINTER:
            through.append(offset)
            offset, type_ = 0, plain(type_.type)
        elif not isinstance(step, Element):
            if step.arrow:
                return None
        elif type_.kind != kinds.ARRAY or _behind_the_end(type_, step.number):
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
    if type_.kind not in (kinds.INT, kinds.BOOL, kinds.POINTER):
        return None
    through.append(offset)
    if max(through) >= _FAR:
        return None
    signed = type_.kind == kinds.INT and bool(type_.is_signed)
    return StaticAddress(
        address + through[0],
        int(drgn.sizeof(type_)),
        signed,
        tuple(through[1:]),
        type_.kind == kinds.BOOL,
    )


def _behind_the_end(array: Any, index: int) -> bool:
    return array.length is not None and index >= array.length
