"""U-Boot's legacy image format (uImage): a header of 64 bytes, and a program.

Source: U-Boot's documentation of ``mkimage``, and include/image.h for the numbers. All fields are
big-endian.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from guestdbg.machine.errors import ForeignError, MalformedError, TruncatedError

__all__ = ["UImage", "is_uimage", "parse"]

MAGIC = 0x27051956
_HEADER = struct.Struct(">7I4B32s")
_ARM64 = 22
_STANDALONE, _KERNEL, _FIRMWARE = 1, 2, 5
_WHAT = "a U-Boot legacy image (uImage)"


class UImage(NamedTuple):
    """What the image holds: ``data``, to be loaded at ``load`` and entered at ``entry``."""

    load: int
    entry: int
    data: bytes


def is_uimage(contents: bytes) -> bool:
    """Whether a file has the magic number."""
    return contents[:4] == MAGIC.to_bytes(4, "big")


def parse(contents: bytes, name: str) -> UImage:
    """Read the header, and check both checksums.

    Raises:
        TruncatedError, MalformedError, ForeignError: with ``name`` and the reason.
    """
    if len(contents) < _HEADER.size:
        raise TruncatedError(f"{name}: {_WHAT} of {len(contents)} bytes; its header has 64")
    fields = _HEADER.unpack_from(contents)
    _, header_crc, _, size, load, entry, data_crc, _, machine, kind, _, _ = fields
    header = contents[:4] + bytes(4) + contents[8 : _HEADER.size]
    if zlib.crc32(header) != header_crc:
        raise MalformedError(f"{name}: {_WHAT}, whose header's checksum is wrong; copy it again")
    data = contents[_HEADER.size : _HEADER.size + size]
    if len(data) < size:
        raise TruncatedError(f"{name}: {_WHAT} of {size} bytes, of which {len(data)} are there")
    if zlib.crc32(data) != data_crc:
        raise MalformedError(f"{name}: {_WHAT}, whose checksum is wrong; copy it again")
    if machine != _ARM64:
        raise ForeignError(f"{name}: {_WHAT} for processor number {machine}; arm64 is {_ARM64}")
    if kind not in (_STANDALONE, _KERNEL, _FIRMWARE):
        raise ForeignError(
            f"{name}: {_WHAT} of type {kind}; a kernel (2), a standalone program (1) and a "
            "firmware (5) can be run; `dumpimage -l` lists what is in it"
        )
    return UImage(load, entry, data)
