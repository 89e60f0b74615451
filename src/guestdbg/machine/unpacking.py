"""Compressed guests, unpacked: never to more bytes than the board's memory can hold.

gzip, bzip2, xz, lzma and zstd; and the compressed EFI kernels of Linux (``vmlinuz.efi``, "zboot":
drivers/firmware/efi/libstub/zboot-header.S has the header) that hold one of these.
"""

from __future__ import annotations

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any

from guestdbg.library_errors import raised_as
from guestdbg.machine.errors import MalformedError, OutsideMemoryError
from guestdbg.machine.sizes import format_size

__all__ = ["unpack", "unpacked_zboot"]

_ZIMG_AT = 4
_GZIP_WINDOW = 31  # a gzip header, and the largest window


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.ZstdDecompressor()


_READERS: dict[str, tuple[bytes, Callable[[], Any]]] = {
    "gzip": (b"\x1f\x8b", lambda: zlib.decompressobj(_GZIP_WINDOW)),
    "bzip2": (b"BZh", bz2.BZ2Decompressor),
    "xz": (b"\xfd7zXZ\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ)),
    "lzma": (b"]\x00\x00", lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE)),
    "zstd": (b"\x28\xb5\x2f\xfd", _zstd),
}


def unpack(contents: bytes, name: str, limit: int) -> tuple[str, bytes] | None:
    """The format and the unpacked contents of a compressed file; None if it is not compressed.

    ``limit`` is in bytes.

    Raises:
        MalformedError: the data is damaged, or ends too early.
        OutsideMemoryError: it unpacks to more than ``limit`` bytes.
    """
    for kind, (magic, reader) in _READERS.items():
        if contents.startswith(magic):
            return kind, _unpack(kind, reader(), contents, name, limit)
    return None


def _unpack(kind: str, reader: Any, contents: bytes, name: str, limit: int) -> bytes:
    with raised_as(MalformedError, f"{name}: the {kind} data is damaged"):
        out = bytes(reader.decompress(contents, limit + 1))
    if len(out) > limit:
        raise OutsideMemoryError(
            f"{name}: compressed with {kind}, and unpacks to more than {format_size(limit)}, the "
            "board's memory; give it more"
        )
    if not reader.eof:
        raise MalformedError(f"{name}: the {kind} data ends too early; copy the file again")
    return out


def unpacked_zboot(contents: bytes, name: str) -> bytes | None:
    """The compressed payload of a Linux EFI zboot image; None if the file is none.

    Raises:
        MalformedError: the payload lies outside the file.
    """
    if contents[:2] != b"MZ" or contents[_ZIMG_AT : _ZIMG_AT + 4] != b"zimg":
        return None
    at, size = (int.from_bytes(contents[n : n + 4], "little") for n in (8, 12))
    if not size or at + size > len(contents):
        raise MalformedError(
            f"{name}: a compressed EFI kernel (zboot) of {len(contents)} bytes, whose payload ends "
            f"at {at + size}"
        )
    return contents[at : at + size]
