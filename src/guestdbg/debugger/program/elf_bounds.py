"""Checks of an ELF file before a library reads it: what its headers claim fits into the file.

pyelftools and drgn allocate what a header says, and go round as often as a count says. So sizes
and counts are compared here with the bytes that are there. Sources: System V ABI, chapters 4 and 5;
DWARF 5, sections 6.1.2 (aranges), 6.2.4 (line tables) and 6.4.1 (call frames).

All functions raise ValueError with what is wrong.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from guestdbg.debugger.program.section_header import (
    SECTION_HEADER,
    SHF_COMPRESSED,
    SHT_NOBITS,
    SectionHeader,
)

__all__ = [
    "check_abbreviations",
    "check_aranges",
    "check_call_frames",
    "check_file",
    "check_line_header",
    "decompressed_limit",
    "section_bytes",
    "table_size",
]

#: Entries of compilers have tens of bytes, and those of the largest functions some thousands.
MAX_CALL_FRAME_ENTRY = 16 << 10

_HEADER, _SEGMENT = 64, 56
_SHT_NULL = 0
_PN_XNUM = 0xFFFF
_ZDEBUG = b"ZLIB"
# The declarations of compilers have up to some hundred bytes.
_DECLARATION = 1024
# What debug information shrinks to is a fifth to a third; more than this is no debug information.
_EXPANSION, _SMALL, _MOST = 32, 64 << 20, 4 << 30


def section_bytes(section: Any) -> bytes:
    """The contents of a section as pyelftools describes it (``DebugSectionDescriptor``)."""
    contents: bytes = section.stream.getvalue()
    return contents


def decompressed_limit(file_size: int) -> int:
    """How many bytes all compressed sections of a file of ``file_size`` bytes may unpack to."""
    return min(_SMALL + _EXPANSION * file_size, _MOST)


def check_file(data: bytes) -> None:
    """The headers of a 64-bit little-endian ELF file, and the sizes of its compressed sections."""
    if len(data) < _HEADER:
        raise ValueError(f"{len(data)} bytes, but an ELF header has {_HEADER}")
    if data[4] != 2 or data[5] != 1:
        return  # of another class or byte order: refused for that
    (segments_at, sections_at) = struct.unpack_from("<QQ", data, 32)
    sizes = struct.unpack_from("<5H", data, 54)
    segment_size, segment_count, section_size, section_count, names_index = sizes
    if segment_count == _PN_XNUM:
        raise ValueError("more than 65,534 program headers")
    _check_table(data, "program", segments_at, segment_count, segment_size, _SEGMENT)
    if not sections_at:
        return
    if not section_count:  # more than fit into the header: the first section's size says how many
        _check_table(data, "section", sections_at, 1, section_size, SECTION_HEADER)
        section_count = SectionHeader.read(data, sections_at).size
    _check_table(data, "section", sections_at, section_count, section_size, SECTION_HEADER)
    if names_index >= section_count and names_index != 0xFFFF:
        raise ValueError(f"the section names are in section {names_index} of {section_count}")
    _check_sections(data, sections_at, section_count)


def _check_table(data: bytes, what: str, at: int, count: int, size: int, right: int) -> None:
    if not count:
        return
    if size != right:
        raise ValueError(f"{what} headers of {size} bytes; they have {right}")
    if at + count * size > len(data):
        raise ValueError(
            f"{len(data):#x} bytes, but its {count} {what} headers end at {at + count * size:#x}"
        )


def _check_sections(data: bytes, at: int, count: int) -> None:
    unpacked = 0
    for number in range(count):
        section = SectionHeader.read(data, at + number * SECTION_HEADER)
        if section.kind in (_SHT_NULL, SHT_NOBITS):
            continue
        if section.offset + section.size > len(data):
            raise ValueError(
                f"{len(data):#x} bytes, but section {number} ends at "
                f"{section.offset + section.size:#x}"
            )
        unpacked += _unpacked_size(data, number, section)
        if unpacked > decompressed_limit(len(data)):
            raise ValueError(
                f"its compressed sections claim to unpack to {unpacked >> 20} MiB or more, from a "
                f"file of {len(data) >> 10} KiB"
            )


def _unpacked_size(data: bytes, number: int, section: SectionHeader) -> int:
    """The size of a compressed section when it is unpacked; 0 for others."""
    if section.flags & SHF_COMPRESSED:
        if section.size < 24:
            raise ValueError(f"section {number} is compressed, but has no room for its header")
        return int(struct.unpack_from("<Q", data, section.offset + 8)[0])
    start = section.offset
    if data[start : start + 4] != _ZDEBUG or section.size < 12:
        return 0
    # The older form, .zdebug_*. Readers unpack it to its end, whatever size it gives.
    claimed = int(struct.unpack_from(">Q", data, start + 4)[0])
    if claimed > decompressed_limit(len(data)):
        return claimed
    reader = zlib.decompressobj()
    try:
        real = len(reader.decompress(data[start + 12 : start + section.size], claimed + 1))
    except zlib.error:
        return claimed  # the reader reports it
    if real > claimed:
        raise ValueError(f"section {number} unpacks to more than the {claimed} bytes that it gives")
    return claimed


def check_abbreviations(section: bytes) -> None:
    """``.debug_abbrev``: no declaration has far more attributes than there are.

    Readers go through all of them for each entry, also if they take no byte there. A declaration
    ends with two zeros, and between its attributes there are no two.
    """
    longest = max(map(len, section.split(b"\0\0")))
    if longest > _DECLARATION:
        raise ValueError(
            f"an abbreviation has {longest} bytes; that are more attributes than there are"
        )


def table_size(section: bytes, at: int) -> int:
    """How many bytes the line table at offset ``at`` of ``.debug_line`` has."""
    _start, end, _wide = _unit(section, at, "line table")
    return end - at


def check_line_header(section: bytes, at: int) -> None:
    """The header of the line table at offset ``at`` of ``.debug_line``: its counts."""
    start, end, wide = _unit(section, at, "line table")
    version = _number(section, start, 2)
    if version < 5:
        return  # its lists end with an empty entry
    offset = start + 4  # version, size of addresses, size of segment selectors
    length = _number(section, offset, 8 if wide else 4)
    offset += 8 if wide else 4
    stop = offset + length
    if stop > end:
        raise ValueError(f"the line table at {at:#x} has a header of {length} bytes, past its end")
    offset += 5  # up to line_range
    offset += _number(section, offset, 1)  # opcode_base, and a length for each opcode below it
    for what in ("directories", "files"):
        formats = _number(section, offset, 1)
        offset += 1
        forms = []
        for _ in range(formats):
            _, offset = _uleb(section, offset, stop)
            form, offset = _uleb(section, offset, stop)
            forms.append(form)
        count, offset = _uleb(section, offset, stop)
        if count > stop - offset or (count and not forms):
            raise ValueError(
                f"the line table at {at:#x} claims {count} {what}, in {stop - offset} bytes"
            )
        for _ in range(count):
            for form in forms:
                offset = _skip(section, offset, stop, form, wide)


# Sizes of the forms that a line table may use; -1: 8 in 64-bit DWARF, otherwise 4.
_FORMS = {
    0x0B: 1, 0x05: 2, 0x06: 4, 0x07: 8, 0x1E: 16, 0x0E: -1, 0x1F: -1, 0x17: -1, 0x1D: -1,
    0x25: 1, 0x26: 2, 0x27: 3, 0x28: 4,
}  # fmt: skip


def _skip(section: bytes, offset: int, stop: int, form: int, wide: bool) -> int:
    """The offset after a value of a form."""
    if form in _FORMS:
        size = _FORMS[form]
        offset += size if size >= 0 else 8 if wide else 4
    elif form == 0x08:  # string
        found = section.find(b"\0", offset, stop)
        offset = stop + 1 if found < 0 else found + 1
    elif form in (0x0F, 0x1A):  # udata, strx
        _, offset = _uleb(section, offset, stop)
    elif form in (0x09, 0x0A, 0x03, 0x04):  # block, block1, block2, block4
        if form == 0x09:
            size, offset = _uleb(section, offset, stop)
        else:
            width = {0x0A: 1, 0x03: 2, 0x04: 4}[form]
            size = _number(section, offset, width)
            offset += width
        offset += size
    else:
        raise ValueError(f"a line table with entries of form {form:#x}, which has no place there")
    if offset > stop:
        raise ValueError("a line table whose names extend past its header")
    return offset


def check_aranges(section: bytes) -> None:
    """``.debug_aranges``: each set ends inside itself. Readers look for its end, not its size."""
    for at, start, end, wide in _units(section, "set of address ranges"):
        header = start + 2 + (8 if wide else 4)
        if _number(section, header, 1) != 8 or _number(section, header + 1, 1) != 0:
            raise ValueError(f"the address ranges at {at:#x} are not of 64-bit addresses")
        first = at + -(-(header + 2 - at) // 16) * 16
        if not any(section[n : n + 16] == bytes(16) for n in range(first, end - 15, 16)):
            raise ValueError(f"the address ranges at {at:#x} have no end")


def check_call_frames(section: bytes, *, eh: bool) -> None:
    """``.debug_frame``, or ``.eh_frame`` (``eh``): entries are not large, and refer to a CIE there.

    The instructions of an entry are carried out whenever an address in its function is unwound.
    """
    common: set[int] = set()
    wanted: list[tuple[int, int]] = []
    offset = 0
    while offset + 4 <= len(section):
        if eh and _number(section, offset, 4) == 0:
            offset += 4
            continue
        start, end, wide = _unit(section, offset, "call frame entry")
        if end - start > MAX_CALL_FRAME_ENTRY:
            raise ValueError(
                f"the call frame entry at {offset:#x} has {end - start} bytes; the maximum is "
                f"{MAX_CALL_FRAME_ENTRY}"
            )
        width = 8 if wide else 4
        pointer = _number(section, start, width)
        if pointer == (0 if eh else (1 << 8 * width) - 1):
            common.add(offset)
        else:
            wanted.append((offset, start - pointer if eh else pointer))
        offset = end
    for at, cie in wanted:
        if cie not in common:
            raise ValueError(f"the call frame entry at {at:#x} refers to {cie:#x}, where no CIE is")


def _units(section: bytes, what: str) -> Iterator[tuple[int, int, int, bool]]:
    at = 0
    while at < len(section):
        start, end, wide = _unit(section, at, what)
        yield at, start, end, wide
        at = end


def _unit(section: bytes, at: int, what: str) -> tuple[int, int, bool]:
    """(start after the length, end, 64-bit DWARF) of the unit at an offset."""
    length = _number(section, at, 4)
    wide = length == 0xFFFF_FFFF
    start = at + 4
    if wide:
        length = _number(section, start, 8)
        start += 8
    if start + length > len(section):
        raise ValueError(
            f"the {what} at {at:#x} has {length:#x} bytes, and the section has {len(section):#x}"
        )
    return start, start + length, wide


def _number(section: bytes, at: int, size: int) -> int:
    if not 0 <= at <= len(section) - size:
        raise ValueError(f"it ends at {len(section):#x}, in the middle of a header")
    return int.from_bytes(section[at : at + size], "little")


def _uleb(section: bytes, at: int, stop: int) -> tuple[int, int]:
    """A ULEB128 number of at most 64 bits, and the offset after it."""
    value = shift = 0
    while at < stop and at < len(section) and shift < 70:
        byte = section[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
    raise ValueError("a number that does not end")
