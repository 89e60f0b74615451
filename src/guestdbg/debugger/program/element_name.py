"""Which member or element of a variable some of its bytes are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_objects import float_format, plain

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat

__all__ = ["Element", "element_path"]

_MOST_LEVELS = 32


class Element(NamedTuple):
    """A variable, member or element.

    Attributes:
        name: as it is written: ``samples[3].link``.
        float_format: it is a floating-point value; None: it is not.
    """

    name: str
    float_format: FloatFormat | None


def element_path(type_: Any, offset: int, size: int) -> Element:
    """The innermost member or element that has all of ``size`` bytes from ``offset`` on.

    As it is written after the variable's name: ``[3].link``. Empty where the bytes are of several
    of them. Of a union no member is chosen, and of the bit-fields that share bytes none either.
    """
    drgn = drgn_import.drgn()
    kinds = drgn.TypeKind
    path = ""
    for _ in range(_MOST_LEVELS):
        type_ = plain(type_)
        if type_.kind == kinds.ARRAY:
            length = int(drgn.sizeof(type_.type))
            if not length or offset % length + size > length:
                break
            path += f"[{offset // length}]"
            offset, type_ = offset % length, type_.type
        elif type_.kind in (kinds.STRUCT, kinds.CLASS):
            member = _member(type_, offset, size)
            if member is None:
                break
            if member.name:
                path += f".{member.name}"
            offset, type_ = offset - member.bit_offset // 8, member.type
        else:
            break
    return Element(path, float_format(type_))


def _member(type_: Any, offset: int, size: int) -> Any | None:
    """The member with these bytes, if it is no bit-field; None if there is none."""
    sizeof = drgn_import.drgn().sizeof
    for member in type_.members or ():
        first = member.bit_offset // 8
        if member.bit_field_size is None and first <= offset:
            try:
                length = int(sizeof(member.type))
            except TypeError:
                continue  # an array without a length at the end
            if offset + size <= first + length:
                return member
    return None
