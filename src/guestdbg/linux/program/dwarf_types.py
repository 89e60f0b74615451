"""The types of a vmlinux's debug information as BTF has types, for a kernel without BTF.

drgn reads the debug information. A type gets a number when it is first looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import
from guestdbg.debugger.program.drgn_errors import damage
from guestdbg.errors import GuestdbgError
from guestdbg.linux.btf.records import (
    Array,
    Composite,
    Enumeration,
    Float,
    Int,
    Kind,
    Member,
    Reference,
    Void,
)
from guestdbg.linux.errors import BadVmlinux

if TYPE_CHECKING:
    from guestdbg.linux.btf.records import (
        TypeRecord,
    )

__all__ = ["DwarfTypes"]

_WORDS = {Kind.STRUCT: "struct", Kind.UNION: "union", Kind.ENUM: "enum", Kind.TYPEDEF: ""}
_BYTE = 8


class DwarfTypes:
    """Types by number. Methods raise BadVmlinux where drgn cannot read them.

    Args:
        program: the ``drgn.Program`` with the vmlinux.
        path: the vmlinux, for messages.
    """

    def __init__(self, program: Any, path: object) -> None:
        self._program = program
        self._path = path
        kinds = drgn_import.drgn().TypeKind
        self._kinds = {
            kinds.VOID: Kind.VOID,
            kinds.INT: Kind.INT,
            kinds.BOOL: Kind.INT,
            kinds.FLOAT: Kind.FLOAT,
            kinds.STRUCT: Kind.STRUCT,
            kinds.CLASS: Kind.STRUCT,
            kinds.UNION: Kind.UNION,
            kinds.ENUM: Kind.ENUM,
            kinds.TYPEDEF: Kind.TYPEDEF,
            kinds.POINTER: Kind.PTR,
            kinds.ARRAY: Kind.ARRAY,
        }
        #: What gives each type; a member's type is read when somebody looks at it.
        self._types: list[Callable[[], Any]] = []
        self._tagged: dict[tuple[Kind, str], int] = {}
        self._records: dict[int, TypeRecord] = {}
        self._found: dict[tuple[str, Kind], int | None] = {}

    def find(self, name: str, kinds: Collection[Kind]) -> list[int]:
        """The numbers of the types of that name: at most one of each kind."""
        found = (self._named(name, kind) for kind in kinds if kind in _WORDS)
        return [number for number in found if number is not None]

    def _named(self, name: str, kind: Kind) -> int | None:
        key = name, kind
        if key not in self._found:
            try:
                type_ = self._program.type(f"{_WORDS[kind]} {name}".strip())
            except LookupError:
                self._found[key] = None
            except GuestdbgError:
                raise
            except Exception as error:
                raise self._damaged(f"type {name}", error) from error
            else:
                self._found[key] = self._number(type_)
        return self._found[key]

    def _damaged(self, what: str, error: Exception) -> BadVmlinux:
        return BadVmlinux(f"{what} of {self._path} cannot be read: {damage(error)}")

    def kind(self, number: int) -> Kind:
        """The kind of a type."""
        record = self[number]
        return Kind.VOID if isinstance(record, Void) else record.kind

    def __getitem__(self, number: int) -> TypeRecord:
        """The type of that number."""
        found = self._records.get(number)
        if found is None:
            try:
                found = self._record(self._types[number]())
            except GuestdbgError:
                raise
            except Exception as error:
                raise self._damaged(f"type {number}", error) from error
            self._records[number] = found
        return found

    def _number(self, type_: Any) -> int:
        """The number of a type: one for each structure, union or enumeration with a name."""
        kind = self._kinds.get(type_.kind)
        tag = getattr(type_, "tag", None) if kind in _WORDS and kind is not Kind.TYPEDEF else None
        if kind is None or tag is None:
            self._types.append(lambda: type_)
            return len(self._types) - 1
        known = self._tagged.get((kind, tag))
        if known is None:
            self._types.append(lambda: type_)
            known = self._tagged[kind, tag] = len(self._types) - 1
        return known

    def _later(self, owner: Any) -> int:
        """The number of the type of a member."""
        self._types.append(lambda: owner.type)
        return len(self._types) - 1

    def _record(self, type_: Any) -> TypeRecord:
        kind = self._kinds.get(type_.kind)
        if kind in (Kind.STRUCT, Kind.UNION, Kind.ENUM) and not type_.is_complete():
            type_ = self._complete(kind, type_)
        match kind:
            case Kind.INT:
                is_bool = type_.kind == drgn_import.drgn().TypeKind.BOOL
                signed = not is_bool and type_.is_signed
                bits = _BYTE * type_.size
                return Int(kind, type_.name, type_.size, bits, 0, signed, is_bool)
            case Kind.FLOAT:
                return Float(kind, type_.name, type_.size)
            case Kind.STRUCT | Kind.UNION:
                return self._composite(kind, type_)
            case Kind.ENUM:
                return _enumeration(type_)
            case Kind.TYPEDEF:
                return Reference(kind, type_.name, self._number(type_.type))
            case Kind.PTR:
                return Reference(kind, "", self._number(type_.type))
            case Kind.ARRAY:
                return Array(kind, "", self._number(type_.type), type_.length or 0)
        return Void()  # also a function, of which only the address is read

    def _complete(self, kind: Kind, type_: Any) -> Any:
        """The definition of what is declared only, if there is one."""
        if type_.tag is None:
            return type_
        try:
            return self._program.type(f"{_WORDS[kind]} {type_.tag}")
        except LookupError:
            return type_

    def _composite(self, kind: Kind, type_: Any) -> Composite:
        members = [
            Member(each.name or "", self._later(each), each.bit_offset, each.bit_field_size or 0)
            for each in type_.members or ()
        ]
        return Composite(kind, type_.tag or "", type_.size or 0, tuple(members))


def _enumeration(type_: Any) -> Enumeration:
    values = tuple((each.name, each.value) for each in type_.enumerators or ())
    if not type_.is_complete():
        return Enumeration(Kind.ENUM, type_.tag or "", 4, False, values)
    size, is_signed = type_.type.size, any(value < 0 for _, value in values)
    return Enumeration(Kind.ENUM, type_.tag or "", size, is_signed, values)
