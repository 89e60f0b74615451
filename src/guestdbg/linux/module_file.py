"""The file of a kernel module (``.ko``, ``.ko.debug``), put where the kernel has loaded it.

It is a relocatable ELF file: its sections have no addresses, and the addresses in its debug
information are relocations. The kernel loads each section at an address of its own. Here it is made
an ELF file with these addresses, as a linker would, so that everything that reads ELF files reads
it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from guestdbg.debugger.errors import BadImage

__all__ = ["build_id", "has_debug_info", "linked", "modinfo", "relocatable"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_ET_REL, _ET_EXEC, _EM_AARCH64 = 1, 2, 183
_SYMTAB, _RELA, _NOTE, _NOBITS = 2, 4, 7, 8
_ALLOC, _EXECUTABLE = 2, 4
_PT_LOAD, _READ, _EXECUTE = 1, 4, 1
_MAX_SECTIONS = 4096
_RESERVED = 0xFF00  # SHN_LORESERVE: no section
_U64 = (1 << 64) - 1
#: R_AARCH64_ABS64, ABS32, PREL32 (ELF for the Arm 64-bit Architecture, 5.7.5): bytes, and whether
#: the place is subtracted.
_KINDS = {257: (8, False), 258: (4, False), 261: (4, True)}
_BUILD_ID = re.compile(rb"\x04\0\0\0([\x08-\x40])\0\0\0\x03\0\0\0GNU\0", re.DOTALL)


class _Section(NamedTuple):
    """A section header, with its name."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int


def _sections(data: bytes) -> list[_Section]:
    """The sections of an ELF file. Raises BadImage."""
    if len(data) < _HEADER.size or data[:6] != b"\x7fELF\2\1":
        raise BadImage("it is no ELF file of a 64-bit little-endian machine")
    header = _HEADER.unpack_from(data)
    at, size, count, names_at = header[6], header[11], header[12], header[13]
    if size != _SECTION.size or count > _MAX_SECTIONS or at + count * size > len(data):
        raise BadImage("its section headers are damaged")
    found = [_SECTION.unpack_from(data, at + n * size) for n in range(count)]
    names = b""
    if names_at < count:
        names = data[found[names_at][4] : found[names_at][4] + found[names_at][5]]
    sections = []
    for name, kind, flags, _, offset, length, link, info, _, _ in found:
        if kind != _NOBITS and offset + length > len(data):
            raise BadImage(f"it is truncated: it ends at {len(data):#x}, in a section")
        text = names[name : max(names.find(b"\0", name), name)].decode("latin-1")
        sections.append(_Section(text, kind, flags, offset, length, link, info))
    return sections


def relocatable(data: bytes) -> bool:
    """Whether it is a relocatable ELF file for this architecture, as a module is."""
    if len(data) < _HEADER.size or data[:6] != b"\x7fELF\2\1":
        return False
    _, kind, machine, *_ = _HEADER.unpack_from(data)
    return (kind, machine) == (_ET_REL, _EM_AARCH64)


def build_id(data: bytes) -> bytes:
    """The build ID in the notes of a module's file; empty if it has none. Raises BadImage."""
    for section in _sections(data):
        if section.kind == _NOTE:
            note = data[section.offset : section.offset + section.size]
            found = _BUILD_ID.search(note)
            if found is not None:
                return note[found.end() : found.end() + found[1][0]]
    return b""


def has_debug_info(data: bytes) -> bool:
    """Whether a module's file has types and lines. Raises BadImage."""
    return any(section.name in (".debug_info", ".zdebug_info") for section in _sections(data))


def modinfo(data: bytes, name: str) -> str:
    """An entry of a module's .modinfo, such as ``srcversion``; empty without. Raises BadImage."""
    for section in _sections(data):
        if section.name == ".modinfo" and section.kind != _NOBITS:
            entries = data[section.offset : section.offset + section.size].split(b"\0")
            for entry in entries:
                key, _, value = entry.partition(b"=")
                if key == name.encode():
                    return value.decode("latin-1")
    return ""


def linked(data: bytes, addresses: Mapping[str, int]) -> bytes:
    """The file with its sections at these addresses, by name.

    Sections without an address are not in memory. Raises BadImage.
    """
    sections = _sections(data)
    placed = [
        addresses.get(section.name, 0) if section.flags & _ALLOC else 0 for section in sections
    ]
    to = bytearray(data)
    symbols = _place_symbols(to, sections, placed)
    _relocate(to, sections, symbols)
    header = list(_HEADER.unpack_from(to))
    for number, address in enumerate(placed):
        struct.pack_into("<Q", to, header[6] + number * _SECTION.size + 16, address)
    segments = list(_segments(sections, placed))
    header[1], header[5], header[9], header[10] = _ET_EXEC, len(to), _SEGMENT.size, len(segments)
    _HEADER.pack_into(to, 0, *header)
    return bytes(to) + b"".join(segments)


def _place_symbols(
    to: bytearray, sections: list[_Section], placed: list[int]
) -> dict[int, list[int]]:
    """Give the symbols their addresses; these, by the number of the symbol table."""
    found: dict[int, list[int]] = {}
    for number, section in enumerate(sections):
        if section.kind != _SYMTAB:
            continue
        values = []
        end = section.offset + section.size // _SYMBOL.size * _SYMBOL.size
        for at in range(section.offset, end, _SYMBOL.size):
            name, info, other, index, value, size = _SYMBOL.unpack_from(to, at)
            if 0 < index < min(len(placed), _RESERVED):
                value = value + placed[index] & _U64
                _SYMBOL.pack_into(to, at, name, info, other, index, value, size)
            values.append(value)
        found[number] = values
    return found


def _relocate(to: bytearray, sections: list[_Section], symbols: dict[int, list[int]]) -> None:
    """Apply the relocations of the debug information."""
    for section in sections:
        if section.kind != _RELA or not 0 < section.info < len(sections):
            continue
        target = sections[section.info]
        if not target.name.startswith(".debug") or target.kind == _NOBITS:
            continue
        values = symbols.get(section.link)
        if values is None:
            raise BadImage(f"the relocations of {target.name} have no symbol table")
        end = section.offset + section.size // _RELOCATION.size * _RELOCATION.size
        for at in range(section.offset, end, _RELOCATION.size):
            place, info, addend = _RELOCATION.unpack_from(to, at)
            width, relative = _KINDS.get(info & 0xFFFF_FFFF, (0, False))
            number = info >> 32
            if not width:
                if info & 0xFFFF_FFFF == 0:
                    continue  # R_AARCH64_NONE
                raise BadImage(
                    f"{target.name} has a relocation of type {info & 0xFFFF_FFFF}, which debug "
                    "information does not have"
                )
            if number >= len(values) or place + width > target.size:
                raise BadImage(f"a relocation of {target.name} leads outside it")
            value = values[number] + addend - (place if relative else 0)
            start = target.offset + place
            to[start : start + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _segments(sections: list[_Section], placed: list[int]) -> Iterator[bytes]:
    """A segment for each section in memory."""
    for section, address in zip(sections, placed, strict=True):
        if address and section.size:
            flags = _READ | (_EXECUTE if section.flags & _EXECUTABLE else 0)
            in_file = 0 if section.kind == _NOBITS else section.size
            yield _SEGMENT.pack(
                _PT_LOAD, flags, section.offset, address, address, in_file, section.size, 1
            )
