"""The section headers of an ELF file (ELF64, little-endian; System V ABI, chapter 4)."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["SECTION_HEADER", "SHF_COMPRESSED", "SHT_NOBITS", "SectionHeader"]

_LAYOUT = struct.Struct("<IIQQQQIIQQ")
#: The size of a section header in bytes.
SECTION_HEADER = _LAYOUT.size
SHT_NOBITS = 8
SHF_COMPRESSED = 0x800


class SectionHeader(NamedTuple):
    """A section header; ``name`` is an offset in the section with the names."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int

    @classmethod
    def read(cls, data: bytes, at: int) -> SectionHeader:
        """The header at an offset of the file; raises struct.error past its end."""
        return cls(*_LAYOUT.unpack_from(data, at))

    def packed(self) -> bytes:
        """The header as it is in a file."""
        return _LAYOUT.pack(*self)
