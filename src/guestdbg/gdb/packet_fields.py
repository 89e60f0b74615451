"""Numbers and bytes in the text of packets."""

from __future__ import annotations

import errno
import re

from guestdbg.gdb.errors import PacketError

__all__ = ["parse_hex_bytes", "parse_number", "parse_range"]

_LIMIT = 1 << 64
_DIGITS = re.compile(rb"[0-9a-fA-F]+")


def parse_number(text: bytes) -> int:
    """An unsigned 64-bit number in hexadecimal, without sign or prefix. Raises PacketError."""
    # int() also accepts spaces, signs, underscores and 0x.
    if not _DIGITS.fullmatch(text):
        raise PacketError(f"{_quoted(text)} is not a hexadecimal number")
    value = int(text, 16)
    if value >= _LIMIT:
        raise PacketError(f"{_quoted(text)} does not fit in 64 bits", errno.ERANGE)
    return value


def parse_range(text: bytes) -> tuple[int, int]:
    """``ADDRESS,LENGTH``. Raises PacketError, also if the range goes past the last address."""
    address, comma, length = text.partition(b",")
    if not comma:
        raise PacketError(f"{_quoted(text)} is not ADDRESS,LENGTH")
    start, count = parse_number(address), parse_number(length)
    if start + count > _LIMIT:
        raise PacketError(f"{count} bytes from {start:#x} go past the last address", errno.EFAULT)
    return start, count


def parse_hex_bytes(text: bytes) -> bytes:
    """Bytes written as pairs of hexadecimal digits. Raises PacketError."""
    if len(text) % 2 or (text and not _DIGITS.fullmatch(text)):
        raise PacketError(f"{_quoted(text)} is not pairs of hexadecimal digits")
    return bytes.fromhex(text.decode("ascii"))


def _quoted(text: bytes) -> str:
    return repr(text[:32].decode("ascii", "replace"))
