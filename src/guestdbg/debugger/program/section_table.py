"""The sections of an ELF file by name, without a library: loading a guest needs a few of them.

To import pyelftools takes longer than most guests of a few instructions run. It reads the debug
information, which is read when it is asked for.
"""

from __future__ import annotations

import struct

from guestdbg.debugger.program.section_header import SECTION_HEADER, SHT_NOBITS, SectionHeader

__all__ = ["SectionTable"]

_HEADER = 64
_SHN_XINDEX = 0xFFFF


class SectionTable:
    """The section headers of a 64-bit little-endian ELF file.

    Of a file whose headers are not all there it has none (see ``elf_bounds.check_file``).

    Attributes:
        data: the file's bytes.
        headers: in their order in the file.
        names: the contents of the section with the names.
        names_index: the number of that section.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.headers: list[SectionHeader] = []
        self.names = b""
        self.names_index = 0
        if len(data) < _HEADER:
            return
        (at,) = struct.unpack_from("<Q", data, 40)
        size, count, names_index = struct.unpack_from("<HHH", data, 58)
        if not at or size != SECTION_HEADER or at + size > len(data):
            return
        first = SectionHeader.read(data, at)
        count = count or first.size  # more than fit into the ELF header
        if names_index == _SHN_XINDEX:
            names_index = first.link
        if names_index >= count or at + size * count > len(data):
            return
        self.headers = [SectionHeader.read(data, at + size * n) for n in range(count)]
        self.names_index = names_index
        self.names = self.contents(self.headers[names_index])
        self._by_name = {self.name(header): header for header in self.headers}

    def name(self, header: SectionHeader) -> bytes:
        """The name of a section; empty if it is not in the section with the names."""
        end = self.names.find(b"\0", header.name)
        return self.names[header.name : end] if 0 <= header.name < end else b""

    def named(self, name: bytes) -> SectionHeader | None:
        """The section of that name; the last of several, as in pyelftools."""
        return self._by_name.get(name) if self.headers else None

    def contents(self, header: SectionHeader) -> bytes:
        """The bytes of a section as they are in the file; none if it has none there."""
        if header.kind == SHT_NOBITS:
            return b""
        return self.data[header.offset : header.offset + header.size]
