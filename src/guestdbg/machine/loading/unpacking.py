"""Compressed files, unpacked in pieces: never to more bytes than the caller allows.

gzip, bzip2, xz, lzma, zstd and lz4; and the compressed EFI kernels of Linux (``vmlinuz.efi``,
"zboot": drivers/firmware/efi/libstub/zboot-header.S has the header) that hold one of these.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from guestdbg.library_errors import raised_as
from guestdbg.machine.errors import (
    LoadError,
    MalformedError,
    OutsideMemoryError,
    TruncatedError,
    UnknownFormatError,
)
from guestdbg.machine.sizes import format_size

__all__ = ["compression", "unpack", "unpack_to", "unpacked_zboot"]

_PIECE = 1 << 20  # bytes that are read or written at once

_ZIMG_AT = 4
_ZBOOT_KIND = slice(24, 56)  # the name of the compression, with zeros after it
_ZBOOT_KNOWN = ("gzip", "lz4", "lzma", "xzkern", "zstd22")
_GZIP_WINDOW = 31  # a gzip header, and the largest window

_LZ4_LEGACY = "lz4 (legacy)"
_LZ4_LEGACY_MAGIC = b"\x02\x21\x4c\x18"
_LZ4_LEGACY_BLOCK = 8 << 20  # bytes in a block, unpacked

Sink = Callable[[bytes], object]


# The modules of the formats are imported for a file that needs one.


class _Gzip:
    """zlib's decompressor with the interface of bz2's, lzma's and zstd's."""

    def __init__(self) -> None:
        import zlib

        self._inner = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail or data, max_length)


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ)


def _lzma() -> Any:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_ALONE)


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


def _lz4_frame() -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


class _Compression(NamedTuple):
    name: str
    magic: bytes
    reader: Callable[[], Any] | None  # None: it has a function of its own, below


_KINDS = (
    _Compression("gzip", b"\x1f\x8b", _Gzip),
    _Compression("bzip2", b"BZh", _bzip2),
    _Compression("xz", b"\xfd7zXZ\x00", _xz),
    _Compression("lzma", b"]\x00\x00", _lzma),
    _Compression("zstd", b"\x28\xb5\x2f\xfd", _zstd),
    _Compression("lz4", b"\x04\x22\x4d\x18", _lz4_frame),
    _Compression(_LZ4_LEGACY, _LZ4_LEGACY_MAGIC, None),
)


def compression(contents: bytes, at: int = 0) -> str | None:
    """The name of the compression of the data that begins at offset ``at``; None if none is known.

    It is by the magic number alone. ``"lz4 (legacy)"`` is the form that Linux reads.
    """
    found = _at(contents, at)
    return None if found is None else found.name


def _at(contents: bytes, at: int) -> _Compression | None:
    return next((kind for kind in _KINDS if contents.startswith(kind.magic, at)), None)


def unpack_to(contents: bytes, name: str, sink: Sink, at: int = 0) -> int:
    """Pass what is in the compressed data at offset ``at`` to ``sink``, in pieces.

    A piece has at most 8 MiB. Returns the offset after the compressed data. What ``sink`` raises
    ends it.

    Raises:
        MalformedError: the data is damaged. TruncatedError: it ends too early.
        UnknownFormatError: no known compression.
    """
    kind = _at(contents, at)
    if kind is None:
        raise UnknownFormatError(f"{name}: compressed in an unknown way; unpack it first")
    with raised_as(MalformedError, f"{name}: the {kind.name} data is damaged"):
        if kind.reader is None:
            return _unpack_lz4_legacy(contents, name, sink, at)
        try:
            reader = kind.reader()
        except ImportError as error:
            raise LoadError(
                f"{name}: compressed with {kind.name}, for which a Python module is missing "
                f"({error}); install it, or unpack the file first"
            ) from error
        end = _unpack_stream(reader, contents, sink, at)
    if end is None:
        raise TruncatedError(f"{name}: the {kind.name} data ends too early; copy the file again")
    return end


def _unpack_stream(reader: Any, contents: bytes, sink: Sink, at: int) -> int | None:
    """None: the data ends too early."""
    view = memoryview(contents)
    while not reader.eof:
        data = view[:0]
        if reader.needs_input:
            data = view[at : at + _PIECE]
            at += len(data)
            if not data:
                return None
        out = reader.decompress(data, _PIECE)
        if out:
            sink(out)
    return at - len(reader.unused_data or b"")


def _unpack_lz4_legacy(contents: bytes, name: str, sink: Sink, at: int) -> int:
    """The magic number, and blocks: the length of the packed block in 4 bytes, and the block.

    A file may be several of these in a row. Nothing marks the end: what does not look like a
    length, such as the size of the whole that kernels have there, is not part of it.
    """
    try:
        import lz4.block
    except ImportError as error:
        raise LoadError(
            f"{name}: compressed with lz4, for which the Python module lz4 is missing; install it, "
            "or unpack the file first: lz4 -d"
        ) from error
    most = _LZ4_LEGACY_BLOCK + _LZ4_LEGACY_BLOCK // 255 + 16  # of a block that cannot be packed
    at += len(_LZ4_LEGACY_MAGIC)
    while at + 4 < len(contents):
        if contents.startswith(_LZ4_LEGACY_MAGIC, at):
            at += len(_LZ4_LEGACY_MAGIC)
            continue
        size = int.from_bytes(contents[at : at + 4], "little")
        if not 0 < size <= most:
            break
        block = contents[at + 4 : at + 4 + size]
        if len(block) < size:
            raise TruncatedError(f"{name}: the lz4 data ends too early; copy the file again")
        sink(lz4.block.decompress(block, uncompressed_size=_LZ4_LEGACY_BLOCK))
        at += 4 + size
    return at


def unpack(contents: bytes, name: str, limit: int) -> tuple[str, bytes] | None:
    """The format and the unpacked contents of a compressed file; None if it is not compressed.

    ``limit`` is in bytes. Further data compressed in the same way is unpacked too, as by ``gzip
    -d``; anything else after it is ignored.

    Raises:
        MalformedError, TruncatedError: the data is damaged, or ends too early.
        OutsideMemoryError: it unpacks to more than ``limit`` bytes.
    """
    kind = _at(contents, 0)
    if kind is None:
        return None
    out = bytearray()

    def sink(piece: bytes) -> None:
        out.extend(piece)
        if len(out) > limit:
            raise OutsideMemoryError(
                f"{name}: compressed with {kind.name}, and unpacks to more than "
                f"{format_size(limit)}, the board's memory; give it more"
            )

    end = unpack_to(contents, name, sink)
    while contents.startswith(kind.magic, end):
        end = unpack_to(contents, name, sink, end)
    return kind.name, bytes(out)


def unpacked_zboot(contents: bytes, name: str) -> bytes | None:
    """The compressed payload of a Linux EFI zboot image; None if the file is none.

    Raises:
        TruncatedError, MalformedError: the payload lies outside the file, or is not compressed as
            the header says.
        UnknownFormatError: the payload is compressed in an unknown way.
    """
    if contents[:2] != b"MZ" or contents[_ZIMG_AT : _ZIMG_AT + 4] != b"zimg":
        return None
    at, size = (int.from_bytes(contents[n : n + 4], "little") for n in (8, 12))
    what = f"{name}: a compressed EFI kernel (zboot)"
    if not size or at < _ZBOOT_KIND.stop:
        raise MalformedError(f"{what}, whose payload of {size} bytes begins at {at}")
    if at + size > len(contents):
        raise TruncatedError(
            f"{what} of {len(contents)} bytes, whose payload ends at {at + size}; copy it again"
        )
    payload = contents[at : at + size]
    if compression(payload) is None:
        kind = contents[_ZBOOT_KIND].split(b"\0")[0].decode("ascii", "replace")
        if kind in _ZBOOT_KNOWN:
            raise MalformedError(
                f"{what}, whose header says {kind!r}, but its payload is not compressed so; copy "
                "it again"
            )
        raise UnknownFormatError(
            f"{what}, compressed with {kind!r}, which is not known here; give its Image "
            "(arch/arm64/boot/Image)"
        )
    return payload
