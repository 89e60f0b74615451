"""The header of BTF, and the records of its type section, by kind.

Each record is ``struct btf_type`` and what its kind adds (Documentation/bpf/btf.rst).
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

from guestdbg.linux.errors import BadBtf

__all__ = [
    "ENTRY_WORDS",
    "HEADER",
    "MAGIC",
    "RECORD_WORDS",
    "TYPE",
    "Array",
    "Composite",
    "Enumeration",
    "Float",
    "Forward",
    "Header",
    "Int",
    "Kind",
    "Member",
    "Parameter",
    "Prototype",
    "Reference",
    "Section",
    "SectionVariable",
    "TypeRecord",
    "Void",
    "parse_header",
]

MAGIC = 0xEB9F
_VERSION = 1
#: magic, version, flags, length of the header; offset and length of types, and of strings.
HEADER = struct.Struct("<HBBIIIII")
#: Name, info (kind, number of entries, flag), size or type.
TYPE = struct.Struct("<III")


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


#: What follows ``struct btf_type``: bytes once, and bytes for each of ``vlen`` entries.
_ADDED = {
    Kind.INT: (4, 0),
    Kind.ARRAY: (12, 0),
    Kind.STRUCT: (0, 12),
    Kind.UNION: (0, 12),
    Kind.ENUM: (0, 8),
    Kind.FUNC_PROTO: (0, 8),
    Kind.VAR: (4, 0),
    Kind.DATASEC: (0, 12),
    Kind.DECL_TAG: (4, 0),
    Kind.ENUM64: (0, 12),
}
#: By kind: the words of 32 bits of a record, and how many more there are for each entry.
RECORD_WORDS = tuple((TYPE.size + _ADDED.get(kind, (0, 0))[0]) // 4 for kind in Kind)
ENTRY_WORDS = tuple(_ADDED.get(kind, (0, 0))[1] // 4 for kind in Kind)


class Header(NamedTuple):
    """Where the sections are in the data: (start, end) of types and strings."""

    types: tuple[int, int]
    strings: tuple[int, int]


def parse_header(data: bytes) -> Header:
    """The sections of BTF that begins at the first byte. Raises BadBtf."""
    if len(data) < HEADER.size:
        raise BadBtf(f"BTF has {len(data)} bytes; its header alone has {HEADER.size}")
    magic, version, _flags, length, type_at, type_size, string_at, string_size = HEADER.unpack_from(
        data
    )
    if magic != MAGIC:
        big = " (it is of a big-endian machine)" if magic == 0x9FEB else ""
        raise BadBtf(f"this is not BTF: it begins with {magic:#06x}, not {MAGIC:#06x}{big}")
    if version != _VERSION:
        raise BadBtf(f"this is version {version} of BTF; version {_VERSION} can be read")
    if not HEADER.size <= length <= len(data):
        raise BadBtf(f"the header of BTF says that it has {length} bytes")
    types = length + type_at, length + type_at + type_size
    strings = length + string_at, length + string_at + string_size
    for name, section in (("type", types), ("string", strings)):
        if section[1] > len(data):
            raise BadBtf(
                f"the {name} section of BTF ends at {section[1]:#x}, "
                f"but there are {len(data):#x} bytes"
            )
    if type_at % 4:
        raise BadBtf(f"the type section of BTF begins at {type_at:#x}, which is no multiple of 4")
    return Header(types, strings)


class Void(NamedTuple):
    """Type 0."""

    kind: Kind = Kind.VOID
    name: str = ""


class Int(NamedTuple):
    """An integer, also ``_Bool`` and ``char``.

    Attributes:
        size: in bytes.
        bits: how many of its bits it has, from bit ``offset`` on: fewer in old descriptions of
            bit-fields only.
    """

    kind: Kind
    name: str
    size: int
    bits: int
    offset: int
    is_signed: bool
    is_bool: bool


class Float(NamedTuple):
    """A floating-point type; ``size`` in bytes."""

    kind: Kind
    name: str
    size: int


class Reference(NamedTuple):
    """A pointer, typedef, qualifier, function, variable or tag: what refers to one type."""

    kind: Kind
    name: str
    target: int


class Array(NamedTuple):
    """An array; ``length`` is 0 for ``[]`` too."""

    kind: Kind
    name: str
    target: int
    length: int


class Member(NamedTuple):
    """A member of a structure or union; ``bit_size`` is 0 for one that is no bit-field."""

    name: str
    target: int
    bit_offset: int
    bit_size: int


class Composite(NamedTuple):
    """A structure or union; ``size`` in bytes."""

    kind: Kind
    name: str
    size: int
    members: tuple[Member, ...]


class Enumeration(NamedTuple):
    """An enumeration, of 32 or 64 bits; without values it is declared only."""

    kind: Kind
    name: str
    size: int
    is_signed: bool
    values: tuple[tuple[str, int], ...]


class Forward(NamedTuple):
    """A structure or union that is declared only."""

    kind: Kind
    name: str
    is_union: bool


class Parameter(NamedTuple):
    """A parameter of a function."""

    name: str
    target: int


class Prototype(NamedTuple):
    """The type of a function."""

    kind: Kind
    name: str
    result: int
    parameters: tuple[Parameter, ...]
    is_variadic: bool


class SectionVariable(NamedTuple):
    """A variable (type ``variable`` is its VAR) at an offset in its section; sizes in bytes."""

    variable: int
    offset: int
    size: int


class Section(NamedTuple):
    """The variables of an ELF section, such as ``.data..percpu``."""

    kind: Kind
    name: str
    size: int
    variables: tuple[SectionVariable, ...]


TypeRecord = (
    Void | Int | Float | Reference | Array | Composite | Enumeration | Forward | Prototype | Section
)
