"""ELF files taken apart into sections and put together again, with other contents."""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import dataclass, field

from guestdbg.debugger.program.section_header import (
    SECTION_HEADER,
    SHF_COMPRESSED,
    SHT_NOBITS,
    SectionHeader,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEADER, SEGMENT = 64, 56
SHF_ALLOC = 2


@dataclass
class Section:
    """A section; the contents of one in guest memory stay where they are in the file."""

    name: str
    header: SectionHeader
    contents: bytes = b""

    @property
    def stays(self) -> bool:
        return bool(self.header.flags & SHF_ALLOC) or self.header.kind == SHT_NOBITS


@dataclass
class Elf:
    """An executable: what is loaded, byte for byte, and its sections."""

    loaded: bytes
    sections: list[Section] = field(default_factory=list)

    @classmethod
    def parse(cls, data: bytes) -> Elf:
        """A file that is intact."""
        (at,) = struct.unpack_from("<Q", data, 40)
        count, names_index = struct.unpack_from("<HH", data, 60)
        headers = [SectionHeader.read(data, at + SECTION_HEADER * n) for n in range(count)]
        names = headers[names_index]
        found = cls(b"")
        end = HEADER
        for header in headers:
            start = names.offset + header.name
            name = data[start : data.index(b"\0", start)].decode()
            contents = b""
            if header.kind != SHT_NOBITS:
                contents = data[header.offset : header.offset + header.size]
                if header.flags & SHF_ALLOC:
                    end = max(end, header.offset + header.size)
            found.sections.append(Section(name, header, contents))
        found.loaded = data[:end]
        return found

    def section(self, name: str) -> Section | None:
        return next((s for s in self.sections if s.name == name), None)

    def put(self, name: str, contents: bytes, flags: int = 0) -> None:
        """The contents of a section that is not in guest memory; a new one if there is none."""
        section = self.section(name)
        if section is None:
            section = Section(name, SectionHeader(0, 1, 0, 0, 0, 0, 0, 0, 1, 0))
            self.sections.append(section)
        section.header = section.header._replace(flags=section.header.flags & ~SHF_COMPRESSED)
        section.header = section.header._replace(flags=section.header.flags | flags)
        section.contents = contents

    def without_debug_info(self) -> Elf:
        """The file as ``strip -g`` leaves it. The symbol table stays."""
        kept = Elf(self.loaded, [])
        places: dict[int, int] = {}
        for number, section in enumerate(self.sections):
            if not section.name.startswith(".debug"):
                places[number] = len(kept.sections)
                kept.sections.append(Section(section.name, section.header, section.contents))
        for section in kept.sections:
            link = places.get(section.header.link, 0)
            section.header = section.header._replace(link=link)
        return kept

    def build(self) -> bytes:
        """The file."""
        out = bytearray(self.loaded)
        names = bytearray(b"\0")
        headers = []
        names_index = 0
        for number, section in enumerate(self.sections):
            header = section.header._replace(name=len(names) if section.name else 0)
            if section.name:
                names += section.name.encode() + b"\0"
            if section.name == ".shstrtab":
                names_index = number
            elif section.name and not section.stays:
                out += bytes(-len(out) % 8)
                header = header._replace(offset=len(out), size=len(section.contents))
                out += section.contents
            headers.append(header)
        headers[names_index] = headers[names_index]._replace(offset=len(out), size=len(names))
        out += names
        out += bytes(-len(out) % 8)
        struct.pack_into("<Q", out, 40, len(out))
        struct.pack_into("<HH", out, 60, len(headers), names_index)
        for header in headers:
            out += header.packed()
        return bytes(out)

    def symbols(self) -> dict[str, tuple[int, int]]:
        """The address and size of each symbol that has a name."""
        table, strings = self.section(".symtab"), self.section(".strtab")
        if table is None or strings is None:
            return {}
        found = {}
        for name_at, _info, _other, _index, value, size in struct.iter_unpack(
            "<IBBHQQ", table.contents
        ):
            end = strings.contents.find(b"\0", name_at)
            if name := strings.contents[name_at:end].decode("utf-8", "replace"):
                found[name] = (value, size)
        return found


def zstd_compressed(contents: bytes) -> bytes:
    """In the format of zstd."""
    return bytes(zstd.compress(contents))


def compressed(contents: bytes, how: str, claimed: int | None = None) -> bytes:
    """A section's contents compressed: ``"zlib"``, ``"zstd"`` (gABI), or ``"gnu"``, the old form.

    ``claimed``: the size that the header gives; None: the right one.
    """
    size = len(contents) if claimed is None else claimed
    if how == "gnu":
        return b"ZLIB" + struct.pack(">Q", size) + zlib.compress(contents, 1)
    if how == "zstd":
        return struct.pack("<IIQQ", 2, 0, size, 1) + zstd_compressed(contents)
    return struct.pack("<IIQQ", 1, 0, size, 1) + zlib.compress(contents, 1)
