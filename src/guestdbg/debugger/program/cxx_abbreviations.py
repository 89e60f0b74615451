"""C++ debug information in the terms that drgn knows.

drgn has no references and no base classes, and refuses a class with either. In the copy of the file
that it gets, the abbreviations (DWARF 5, section 7.5.3) say that a reference is a pointer, which is
how it is stored, and that a base class is a member without a name, whose members are then found as
those of an anonymous structure are. Which pointers are references is known from the original:
``cxx_references``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Rewritten", "rewritten"]

_MEMBER, _POINTER, _REFERENCE, _INHERITANCE, _RVALUE_REFERENCE = 0x0D, 0x0F, 0x10, 0x1C, 0x42
_VIRTUALITY = 0x4C
_IMPLICIT_CONST = 0x21
#: One of these tags, without children, and the first attribute: what C never has, and soon found.
_MAYBE = re.compile(rb"[\x10\x42\x1c]\x00[^\x00]", re.DOTALL)


class Rewritten(NamedTuple):
    """The file for drgn, and whether it has references."""

    contents: bytes
    references: bool


def rewritten(contents: bytes, start: int, size: int) -> Rewritten:
    """The file with the abbreviations in it changed; they are ``size`` bytes from ``start`` on.

    A section that is damaged stays as it is from there on.
    """
    section = memoryview(contents)[start : start + size]
    if _MAYBE.search(section) is None:
        return Rewritten(contents, references=False)
    changes: list[tuple[int, int]] = []
    references = False
    try:
        for offset, tag, attributes in _abbreviations(section):
            if tag in (_REFERENCE, _RVALUE_REFERENCE):
                references = True
                changes.append((offset, _POINTER))
            elif tag == _INHERITANCE and _VIRTUALITY not in attributes:
                changes.append((offset, _MEMBER))
    except IndexError:
        pass
    if not changes:
        return Rewritten(contents, references=False)
    copy = bytearray(contents)
    for offset, tag in changes:
        struct.pack_into("B", copy, start + offset, tag)
    return Rewritten(bytes(copy), references)


def _abbreviations(section: memoryview) -> Iterator[tuple[int, int, set[int]]]:
    """Where each tag is, the tag, and the attributes; raises IndexError past the end."""
    at = 0
    while at < len(section):
        code, at = _leb128(section, at)
        if not code:
            continue  # the end of a table
        tag_at = at
        tag, at = _leb128(section, at)
        at += 1  # whether it has children
        attributes: set[int] = set()
        while True:
            attribute, at = _leb128(section, at)
            form, at = _leb128(section, at)
            if form == _IMPLICIT_CONST:
                _value, at = _leb128(section, at)
            if not attribute and not form:
                break
            attributes.add(attribute)
        yield tag_at, tag, attributes


def _leb128(section: memoryview, at: int) -> tuple[int, int]:
    """A number, the low bits of which are right, and where the next begins."""
    value = section[at] & 0x7F
    shift = 7
    while section[at] & 0x80:
        at += 1
        if shift < 64:
            value |= (section[at] & 0x7F) << shift
        shift += 7
    return value, at + 1
