"""The pointers on the way to a variable such as ``head->next.id``, by types alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.errors import InvalidLocation
from guestdbg.debugger.program import drgn_import, drgn_objects
from guestdbg.debugger.program.variable_expression import Element, Member

if TYPE_CHECKING:
    from guestdbg.debugger.program.bit_field import BitField
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.variable_expression import Expression, PathStep

__all__ = ["PointerPath", "pointer_path"]

#: In the place of what a pointer points to: only offsets from here are used.
_SOMEWHERE = 1 << 40


class PointerPath(NamedTuple):
    """How a variable is found through pointers.

    Attributes:
        names: how each pointer is written, in the order in which they are followed.
        start: the address of the first.
        offsets: one for each pointer: what is added to its value. The result is the address of the
            next pointer; after the last it is the variable's.
        length: of the variable, in bytes.
        type_name: its type.
        bit_field: which bits of these bytes it is; None: all.
        float_format: it is a floating-point value; None: it is not.
    """

    names: tuple[str, ...]
    start: int
    offsets: tuple[int, ...]
    length: int
    type_name: str
    bit_field: BitField | None
    float_format: FloatFormat | None = None


def pointer_path(
    expression: str,
    variable: Any,
    parsed: Expression,
    is_reference: Callable[[Any, PathStep], bool],
) -> PointerPath:
    """From a variable of the guest along the parsed expression; no guest memory is read.

    ``is_reference`` says of a step from a class, or a pointer to one, whether it leads to a
    reference of C++, which is followed as a pointer is.

    Raises InvalidLocation for one that follows none, and what ``drgn_objects.follow`` does.
    """
    value, name = variable, parsed.name
    places: list[int] = []
    names: list[str] = []

    def target(number: int = 0) -> Any:
        """What ``value``, a pointer, points to; the element of that number."""
        drgn = drgn_import.drgn()
        type_ = drgn_objects.plain(value.type_).type
        size = 0 if not number else int(drgn.sizeof(type_))
        places.append(_address(expression, value))
        names.append(name)
        return drgn.Object(value.prog_, type_, address=_SOMEWHERE + number * size)

    for step in parsed.path:
        owner = drgn_objects.plain(value.type_)
        if not drgn_objects.is_pointer(value):
            value = drgn_objects.follow(expression, value, step)
        elif isinstance(step, Element):
            value = target(step.number)
        else:
            value = drgn_objects.follow(expression, target(), Member(step.name, arrow=False))
        name += str(step)
        if is_reference(owner, step):
            value = target()
    for _ in range(parsed.stars):
        if not drgn_objects.is_pointer(value):
            drgn_objects.target(expression, value)  # says what is wrong
        value, name = target(), "*" + name
    if not places:
        raise InvalidLocation(
            f"{expression!r} is reached through no pointer that could be followed"
        )
    extent = drgn_objects.extent(value, expression)
    ends = [*places[1:], extent.address]
    return PointerPath(
        tuple(names),
        places[0],
        tuple(end - _SOMEWHERE for end in ends),
        extent.length,
        extent.type_name,
        extent.bit_field,
        extent.float_format,
    )


def _address(expression: str, value: Any) -> int:
    if value.address_ is None:
        raise InvalidLocation(f"{expression!r}: a pointer on the way is not in memory")
    return int(value.address_)
