"""Where the members of the kernel's structures are, by its BTF or its vmlinux."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.linux.btf.records import Array, Composite, Enumeration, Int, Kind, Reference
from guestdbg.linux.errors import BadBtf, MissingKernelData

if TYPE_CHECKING:
    from guestdbg.linux.btf.records import Member
    from guestdbg.linux.state.types import TypeTable

__all__ = ["Field", "Layouts", "StructLayout"]

_POINTER = 8
_ALIASES = frozenset({Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG})
_COMPOSITES = (Kind.STRUCT, Kind.UNION)
#: Types that a type may lead to; BTF of a hostile guest may go in circles.
_MAX_STEPS = 32
_MAX_ELEMENTS = 1 << 20
#: Members of a structure and of the anonymous ones in it: the kernel has some hundred.
_MAX_MEMBERS = 1 << 14


class Field(NamedTuple):
    """A member of a structure.

    Attributes:
        offset: in bytes from the start of the structure.
        size: in bytes; of an array that of all its elements.
        bit_offset: the first bit in those bytes; 0 if it is no bit-field.
        bit_size: the bits of a bit-field; 0 if it is none.
        is_signed: whether it is a signed integer.
        target: the number of its type in the BTF.
    """

    offset: int
    size: int
    bit_offset: int
    bit_size: int
    is_signed: bool
    target: int


class StructLayout:
    """The members of one structure or union, those of anonymous members included."""

    def __init__(self, layouts: Layouts, number: int) -> None:
        record = layouts.record(number)
        if not isinstance(record, Composite):
            raise BadBtf(f"type {number} of BTF is no structure")
        self.name = record.name
        self.size = record.size
        self._layouts = layouts
        self._members: dict[str, tuple[Member, int]] = {}
        self._fields: dict[str, Field] = {}
        self._left = _MAX_MEMBERS
        self._add(record, 0, 0)

    def _add(self, record: Composite, bit_offset: int, depth: int) -> None:
        self._left -= 1 + len(record.members)
        if self._left < 0:
            raise BadBtf(
                f"struct {self.name} of BTF contains itself, or has over {_MAX_MEMBERS} members"
            )
        for member in record.members:
            at = bit_offset + member.bit_offset
            if member.name:
                self._members.setdefault(member.name, (member, at))
            elif depth < _MAX_STEPS:
                inner = self._layouts.record(member.target)
                if isinstance(inner, Composite):
                    self._add(inner, at, depth + 1)

    def has(self, path: str) -> bool:
        """Whether there is such a member."""
        return self._find(path) is not None

    def field(self, path: str) -> Field:
        """A member, or one of a member: ``thread.cpu_context.fp``.

        Raises MissingKernelData if this kernel's structure does not have it.
        """
        found = self._find(path)
        if found is None:
            raise MissingKernelData(f"struct {self.name} of this kernel has no member {path}")
        return found

    def _find(self, path: str) -> Field | None:
        known = self._fields.get(path)
        if known is not None:
            return known
        first, _, rest = path.partition(".")
        entry = self._members.get(first)
        if entry is None:
            return None
        member, at = entry
        if rest:
            if self._layouts.kind(member.target) not in _COMPOSITES:
                return None
            inner = self._layouts.of(member.target)._find(rest)
            found = None if inner is None else inner._replace(offset=inner.offset + at // 8)
        else:
            found = self._layouts.as_field(member, at)
        if found is not None:
            self._fields[path] = found
        return found


class Layouts:
    """The structures, constants and sizes that a kernel's BTF or vmlinux describes."""

    def __init__(self, types: TypeTable) -> None:
        self._types = types
        self._by_number: dict[int, StructLayout] = {}
        self._by_name: dict[str, StructLayout | None] = {}
        self._constants: dict[str, dict[str, int]] = {}

    def find(self, name: str) -> StructLayout | None:
        """The structure or union of that name; None if there is none."""
        if name not in self._by_name:
            numbers = self._types.find(name, _COMPOSITES)
            self._by_name[name] = self.of(numbers[0]) if numbers else None
        return self._by_name[name]

    def struct(self, name: str) -> StructLayout:
        """The structure or union of that name. Raises MissingKernelData if there is none."""
        found = self.find(name)
        if found is None:
            raise MissingKernelData(f"the kernel's types have no struct {name}")
        return found

    def of(self, number: int) -> StructLayout:
        """The structure that a type is, or points to, or has elements of. Raises BadBtf."""
        number = self._plain(number, through=(Kind.PTR, Kind.ARRAY))
        if number not in self._by_number:
            self._by_number[number] = StructLayout(self, number)
        return self._by_number[number]

    def constants(self, enumeration: str) -> dict[str, int]:
        """The enumerators of an enumeration, in their order; empty if there is none."""
        if enumeration not in self._constants:
            self._constants[enumeration] = {}
            for number in self._types.find(enumeration, (Kind.ENUM, Kind.ENUM64)):
                record = self._types[number]
                if isinstance(record, Enumeration) and record.values:
                    self._constants[enumeration] = dict(record.values)
                    break
        return self._constants[enumeration]

    def kind(self, number: int) -> Kind:
        """The kind of a type, without typedefs and qualifiers."""
        return self._types.kind(self._plain(number))

    def record(self, number: int) -> object:
        """A type, without typedefs and qualifiers."""
        return self._types[self._plain(number)]

    def _plain(self, number: int, through: tuple[Kind, ...] = ()) -> int:
        for _ in range(_MAX_STEPS):
            record = self._types[number]
            if not isinstance(record, Reference | Array):
                return number
            if record.kind not in _ALIASES and record.kind not in through:
                return number
            number = record.target
        raise BadBtf(f"type {number} of BTF is an alias of itself")

    def size(self, number: int) -> int:
        """The bytes of a type; 0 for what has none."""
        count = 1
        for _ in range(_MAX_STEPS):
            record = self.record(number)
            if isinstance(record, Array):
                count, number = count * record.length, record.target
                if count > _MAX_ELEMENTS:
                    raise BadBtf("BTF has an array that is too long")
                continue
            if isinstance(record, Reference):
                return count * _POINTER if record.kind is Kind.PTR else 0
            return count * int(getattr(record, "size", 0))
        raise BadBtf("BTF has an array of arrays without end")

    def as_field(self, member: Member, bit_offset: int) -> Field:
        """A member at so many bits from the start of the structure."""
        record = self.record(member.target)
        size = self.size(member.target)
        is_signed = isinstance(record, Int | Enumeration) and record.is_signed
        if not member.bit_size:
            return Field(bit_offset // 8, size, 0, 0, is_signed, member.target)
        first = bit_offset // 8
        used = -(-(bit_offset % 8 + member.bit_size) // 8)
        return Field(first, used, bit_offset % 8, member.bit_size, is_signed, member.target)


#: Gives the layouts of a kernel; raises BadBtf if there are none.
LayoutsOf = Callable[[], Layouts]
