"""Plain values as bytes, and records of them; checked against their types when they are read.

A value is None, a bool, an int, a str, bytes, a list, a tuple, a dict or a set of these; or a
record: a NamedTuple or a dataclass of values. Each begins with a tag of one byte:

    N, T, F   None, True, False
    I         an int: u8 number of bytes, and those (two's complement, little-endian)
    B, S      bytes, UTF-8 text: u32 length, and those
    L, U, D, E   a list, tuple, dict, set: u32 number of items, and those (of a dict: key, value, …)
    R         a record: its type's name and its fields, as a text and a tuple

Nothing is executed, and only types that the reader names are made. What is read is checked against
the annotations of their fields, so that it has the structure that its user expects.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast

__all__ = ["Records", "conforms", "decode", "encode", "record_types"]

_DEPTH_MAX: Final = 24
_INT_BYTES_MAX: Final = 32

Records: TypeAlias = Mapping[str, type]


def record_types(*classes: type) -> Records:
    """The types that may be in what is read, by name."""
    return {each.__name__: each for each in classes}


def encode(value: object) -> bytes:
    """The value as bytes. Raises TypeError for a value that has another type."""
    out = bytearray()
    _encode(value, out, 0)
    return bytes(out)


def _encode(value: object, out: bytearray, depth: int) -> None:
    if depth > _DEPTH_MAX:
        raise TypeError("the value is nested too deeply")
    if value is None or isinstance(value, bool):
        out += b"N" if value is None else b"T" if value else b"F"
    elif isinstance(value, int):
        value = int(value)
        size = value.bit_length() // 8 + 1
        if size > _INT_BYTES_MAX:
            raise TypeError("an int of more than 256 bits cannot be kept in a file")
        out += b"I" + bytes((size,)) + value.to_bytes(size, "little", signed=True)
    elif isinstance(value, bytes | bytearray):
        out += b"B" + len(value).to_bytes(4, "little") + value
    elif isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape")
        out += b"S" + len(text).to_bytes(4, "little") + text
    elif (fields := _fields(cast(Any, type(value)))) is not None:
        out += b"R"
        _encode(type(value).__name__, out, depth + 1)
        _encode(tuple(getattr(value, name) for name in fields), out, depth + 1)
    elif type(value) is dict:
        out += b"D" + len(value).to_bytes(4, "little")
        for key, item in value.items():
            _encode(key, out, depth + 1)
            _encode(item, out, depth + 1)
    elif isinstance(value, list | tuple | set | frozenset):
        tag = b"L" if isinstance(value, list) else b"U" if isinstance(value, tuple) else b"E"
        items = sorted(value) if tag == b"E" else value
        out += tag + len(value).to_bytes(4, "little")
        for item in items:
            _encode(item, out, depth + 1)
    else:
        raise TypeError(f"a {type(value).__name__} cannot be kept in a file: {value!r:.100}")


@cache
def _fields(kind: Any) -> tuple[str, ...] | None:
    """The names of the fields of a record type; None: it is none."""
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind) if field.init)
    return None


@cache
def _annotations(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in _fields(kind) or ()}


def decode(data: bytes, records: Records, expected: Any = object) -> Any:
    """The value that ``encode`` gave. ``expected`` is the annotation that it must conform to.

    Raises:
        ValueError: it is damaged, has a record that is not of ``records``, or another structure.
    """
    reader = _Reader(data, records)
    value = reader.value(0)
    if reader.at != len(data):
        raise ValueError(f"{len(data) - reader.at} bytes after the value")
    if not conforms(value, expected):
        raise ValueError(f"{value!r:.60} is no {expected}")
    return value


class _Reader:
    def __init__(self, data: bytes, records: Records) -> None:
        self._data = data
        self._records = records
        self.at = 0

    def _take(self, size: int) -> bytes:
        if size > len(self._data) - self.at:
            raise ValueError("it is truncated")
        self.at += size
        return self._data[self.at - size : self.at]

    def _number(self, size: int) -> int:
        return int.from_bytes(self._take(size), "little")

    def value(self, depth: int) -> Any:
        if depth > _DEPTH_MAX:
            raise ValueError("it is nested too deeply")
        tag = self._take(1)
        if tag in b"NTF":
            return {b"N": None, b"T": True, b"F": False}[tag]
        if tag == b"I":
            size = self._number(1)
            if not 1 <= size <= _INT_BYTES_MAX:
                raise ValueError(f"an int of {size} bytes")
            return int.from_bytes(self._take(size), "little", signed=True)
        if tag in b"BS":
            data = self._take(self._number(4))
            return data if tag == b"B" else data.decode("utf-8", "surrogateescape")
        if tag in b"LUDE":
            return self._items(tag, depth)
        if tag == b"R":
            return self._record(depth)
        raise ValueError(f"a value has the unknown tag {tag!r}")

    def _items(self, tag: bytes, depth: int) -> Any:
        count = self._number(4)
        if count > len(self._data) - self.at:  # each has a byte at least
            raise ValueError("it is truncated")
        if tag == b"D":
            found: dict[Any, Any] = {}
            for _ in range(count):
                key = self._key(depth)
                found[key] = self.value(depth + 1)
            if len(found) != count:
                raise ValueError("a dict has a key twice")
            return found
        if tag == b"E":
            return {self._key(depth) for _ in range(count)}
        items = [self.value(depth + 1) for _ in range(count)]
        return items if tag == b"L" else tuple(items)

    def _key(self, depth: int) -> Any:
        key = self.value(depth + 1)
        try:
            hash(key)
        except TypeError as error:
            raise ValueError("a dict has a key that can change") from error
        return key

    def _record(self, depth: int) -> Any:
        name, values = self.value(depth + 1), self.value(depth + 1)
        kind = self._records.get(name) if isinstance(name, str) else None
        if kind is None:
            raise ValueError(f"a record of the unknown type {name!r:.60}")
        annotations = _annotations(kind)
        if not isinstance(values, tuple) or len(values) != len(annotations):
            raise ValueError(f"a {name} with other fields than {', '.join(annotations)}")
        for (field, annotation), value in zip(annotations.items(), values, strict=True):
            if not conforms(value, annotation):
                raise ValueError(f"{name}.{field} is {value!r:.60}, which is no {annotation}")
        return kind(**dict(zip(annotations, values, strict=True)))


def conforms(value: object, annotation: Any) -> bool:
    """Whether a value has the structure that an annotation describes. An int is no bool."""
    if annotation is Any or annotation is object:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, typing.TypeAliasType if hasattr(typing, "TypeAliasType") else ()):
        return conforms(value, annotation.__value__)
    if origin is typing.Union or origin is types.UnionType:
        return any(conforms(value, each) for each in arguments)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and _tuple_conforms(value, arguments)
    if origin in (list, set, frozenset):
        kind = set if origin is frozenset else origin
        return isinstance(value, kind) and _all(value, arguments[0])
    if origin is dict:
        return isinstance(value, dict) and _all(value, arguments[0]) and _all(
            value.values(), arguments[1]
        )  # fmt: skip
    if annotation in (int, float):
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(annotation, type) and isinstance(value, annotation)


def _all(values: Iterable[object], annotation: Any) -> bool:
    return all(conforms(each, annotation) for each in values)


def _tuple_conforms(value: tuple[object, ...], arguments: tuple[Any, ...]) -> bool:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _all(value, arguments[0])
    return len(value) == len(arguments) and all(map(conforms, value, arguments))
