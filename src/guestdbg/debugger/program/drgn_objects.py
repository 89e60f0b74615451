"""drgn objects: their members and elements, their addresses, their values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from operator import getitem
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.errors import InvalidLocation, UnknownSymbol, near
from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.bit_field import BitField
from guestdbg.debugger.program.drgn_errors import drgn_errors, translated
from guestdbg.debugger.program.float_format import BFLOAT16, BY_SIZE
from guestdbg.debugger.program.variable_expression import Element

if TYPE_CHECKING:
    from guestdbg.debugger.program.float_format import FloatFormat
    from guestdbg.debugger.program.variable_expression import PathStep

__all__ = [
    "Extent",
    "extent",
    "float_format",
    "follow",
    "is_pointer",
    "is_scalar",
    "number",
    "plain",
    "scalar",
    "target",
]


#: The names of members that are compared with one that is wrong: so many characters.
_MOST_NAMES = 1 << 20


class Extent(NamedTuple):
    """Where a variable or member is: address, length in bytes, and the name of its type.

    ``bit_field`` is which bits of these bytes it is, or None: all of them. ``float_format``: it is
    a floating-point value.
    """

    address: int
    length: int
    type_name: str
    bit_field: BitField | None = None
    float_format: FloatFormat | None = None


def extent(value: Any, expression: str) -> Extent:
    """Where an object is in guest memory; for a bit-field, the bytes that contain it."""
    address = value.address_
    if address is None:
        raise InvalidLocation(
            f"{expression!r} is a value, and has no address that could be watched"
        )
    with drgn_errors(repr(expression), value.prog_):
        type_name = value.type_.type_name()
        bits = getattr(value, "bit_field_size_", None)
        if bits is not None:
            bit_offset = getattr(value, "bit_offset_", None) or 0
            first = bit_offset // 8
            field = BitField(bit_offset % 8, bits, _is_signed(value.type_))
            length = (bit_offset + bits + 7) // 8 - first
            return Extent(address + first, length, type_name, field)
        length = _size(value)
    if not length:
        raise InvalidLocation(
            f"{expression!r} has the type {type_name}, which has no size: say how many bytes"
        )
    return Extent(address, length, type_name, None, float_format(value.type_))


def _size(value: Any) -> int:
    try:
        return int(drgn_import.drgn().sizeof(value))
    except TypeError:
        return 0


def _is_signed(type_: Any) -> bool:
    kinds = drgn_import.drgn().TypeKind
    type_ = plain(type_)
    if type_.kind == kinds.ENUM:
        type_ = plain(type_.type)
    return type_.kind == kinds.INT and bool(type_.is_signed)


def number(value: Any) -> int:
    """The value of an integer object. Raises AddressError where there is no memory.

    TypeError, ValueError or OverflowError if it is no integer; BadImage.
    """
    if not hasattr(value, "value_"):
        return int(value)
    try:
        kinds = drgn_import.drgn().TypeKind
        kind = plain(value.type_).kind
        if kind in (kinds.ARRAY, kinds.STRUCT, kinds.UNION, kinds.CLASS):
            # The value of it all might be of any size.
            raise TypeError(f"a {value.type_.type_name()} is not an integer")
        # drgn gives a _Bool as a bool; the result is to be an int.
        return int(value.value_())
    except (TypeError, ValueError, OverflowError) as error:
        if not isinstance(error, UnicodeError):
            raise
        raise translated(error, "a variable", value.prog_) from error
    except Exception as error:
        raise translated(error, "a variable", value.prog_) from error


def float_format(type_: Any) -> FloatFormat | None:
    """The format of a floating-point type; None for other types, and for more than 64 bits."""
    type_ = plain(type_)
    if type_.kind != drgn_import.drgn().TypeKind.FLOAT:
        return None
    size = int(type_.size)
    # DWARF says "float" and 2 bytes of both.
    is_bfloat = size == BFLOAT16.size and "bf" in type_.name.lower()
    return BFLOAT16 if is_bfloat else BY_SIZE.get(size)


def scalar(value: Any) -> int | float:
    """The value of an integer or floating-point object.

    Raises AddressError where there is no memory; TypeError, ValueError or OverflowError if it is
    neither; BadImage.
    """
    if isinstance(value, int | float):
        return value
    kinds = drgn_import.drgn().TypeKind
    if not hasattr(value, "value_") or plain(value.type_).kind != kinds.FLOAT:
        return number(value)
    found = float_format(value.type_)
    if found is None:
        raise TypeError(f"a {value.type_.type_name()} has more bits than a number here")
    try:
        return found.value(int.from_bytes(value.to_bytes_(), "little"))
    except Exception as error:
        raise translated(error, "a variable", value.prog_) from error


def is_pointer(value: Any) -> bool:
    """Whether its members are reached by reading guest memory."""
    return bool(plain(value.type_).kind == drgn_import.drgn().TypeKind.POINTER)


def is_scalar(type_: Any) -> bool:
    """Whether it is a number, a pointer, an enumeration or a truth value."""
    kinds = drgn_import.drgn().TypeKind
    type_ = plain(type_)
    scalars = (kinds.INT, kinds.BOOL, kinds.FLOAT, kinds.POINTER, kinds.ENUM)
    return type_.kind in scalars and bool(type_.is_complete())


def target(expression: str, value: Any) -> Any:
    """What a pointer points to; raises AddressError, or InvalidLocation if it is not a pointer."""
    with drgn_errors(repr(expression), value.prog_):
        return _apply(expression, lambda: value[0])


def follow(expression: str, value: Any, step: PathStep) -> Any:
    """A member or element; raises InvalidLocation, UnknownSymbol, AddressError."""
    with drgn_errors(repr(expression), value.prog_):
        if isinstance(step, Element):
            _check_index(expression, value, step.number)
            return _apply(expression, partial(getitem, value, step.number))
        return _member(expression, value, step.name, step.arrow)


def plain(type_: Any) -> Any:
    """The type that a typedef names."""
    kinds = drgn_import.drgn().TypeKind
    while type_.kind == kinds.TYPEDEF:
        type_ = type_.type
    return type_


def _check_index(expression: str, value: Any, index: int) -> None:
    kinds = drgn_import.drgn().TypeKind
    type_ = plain(value.type_)
    if type_.kind == kinds.ARRAY:
        if type_.length is not None and index >= type_.length:
            raise InvalidLocation(
                f"{expression!r}: element {index} is past the end of the array, which has "
                f"{type_.length} elements"
            )
    elif type_.kind != kinds.POINTER:
        raise InvalidLocation(f"{expression!r}: a {value.type_.type_name()} has no elements")


def _member(expression: str, value: Any, name: str, arrow: bool) -> Any:
    drgn = drgn_import.drgn()
    type_ = plain(value.type_)
    if type_.kind == drgn.TypeKind.POINTER:
        type_ = plain(type_.type)
    elif arrow:
        raise InvalidLocation(
            f"{expression!r}: {name!r} follows '->', but the expression before it is a "
            f"{value.type_.type_name()}, not a pointer; write '.'"
        )
    if type_.kind not in (drgn.TypeKind.STRUCT, drgn.TypeKind.UNION, drgn.TypeKind.CLASS):
        raise InvalidLocation(f"{expression!r}: a {value.type_.type_name()} has no members")
    try:
        return value.member_(name)
    except LookupError:
        known = _member_names(type_)
        raise UnknownSymbol(
            name, near(name, known) or known[:6], f"member of {type_.type_name()}"
        ) from None
    except TypeError as error:  # it is declared only
        raise InvalidLocation(f"{expression!r}: {error}") from error


def _member_names(type_: Any) -> list[str]:
    """The names that a message may show."""
    found: list[str] = []
    room = _MOST_NAMES
    for member in type_.members or ():
        if name := member.name:
            found.append(name)
            room -= len(name)
            if room < 0:
                break
    return found


def _apply(expression: str, step: Callable[[], Any]) -> Any:
    try:
        return step()
    except (TypeError, LookupError, OverflowError) as error:
        raise InvalidLocation(f"{expression!r}: {error}") from error
