"""How much of the host's memory plain values take, without what they share with other values."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum

__all__ = ["size_beside"]

_FREE = frozenset({bool, type(None), type})
_PLAIN = frozenset({int, float, complex, str, bytes, bytearray, memoryview})
_SEQUENCES = (tuple, list)


def size_beside(value: object, other: object = None) -> int:
    """Bytes that ``value`` takes, without the objects that ``other`` has at the same place.

    Both are built of plain values: numbers, text, bytes, containers, dataclasses. Of any other
    object only the object itself counts. Keys of mappings that are text count nothing: they are
    names, which exist once. An object that is in ``value`` twice counts twice.
    """
    total = 0
    todo = [(value, other)]
    around: set[int] = set()
    while todo:
        value, other = todo.pop()
        if value is other or type(value) in _FREE or isinstance(value, Enum):
            continue
        total += sys.getsizeof(value)
        if type(value) in _PLAIN or id(value) in around:
            continue
        if isinstance(value, _SEQUENCES) and type(other) is type(value):
            todo += [
                (part, theirs)
                for part, theirs in zip(value, other, strict=False)
                if part is not theirs
            ]
            todo += [(part, None) for part in value[len(other) :]]
            continue
        around.add(id(value))
        if isinstance(value, _SEQUENCES):
            todo += [(part, None) for part in value]
        elif isinstance(value, Mapping):
            theirs = other if isinstance(other, Mapping) else {}
            todo += [(part, theirs.get(key)) for key, part in value.items()]
            todo += [(key, None) for key in value if not isinstance(key, str) and key not in theirs]
        elif isinstance(value, set | frozenset | deque):
            todo += [(part, None) for part in value]
        elif is_dataclass(value):
            todo += [
                (getattr(value, name, None), getattr(other, name, None))
                for name in value.__dataclass_fields__
            ]
    return total
