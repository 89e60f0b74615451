"""Compressed debug sections: an ELF file with all of them decompressed, and bounded.

Compilers write them in three ways: ``SHF_COMPRESSED`` with zlib or zstd (gABI, "Section
Compression"), and before that the GNU way, sections called ``.zdebug_*`` that begin with "ZLIB" and
a big-endian size. The libraries that read DWARF differ in what they accept, so they get plain
sections.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import BadImage
from guestdbg.debugger.program.section_header import SHF_COMPRESSED, SHT_NOBITS
from guestdbg.debugger.program.section_table import SectionTable

if TYPE_CHECKING:
    from guestdbg.debugger.program.section_header import SectionHeader

__all__ = ["MAX_DECOMPRESSED", "decompress", "section_contents", "with_plain_sections"]

#: More bytes of decompressed sections than this are refused.
MAX_DECOMPRESSED = 2 << 30
#: No section of zlib grows more than that (its own limit is 1032 times); zstd's may: refused.
_MAX_RATIO = 4096

_ZLIB, _ZSTD = 1, 2


def with_plain_sections(data: bytes, path: object) -> bytes:
    """The ELF file (64-bit, little-endian) with its debug sections decompressed.

    The result is ``data`` itself if none is compressed. Otherwise the decompressed sections and new
    section headers follow the contents of the file; nothing else moves. ``path`` is for messages.
    Raises BadImage for a section that is damaged, or larger than it may be.
    """
    try:
        return _with_plain_sections(data)
    except BadImage as error:
        raise BadImage(f"{path}: {error}") from error


def _with_plain_sections(data: bytes) -> bytes:
    table = SectionTable(data)
    sections = table.headers
    if not any(_is_compressed(section, table.name(section)) for section in sections):
        return data
    out = bytearray(data)
    strings = bytearray(table.names)
    headers = []
    left = MAX_DECOMPRESSED
    for section in sections:
        name = table.name(section)
        if not _is_compressed(section, name):
            headers.append(section)
            continue
        contents, alignment = _contents(data, section, name, left)
        left -= len(contents)
        name_at = section.name
        if name.startswith(b".zdebug"):
            name_at = len(strings)
            strings += b"." + name[2:] + b"\0"
        at = _append(out, contents)
        headers.append(
            section._replace(
                name=name_at,
                flags=section.flags & ~SHF_COMPRESSED,
                offset=at,
                size=len(contents),
                alignment=alignment,
            )
        )
    headers[table.names_index] = headers[table.names_index]._replace(
        offset=_append(out, bytes(strings)), size=len(strings)
    )
    headers_at = _append(out, b"".join(header.packed() for header in headers))
    struct.pack_into("<Q", out, 40, headers_at)
    return bytes(out)


def section_contents(table: SectionTable, section: SectionHeader) -> bytes:
    """The contents of a section, decompressed. Raises BadImage."""
    name = table.name(section)
    if not _is_compressed(section, name):
        return table.contents(section)
    return _contents(table.data, section, name, MAX_DECOMPRESSED)[0]


def _append(out: bytearray, contents: bytes) -> int:
    out += bytes(-len(out) % 16)
    at = len(out)
    out += contents
    return at


def _is_compressed(section: SectionHeader, name: bytes) -> bool:
    if section.kind == SHT_NOBITS:
        return False
    return bool(section.flags & SHF_COMPRESSED) or name.startswith(b".zdebug_")


def _contents(data: bytes, section: SectionHeader, name: bytes, left: int) -> tuple[bytes, int]:
    """The decompressed section and its alignment."""
    packed = data[section.offset : section.offset + section.size]
    shown = name.decode("ascii", "replace")
    if section.flags & SHF_COMPRESSED:
        if len(packed) < 24:
            raise BadImage(f"the compressed section {shown} has no header")
        method, _, size, alignment = struct.unpack_from("<IIQQ", packed)
        packed = packed[24:]
    else:
        if packed[:4] != b"ZLIB" or len(packed) < 12:
            raise BadImage(f"the section {shown} does not begin with ZLIB and its size")
        method, alignment = _ZLIB, section.alignment
        size = int.from_bytes(packed[4:12], "big")
        packed = packed[12:]
    if size > left or size > _MAX_RATIO * max(len(packed), 64):
        raise BadImage(
            f"the compressed section {shown} is said to have {size} bytes, out of {len(packed)}; "
            f"at most {MAX_DECOMPRESSED >> 20} MiB, {_MAX_RATIO} times as many, are decompressed"
        )
    return decompress(packed, method, size, shown), alignment


def decompress(packed: bytes, method: int, size: int, name: str) -> bytes:
    """Exactly ``size`` bytes out of ``packed``; never more, whatever ``packed`` holds.

    ``method`` is 1 for zlib and 2 for zstd (the gABI's ELFCOMPRESS_*); ``name`` is for messages.
    Raises BadImage.
    """
    try:
        if method == _ZLIB:
            contents = zlib.decompressobj().decompress(packed, size + 1)
        elif method == _ZSTD:
            contents = _zstd(packed, size + 1)
        else:
            raise BadImage(
                f"the section {name} is compressed by method {method}; "
                "zlib (1) and zstd (2) are read"
            )
    except BadImage:
        raise
    except Exception as error:  # zlib.error, ZstdError
        raise BadImage(f"the compressed section {name} is damaged: {error}") from error
    if len(contents) != size:
        raise BadImage(f"the compressed section {name} does not have the {size} bytes that it says")
    return contents


def _zstd(packed: bytes, limit: int) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    decompressor = zstd.ZstdDecompressor()
    return bytes(decompressor.decompress(packed, limit)) if limit else b""
