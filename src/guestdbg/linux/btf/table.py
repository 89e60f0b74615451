"""``Btf``: the types of a kernel or a module, by number and by name."""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator
from functools import cached_property

from guestdbg.linux.btf.records import (
    ENTRY_WORDS,
    RECORD_WORDS,
    TYPE,
    Array,
    Composite,
    Enumeration,
    Float,
    Forward,
    Int,
    Kind,
    Member,
    Parameter,
    Prototype,
    Reference,
    Section,
    SectionVariable,
    TypeRecord,
    Void,
    parse_header,
)
from guestdbg.linux.errors import BadBtf

__all__ = ["MAX_BTF", "Btf"]

#: Debian's kernels have 6 MB; more than this is not read.
MAX_BTF = 64 << 20
#: The kernel's names have at most 511 characters (KSYM_NAME_LEN).
_MAX_NAME = 1024
_WORD = 4
#: Producers of BTF write each string once.
_MOST_COPIES = 64
_KNOWN_NAMES = 4096
_PAIR = struct.Struct("<II")
_TRIPLE = struct.Struct("<III")
_SIGNED, _BOOL = 1, 4
_FLOAT_SIZES = (2, 4, 8, 12, 16)
#: The highest byte of ``info``: kind and flag.
_SIGNED_ENUMERATIONS = (Kind.ENUM | 0x80, Kind.ENUM64 | 0x80, Kind.ENUM64)
_VARIABLE_ARGUMENTS = (0, 0)


class Btf:
    """The types that some BTF describes.

    Types have numbers: 0 is void. Those of split BTF, as modules have it, begin after those of its
    base, and its strings too. A record is decoded when it is asked for; records are bounded, but
    may refer to each other in circles, which whoever follows them must expect.

    Args:
        data: the BTF, from its header on; what follows the sections is ignored.
        base: the BTF of the kernel, for that of a module.

    Raises:
        BadBtf: it is damaged, or of a kind that is not known.

    Attributes:
        data: its bytes.
        first: the number of the first type that is its own.
    """

    def __init__(self, data: bytes, base: Btf | None = None) -> None:
        if len(data) > MAX_BTF:
            raise BadBtf(f"BTF has {len(data)} bytes, and at most {MAX_BTF} are read")
        header = parse_header(data)
        self.data = data[: max(header.types[1], header.strings[1])]
        self._types = data[slice(*header.types)]
        self._strings = data[slice(*header.strings)]
        self._base = base
        self.first = len(base) if base is not None else 1
        self._first_string = base._end_of_strings if base is not None else 0
        self._end_of_strings: int = self._first_string + len(self._strings)
        if self._strings[-1:] != b"\0" or (base is None and self._strings[:1] != b"\0"):
            raise BadBtf("the string section of BTF does not begin and end with a zero byte")
        self._records = self._scan()
        self._named: dict[str, list[int]] = {}

    def _scan(self) -> array[int]:
        """Where each record begins, in words of 32 bits."""
        words = array("I", self._types[: len(self._types) & -_WORD])
        if sys.byteorder == "big":
            words.byteswap()
        found = array("I")
        append, once, each = found.append, RECORD_WORDS, ENTRY_WORDS
        at, end = 0, len(words)
        try:
            while at < end:
                append(at)
                info = words[at + 1]
                kind = info >> 24 & 0x1F
                at += once[kind] + each[kind] * (info & 0xFFFF)
        except IndexError:
            if at + 1 < end:
                raise BadBtf(
                    f"type {self.first + len(found) - 1} of BTF is of kind {kind}, which is not "
                    f"known: {Kind.ENUM64} is the last"
                ) from None
        if at != end or len(self._types) % _WORD:
            raise BadBtf(f"the last type of BTF (number {self.first + len(found) - 1}) is cut off")
        return found

    def __len__(self) -> int:
        """The number after the last type's, those of the base included."""
        return self.first + len(self._records)

    @property
    def base(self) -> Btf | None:
        """The BTF of the kernel; None if this is it."""
        return self._base

    @property
    def ids(self) -> range:
        """The numbers of its own types, without those of the base."""
        return range(self.first, len(self))

    # ---- records -----------------------------------------------------------------------------

    def _string(self, offset: int) -> str:
        if offset < self._first_string and self._base is not None:
            return self._base._string(offset)
        at = offset - self._first_string
        end = self._strings.find(b"\0", at, at + _MAX_NAME + 1)
        if end < 0:
            raise BadBtf(
                f"BTF has a name at {offset:#x} of its strings, which is past their end, or longer "
                f"than {_MAX_NAME} bytes"
            )
        return self._strings[at:end].decode("utf-8", "backslashreplace")

    def kind(self, number: int) -> Kind:
        """The kind of a type. Raises BadBtf for a number that no type has."""
        if 0 <= number < self.first:
            return Kind.VOID if self._base is None else self._base.kind(number)
        info: int = TYPE.unpack_from(self._types, self._at(number))[1]
        return Kind(info >> 24 & 0x1F)

    def _at(self, number: int) -> int:
        try:
            if number >= self.first:
                return _WORD * self._records[number - self.first]
        except IndexError:
            pass
        raise BadBtf(f"BTF refers to type {number}, but has {len(self)} types")

    def __getitem__(self, number: int) -> TypeRecord:
        """The type of that number. Raises BadBtf."""
        if 0 <= number < self.first:
            return Void() if self._base is None else self._base[number]
        at = self._at(number)
        name_at, info, size = TYPE.unpack_from(self._types, at)
        kind = Kind(info >> 24 & 0x1F)
        name = self._string(name_at)
        decode = _DECODERS.get(kind)
        if decode is None:
            return Reference(kind, name, size)
        return decode(self, kind, name, size, at + TYPE.size, info)

    def _pairs(self, at: int, count: int) -> Iterator[tuple[int, int]]:
        return iter(_PAIR.iter_unpack(memoryview(self._types)[at : at + _PAIR.size * count]))

    def _triples(self, at: int, count: int) -> Iterator[tuple[int, int, int]]:
        return iter(_TRIPLE.iter_unpack(memoryview(self._types)[at : at + _TRIPLE.size * count]))

    def _int(self, kind: Kind, name: str, size: int, at: int, _info: int) -> Int:
        details = int.from_bytes(self._types[at : at + 4], "little")
        encoding = details >> 24 & 0xF
        bits, offset = details & 0xFF, details >> 16 & 0xFF
        if not 1 <= size <= 16 or offset + bits > 8 * size or not bits:
            raise BadBtf(f"BTF has an integer {name!r} of {bits} bits in {size} bytes")
        return Int(kind, name, size, bits, offset, bool(encoding & _SIGNED), bool(encoding & _BOOL))

    def _float(self, kind: Kind, name: str, size: int, _at: int, _info: int) -> Float:
        if size not in _FLOAT_SIZES:
            raise BadBtf(f"BTF has a floating-point type {name!r} of {size} bytes")
        return Float(kind, name, size)

    def _array(self, kind: Kind, name: str, _size: int, at: int, _info: int) -> Array:
        target, _index, length = _TRIPLE.unpack_from(self._types, at)
        return Array(kind, name, target, length)

    def _composite(self, kind: Kind, name: str, size: int, at: int, info: int) -> Composite:
        members = []
        for name_at, target, offset in self._triples(at, info & 0xFFFF):
            bits = 0
            if info >> 31:  # kind_flag: the offset has the size of the bit-field too
                offset, bits = offset & 0xFF_FFFF, offset >> 24
            members.append(Member(self._string(name_at), target, offset, bits))
        return Composite(kind, name, size, tuple(members))

    def _enum(self, kind: Kind, name: str, size: int, at: int, info: int) -> Enumeration:
        is_signed = bool(info >> 31)
        if not is_signed and kind is Kind.ENUM and not self._has_signs:
            is_signed = any(value >> 31 for _, value in self._pairs(at, info & 0xFFFF))
        values = []
        if kind is Kind.ENUM:
            for name_at, value in self._pairs(at, info & 0xFFFF):
                values.append((self._string(name_at), _number(value, 32, is_signed)))
        else:
            for name_at, low, high in self._triples(at, info & 0xFFFF):
                value = _number(high << 32 | low, 64, is_signed)
                values.append((self._string(name_at), value))
        if size not in (1, 2, 4, 8):
            raise BadBtf(f"BTF has an enumeration {name!r} of {size} bytes")
        return Enumeration(kind, name, size, is_signed, tuple(values))

    @cached_property
    def _has_signs(self) -> bool:
        """Whether the flag says which enumerations are signed.

        Before it was introduced (Linux 6.0, with ENUM64) all values of 32 bits were signed. A
        kernel has always some negative ones.
        """
        types, unpack = self._types, TYPE.unpack_from
        infos = (unpack(types, _WORD * at)[1] for at in self._records)
        return any(info >> 24 in _SIGNED_ENUMERATIONS for info in infos) or (
            self._base is not None and self._base._has_signs
        )

    def _forward(self, kind: Kind, name: str, _size: int, _at: int, info: int) -> Forward:
        return Forward(kind, name, bool(info >> 31))

    def _prototype(self, kind: Kind, name: str, result: int, at: int, info: int) -> Prototype:
        found = list(self._pairs(at, info & 0xFFFF))
        is_variadic = bool(found) and found[-1] == _VARIABLE_ARGUMENTS
        if is_variadic:
            found.pop()
        parameters = tuple(Parameter(self._string(name_at), target) for name_at, target in found)
        return Prototype(kind, name, result, parameters, is_variadic)

    def _section(self, kind: Kind, name: str, size: int, at: int, info: int) -> Section:
        entries = self._triples(at, info & 0xFFFF)
        return Section(kind, name, size, tuple(SectionVariable(*entry) for entry in entries))

    # ---- names -------------------------------------------------------------------------------

    def _string_offsets(self, text: bytes) -> Iterator[int]:
        """Where a string is among those of the base and its own."""
        if self._base is not None:
            yield from self._base._string_offsets(text)
        strings = self._strings
        at = strings.find(text + b"\0")
        copies = 0
        while at >= 0:
            if at == 0 or strings[at - 1] == 0:
                yield self._first_string + at
                copies += 1
                if copies > _MOST_COPIES:
                    raise BadBtf(f"BTF has the string {text.decode()!r} more than {copies} times")
            at = strings.find(b"\0" + text + b"\0", at) + 1 or -1

    def _uses(self, name: str) -> Iterator[tuple[int, int]]:
        """Where its own records have a name: the number of the type, and the byte in its record.

        Nothing is indexed: a few names are looked up of the hundred thousand that there are.
        """
        types = self._types
        for offset in self._string_offsets(name.encode("utf-8", "surrogateescape")):
            pattern = offset.to_bytes(_WORD, "little")
            place = types.find(pattern)
            while place >= 0:
                if place % _WORD == 0:
                    index = bisect_right(self._records, place // _WORD) - 1
                    yield self.first + index, place - _WORD * self._records[index]
                place = types.find(pattern, place + 1)

    def find(self, name: str, kinds: Collection[Kind]) -> list[int]:
        """The numbers of the types of that name, its own ones before those of the base."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = []
            if 0 < len(name) <= _MAX_NAME:
                found += [number for number, at in self._uses(name) if at == 0]
            if len(self._named) > _KNOWN_NAMES:
                self._named = {name: found}
        right = [number for number in found if self.kind(number) in kinds]
        return right if self._base is None else right + self._base.find(name, kinds)

    def enumerator(self, name: str) -> tuple[int, int] | None:
        """The number of the first of its own enumerations with a constant of that name, and its
        value; None if there is none."""
        if not 0 < len(name) <= _MAX_NAME:
            return None
        for number, at in self._uses(name):
            if at and self.kind(number) in (Kind.ENUM, Kind.ENUM64):
                record = self[number]
                assert isinstance(record, Enumeration)
                for each, value in record.values:
                    if each == name:
                        return number, value
        return None

    def section(self, name: str) -> Section | None:
        """The variables of the ELF section of that name; None if BTF has none of it."""
        for number in self.find(name, (Kind.DATASEC,)):
            record = self[number]
            assert isinstance(record, Section)
            return record
        return None


def _number(value: int, bits: int, is_signed: bool) -> int:
    return value - (1 << bits) if is_signed and value >> bits - 1 else value


_Decoder = Callable[[Btf, Kind, str, int, int, int], TypeRecord]
_DECODERS: dict[Kind, _Decoder] = {
    Kind.INT: Btf._int,
    Kind.FLOAT: Btf._float,
    Kind.ARRAY: Btf._array,
    Kind.STRUCT: Btf._composite,
    Kind.UNION: Btf._composite,
    Kind.ENUM: Btf._enum,
    Kind.ENUM64: Btf._enum,
    Kind.FWD: Btf._forward,
    Kind.FUNC_PROTO: Btf._prototype,
    Kind.DATASEC: Btf._section,
}
