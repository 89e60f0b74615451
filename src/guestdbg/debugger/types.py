"""Variables, members and types of the guest's program, by drgn.

drgn runs on Linux only and is an optional dependency: everything else works without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from operator import getitem
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.debugger.errors import (
    AddressError,
    BadImage,
    BadWhere,
    DebuggerError,
    MissingDependency,
    NoDebugInfo,
    UnknownSymbol,
    near,
)
from guestdbg.debugger.steps import Fixed
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger.image import Image

__all__ = ["Extent", "Types"]

ReadMemory = Callable[[int, int], bytes]

_TOKEN = re.compile(r"\s*(?:(->)|(\.)|\[\s*(0[xX][0-9a-fA-F]+|\d+)\s*\]|([A-Za-z_]\w*))")
_PAGE = 0xFFF
_KNOWN = 4096


class Extent(NamedTuple):
    """Where a variable or member lies: address and length in bytes, and its type's name."""

    address: int
    length: int
    type_name: str


class Types:
    """The drgn program over a guest's memory, made when it is first needed.

    ``read`` reads guest virtual memory. Raises MissingDependency when drgn is not installed.
    """

    def __init__(self, read: ReadMemory, images: Iterable[Image]) -> None:
        self._read = read
        self._images = list(images)
        self._program: Any = None
        self._known: dict[str, Any] = {}

    @property
    def program(self) -> Any:
        """The ``drgn.Program``: its memory is the guest's, its debug info the images'."""
        if self._program is None:
            self._program = self._make()
        return self._program

    def add(self, image: Image) -> None:
        """Bring in another image's debug information."""
        self._images.append(image)
        self._known.clear()
        if self._program is not None:
            self._add_module(self._program, image)

    def _make(self) -> Any:
        drgn = _drgn()
        flags = drgn.PlatformFlags
        program = drgn.Program(
            drgn.Platform(drgn.Architecture.AARCH64, flags.IS_64_BIT | flags.IS_LITTLE_ENDIAN)
        )

        def read(address: int, count: int, _offset: int, _physical: bool) -> bytes:
            try:
                return self._read(address, count)
            except AddressError as error:
                raise drgn.FaultError(str(error), address) from error

        program.add_memory_segment(0, 0xFFFF_FFFF_FFFF_FFFF, read, False)
        for image in self._images:
            self._add_module(program, image)
        return program

    def _add_module(self, program: Any, image: Image) -> None:
        if not image.has_types or not image.segments:
            return
        module = program.extra_module(str(image.path), image.slide, create=True)
        # drgn takes the difference between this range's start and the file's first segment as
        # the bias of every address in it, so it begins where that segment does, pages included.
        start = image.segments[0][0] & ~_PAGE
        end = max(e for _, e in image.segments)
        module.address_ranges = [(start, end)]
        try:
            module.try_file(str(image.path), force=True)
        except Exception as error:
            raise BadImage(f"drgn cannot read the types of {image.path}: {error}") from error

    def _need_types(self, what: str) -> None:
        if not any(image.has_types for image in self._images):
            raise NoDebugInfo(
                f"{what!r} needs the debug information of the guest (DWARF, as from `gcc -g`), "
                "and no loaded image carries any"
            )

    def variable(self, name: str, file: str | None = None) -> Any:
        """The drgn object of a variable or function; raises UnknownSymbol with near matches."""
        self._need_types(name)
        drgn = _drgn()
        try:
            if file is not None:
                found = self.program.object(name, drgn.FindObjectFlags.ANY, file)
            else:
                found = self.program.object(name)
        except DebuggerError:
            raise
        except LookupError:
            where = f" in {file}" if file else ""
            raise UnknownSymbol(
                name + where, near(name, self._variable_names()), "variable"
            ) from None
        except Exception as error:
            raise BadImage(f"drgn cannot make out what {name!r} is: {error}") from error
        if found.absent_:
            raise NoDebugInfo(
                f"the debug information declares {name!r} without saying where it is: the compiler "
                "has optimised it away, or it is defined elsewhere"
            )
        return found

    def _variable_names(self) -> list[str]:
        return [s.name for image in self._images for s in image.symbols]

    def evaluate(self, expression: str) -> Any:
        """The drgn object that an expression such as ``queue.items[3].next->x`` names.

        A variable first, then members by ``.`` and ``->`` and elements by ``[n]``; a ``*`` in front
        follows a pointer, ``file.c:name`` picks a static variable of that file.
        """
        known = self._known.get(expression)
        if known is not None:
            return known
        text = expression.strip()
        if text.startswith("*"):
            target = self.evaluate(text[1:])
            return _apply(expression, lambda: target[0])
        through_pointer = False
        file = None
        if ":" in text:
            file, _, text = text.rpartition(":")
            file = file.rstrip(":")
        at = 0
        value: Any = None
        expect_name = True
        arrow = False
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or (match[4] is None) == expect_name:
                raise BadWhere(
                    f"cannot understand {expression!r} from {text[at:]!r} on: write a variable "
                    "with members and elements, such as queue.items[3].next->x"
                )
            at = match.end()
            if match[1] or match[2]:
                expect_name, arrow = True, bool(match[1])
            elif match[3]:
                index, base = int(match[3], 0), value
                through_pointer |= _check_index(expression, base, index)
                value = _apply(expression, partial(getitem, base, index))
            elif value is None:
                value, expect_name = self.variable(match[4], file), False
            else:
                through_pointer |= _is_pointer(value)
                value, expect_name = _member(expression, value, match[4], arrow), False
            if value is None:
                raise BadWhere(f"{expression!r} does not begin with the name of a variable")
        if expect_name:
            raise BadWhere(f"{expression!r} ends where a name is missing")
        if not through_pointer and len(self._known) < _KNOWN:
            self._known[expression] = value  # a place: what is there is read when it is looked at
        return value

    def fixed(self, expression: str) -> Fixed | None:
        """Where an integer variable lies, and through which pointers; None for all others."""
        try:
            name = _TOKEN.match(expression)
            if name is None or name[4] is None:
                return None
            start = self.variable(name[4])
            if start.address_ is None:
                return None
            return _follow(expression[name.end() :], int(start.address_), start.type_)
        except (GuestdbgError, LookupError, TypeError, ValueError, AttributeError):
            return None

    def extent(self, value: Any, expression: str) -> Extent:
        """Where a drgn object lies in guest memory; a bit-field gives the bytes it touches."""
        address = value.address_
        if address is None:
            raise BadWhere(f"{expression!r} is a value, and has no address that could be watched")
        length = _size(value)
        bit_offset = getattr(value, "bit_offset_", None) or 0
        bits = getattr(value, "bit_field_size_", None)
        if bits is not None:
            first = bit_offset // 8
            return Extent(
                address + first, (bit_offset + bits + 7) // 8 - first, value.type_.type_name()
            )
        if not length:
            raise BadWhere(
                f"{expression!r} has the type {value.type_.type_name()}, which has no size: "
                "say how many bytes"
            )
        return Extent(address, length, value.type_.type_name())


def number(value: Any) -> int:
    """The int that a drgn object is. Raises AddressError where there is no memory."""
    try:
        # A _Bool of drgn's is no int, whatever int() says of it.
        return int(value.value_() if hasattr(value, "value_") else value)
    except Exception as error:
        if type(error).__name__ != "FaultError":  # drgn's, which need not be there
            raise
        raise AddressError(str(error), getattr(error, "address", 0)) from error


def _follow(rest: str, address: int, type_: Any) -> Fixed | None:
    """Go along members and elements behind a variable, by types alone, reading nothing."""
    drgn = _drgn()
    kinds = drgn.TypeKind
    through: list[int] = []
    offset = at = 0
    arrow = due = False  # a member's name is due behind `.` and `->`
    while at < len(rest):
        match = _TOKEN.match(rest, at)
        if match is None:
            return None
        at = match.end()
        if due == (match[4] is None):
            return None
        if match[1] or match[2]:
            arrow, due = bool(match[1]), True
            continue
        type_ = _plain(type_)
        if type_.kind == kinds.POINTER:
            through.append(offset)
            offset, type_ = 0, _plain(type_.type)
        elif arrow:
            return None
        elif match[3] and type_.kind == kinds.ARRAY:
            if type_.length is not None and int(match[3], 0) >= type_.length:
                return None
            type_ = type_.type
        elif match[3]:
            return None
        if match[3]:
            offset += int(match[3], 0) * int(drgn.sizeof(type_))
        else:
            member = type_.member(match[4])
            if member.bit_field_size is not None:
                return None
            offset += int(drgn.offsetof(type_, match[4]))
            type_ = member.type
        arrow = due = False
    type_ = _plain(type_)
    if due:
        return None
    if type_.kind == kinds.ENUM:
        type_ = _plain(type_.type)
    if type_.kind not in (kinds.INT, kinds.BOOL, kinds.POINTER):
        return None
    through.append(offset)
    signed = type_.kind == kinds.INT and bool(type_.is_signed)
    return Fixed(
        address + through[0],
        int(drgn.sizeof(type_)),
        signed,
        tuple(through[1:]),
        type_.kind == kinds.BOOL,
    )


def _plain(type_: Any) -> Any:
    """A type without the names that were given to it."""
    kinds = _drgn().TypeKind
    while type_.kind == kinds.TYPEDEF:
        type_ = type_.type
    return type_


def _size(value: Any) -> int:
    import drgn

    try:
        return int(drgn.sizeof(value))
    except TypeError:
        return 0


def _kind(value: Any) -> tuple[Any, Any]:
    """The type under typedefs, and its kind."""
    import drgn

    type_ = value.type_
    while type_.kind == drgn.TypeKind.TYPEDEF:
        type_ = type_.type
    return type_, type_.kind


def _is_pointer(value: Any) -> bool:
    import drgn

    return bool(_kind(value)[1] == drgn.TypeKind.POINTER)


def _check_index(expression: str, value: Any, index: int) -> bool:
    """Whether the element is reached through a pointer, if there may be one of that index."""
    import drgn

    type_, kind = _kind(value)
    if kind == drgn.TypeKind.ARRAY:
        if type_.length is not None and index >= type_.length:
            raise BadWhere(
                f"{expression!r}: element {index} is behind the array's end, which has "
                f"{type_.length} elements"
            )
    elif kind != drgn.TypeKind.POINTER:
        raise BadWhere(f"{expression!r}: a {value.type_.type_name()} has no elements")
    return bool(kind == drgn.TypeKind.POINTER)


def _member(expression: str, value: Any, name: str, arrow: bool) -> Any:
    import drgn

    type_, kind = _kind(value)
    if kind == drgn.TypeKind.POINTER:
        pointed = type_.type
        while pointed.kind == drgn.TypeKind.TYPEDEF:
            pointed = pointed.type
        type_ = pointed
    elif arrow:
        raise BadWhere(
            f"{expression!r}: {name!r} is reached by '->', but what is in front of it is a "
            f"{value.type_.type_name()}, not a pointer; write '.'"
        )
    try:
        known = [m.name for m in type_.members if m.name] if type_.members else []
    except AttributeError:
        raise BadWhere(f"{expression!r}: a {value.type_.type_name()} has no members") from None
    except UnicodeDecodeError as error:
        raise BadImage(f"{expression!r}: the names in the debug information: {error}") from error
    try:
        return value.member_(name)
    except LookupError:
        raise UnknownSymbol(
            name, near(name, known) or known[:6], f"member of {type_.type_name()}"
        ) from None
    except drgn.FaultError as error:
        raise AddressError(str(error), error.address) from error


def _apply(expression: str, step: Callable[[], Any]) -> Any:
    import drgn

    try:
        return step()
    except drgn.FaultError as error:
        raise AddressError(str(error), error.address) from error
    except (TypeError, LookupError) as error:
        raise BadWhere(f"{expression!r}: {error}") from error


def _drgn() -> Any:
    try:
        import drgn
    except ImportError as error:
        raise MissingDependency(
            "variables, members and types are read with drgn, which is not installed "
            "(`pip install drgn`; it runs on Linux only). Symbols, addresses and file:line work "
            "without it"
        ) from error
    return drgn
