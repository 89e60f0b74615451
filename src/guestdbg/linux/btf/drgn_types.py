"""The types of BTF as drgn knows them. drgn 0.3 reads DWARF and CTF, but not BTF."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.program import drgn_import
from guestdbg.linux.btf.nesting import Nesting
from guestdbg.linux.btf.records import (
    Array,
    Composite,
    Enumeration,
    Float,
    Forward,
    Int,
    Kind,
    Prototype,
    Reference,
    Void,
)
from guestdbg.linux.errors import BadBtf

if TYPE_CHECKING:
    from guestdbg.linux.btf.records import (
        Member,
        TypeRecord,
    )
    from guestdbg.linux.btf.table import Btf

__all__ = ["DrgnTypes"]

_BYTE = 8
_COMPATIBLE = {
    1: ("signed char", "unsigned char"),
    2: ("short", "unsigned short"),
    4: ("int", "unsigned int"),
    8: ("long", "unsigned long"),
}


class DrgnTypes:
    """The types of a kernel or module for a ``drgn.Program``.

    They are made when they are asked for, and members when they are looked at.
    A structure that is declared only is its definition, if there is one. Methods raise BadBtf for
    damaged BTF.

    Args:
        program: the ``drgn.Program``.
        btf: the types.
        base: the types of the base of split BTF.
    """

    def __init__(self, program: Any, btf: Btf, base: DrgnTypes | None = None) -> None:
        self._drgn = drgn_import.drgn()
        self._program = program
        self.btf = btf
        self._base = base
        self._made: dict[int, Any] = {}
        self._nesting = Nesting(btf)
        kinds = self._drgn.TypeKind
        self._kinds = {
            kinds.INT: (Kind.INT,),
            kinds.BOOL: (Kind.INT,),
            kinds.FLOAT: (Kind.FLOAT,),
            kinds.STRUCT: (Kind.STRUCT,),
            kinds.UNION: (Kind.UNION,),
            kinds.ENUM: (Kind.ENUM, Kind.ENUM64),
            kinds.TYPEDEF: (Kind.TYPEDEF,),
        }

    def find(self, kinds: Any, name: str) -> Any:
        """The type of that name and one of the kinds (a ``drgn.TypeKindSet``); None without."""
        searched = {own for kind in kinds for own in self._kinds.get(kind, ())}
        incomplete = None
        for number in self.btf.find(name, searched):
            found = self.type(number)
            if found.kind not in kinds:
                continue  # bool and int are one kind of BTF
            if found.is_complete():
                return found
            incomplete = incomplete or found
        return incomplete

    def enumerator(self, name: str) -> Any:
        """The constant of that name, as an object; None if none of its own enumerations has it."""
        found = self.btf.enumerator(name)
        if found is None:
            return None
        number, value = found
        return self._drgn.Object(self._program, self.type(number), value=value)

    def type(self, number: int) -> Any:
        """The type of that number."""
        if number < self.btf.first and self._base is not None:
            return self._base.type(number)
        made = self._made.get(number)
        if made is not None:
            return made
        self._nesting.check(number)
        try:
            made = self._make(self.btf[number])
        except (ValueError, TypeError, OverflowError) as error:
            raise BadBtf(f"type {number} of BTF is damaged: {error}") from error
        self._made[number] = made
        return made

    def _make(self, record: TypeRecord) -> Any:
        program = self._program
        match record:
            case Void():
                return program.void_type()
            case Int():
                if record.is_bool:
                    return program.bool_type(record.name or "_Bool", record.size)
                return program.int_type(record.name or "int", record.size, record.is_signed)
            case Float():
                return program.float_type(record.name or "float", record.size)
            case Array():
                return program.array_type(self.type(record.target), record.length)
            case Composite():
                return self._composite(record)
            case Enumeration():
                return self._enumeration(record)
            case Forward():
                return self._forward(record)
            case Prototype():
                return self._function(record)
            case Reference():
                return self._reference(record)
        raise BadBtf(f"{record.name!r} of BTF is a section, and no type")

    def _reference(self, record: Reference) -> Any:
        kind = record.kind
        if kind is Kind.PTR:
            return self._program.pointer_type(self.type(record.target))
        target = self.type(record.target)
        if kind is Kind.TYPEDEF:
            return self._program.typedef_type(record.name, target)
        qualifiers = self._drgn.Qualifiers
        added = {
            Kind.CONST: qualifiers.CONST,
            Kind.VOLATILE: qualifiers.VOLATILE,
            Kind.RESTRICT: qualifiers.RESTRICT,
        }.get(kind)
        return target if added is None else target.qualified(target.qualifiers | added)

    def _composite(self, record: Composite) -> Any:
        member = self._drgn.TypeMember
        last = len(record.members) - 1
        members = [
            member(partial(self._member, each, i == last), each.name or None, each.bit_offset)
            if not each.bit_size
            else member(partial(self._bit_field, each), each.name or None, each.bit_offset)
            for i, each in enumerate(record.members)
        ]
        make = self._program.struct_type if record.kind is Kind.STRUCT else self._program.union_type
        return make(record.name or None, record.size, members)

    def _member(self, member: Member, is_last: bool) -> Any:
        record = self.btf[member.target]
        if isinstance(record, Array) and not record.length and is_last:
            # C's flexible array member has as many elements as there is memory for.
            return self._program.array_type(self.type(record.target))
        if isinstance(record, Int) and record.bits != _BYTE * record.size:
            return self._bits(member.target, record.bits)
        return self.type(member.target)

    def _bit_field(self, member: Member) -> Any:
        return self._bits(member.target, member.bit_size)

    def _bits(self, number: int, bits: int) -> Any:
        try:
            return self._drgn.Object(self._program, self.type(number), bit_field_size=bits)
        except (ValueError, TypeError, OverflowError) as error:
            raise BadBtf(f"BTF has a bit-field of {bits} bits: {error}") from error

    def _enumeration(self, record: Enumeration) -> Any:
        program = self._program
        if not record.values:
            for number in self.btf.find(record.name, (Kind.ENUM, Kind.ENUM64)):
                defined = self.btf[number]
                if isinstance(defined, Enumeration) and defined.values:
                    return self.type(number)
            return program.enum_type(record.name or None)
        name = _COMPATIBLE[record.size][not record.is_signed]
        compatible = program.int_type(name, record.size, record.is_signed)
        enumerators = [self._drgn.TypeEnumerator(*each) for each in record.values]
        return program.enum_type(record.name or None, compatible, enumerators)

    def _forward(self, record: Forward) -> Any:
        kind = Kind.UNION if record.is_union else Kind.STRUCT
        found = self.btf.find(record.name, (kind,))
        if found:
            return self.type(found[0])
        make = self._program.union_type if record.is_union else self._program.struct_type
        return make(record.name or None)

    def _function(self, record: Prototype) -> Any:
        parameter = self._drgn.TypeParameter
        parameters = [
            parameter(partial(self.type, each.target), each.name or None)
            for each in record.parameters
        ]
        return self._program.function_type(self.type(record.result), parameters, record.is_variadic)
