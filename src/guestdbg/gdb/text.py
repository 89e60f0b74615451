"""Numbers and bytes as packets write them."""

from __future__ import annotations

import errno
import re

from guestdbg.gdb.errors import Refused

__all__ = ["number", "span", "unhex"]

_MOST = 1 << 64
_DIGITS = re.compile(rb"[0-9a-fA-F]+")


def number(text: bytes) -> int:
    """An unsigned number of 64 bits in hexadecimal, without a sign or prefix. Raises Refused."""
    # int() would take spaces, signs, underscores and 0x as well.
    if not _DIGITS.fullmatch(text):
        raise Refused(f"{_shown(text)} is not a number in hexadecimal")
    value = int(text, 16)
    if value >= _MOST:
        raise Refused(f"{_shown(text)} does not fit 64 bits", errno.ERANGE)
    return value


def span(text: bytes) -> tuple[int, int]:
    """``ADDRESS,LENGTH``. Raises Refused, also for one that wraps round."""
    address, comma, length = text.partition(b",")
    if not comma:
        raise Refused(f"{_shown(text)} is not ADDRESS,LENGTH")
    start, count = number(address), number(length)
    if start + count > _MOST:
        raise Refused(f"{count} bytes from {start:#x} go over the end of memory", errno.EFAULT)
    return start, count


def unhex(text: bytes) -> bytes:
    """Bytes written as pairs of hexadecimal digits. Raises Refused."""
    if len(text) % 2 or (text and not _DIGITS.fullmatch(text)):
        raise Refused(f"{_shown(text)} is not pairs of hexadecimal digits")
    return bytes.fromhex(text.decode("ascii"))


def _shown(text: bytes) -> str:
    return repr(text[:32].decode("ascii", "replace"))
