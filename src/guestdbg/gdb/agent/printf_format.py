"""Format strings of the agent printf, as GDB's `dprintf` uses them.

Integers, characters, pointers and strings. The stack of an expression holds no floating point.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["MAX_STRING", "Format", "parse_format"]

#: The longest string that %s prints, and the widest field.
MAX_STRING = 4096
_MAX_WIDTH = 1024

_PIECE = re.compile(
    rb"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?"
    rb"(?P<length>hh|h|ll|l|j|z|t|w)?(?P<conversion>.)?",
    re.DOTALL,
)
_ESCAPE = re.compile(
    rb"\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9a-fA-F]{1,2})|(?P<one>.))?", re.DOTALL
)
_ESCAPES = dict(zip(b"abefnrtv\\\"'?", b"\a\b\x1b\f\n\r\t\v\\\"'?", strict=True))
_BITS = {b"hh": 8, b"h": 16, b"": 32}

ReadString = Callable[[int, int], bytes]


class _Piece(NamedTuple):
    """Literal text; or, with a ``conversion``, how to print one argument."""

    text: bytes = b""
    conversion: str = ""
    flags: str = ""
    width: int = 0
    precision: int | None = None
    bits: int = 32


@dataclass(frozen=True, slots=True)
class Format:
    """A parsed format string, and how many arguments it takes."""

    pieces: tuple[_Piece, ...]
    arguments: int

    def fill(self, values: Sequence[int], read_string: ReadString) -> bytes:
        """The text for these arguments (unsigned 64-bit).

        ``read_string(address, max_length)`` gives the bytes of a string in memory, without the zero
        byte. Raises what it raises.
        """
        arguments = iter(values)
        return b"".join(
            _convert(piece, next(arguments), read_string) if piece.conversion else piece.text
            for piece in self.pieces
        )


def parse_format(text: bytes) -> Format:
    """Parse a format string, with escapes as in C source. Raises ValueError for mistakes."""
    pieces: list[_Piece] = []
    at = arguments = 0
    while at < len(text):
        percent = text.find(b"%", at)
        if percent != at:
            end = len(text) if percent < 0 else percent
            pieces.append(_Piece(_unescape(text[at:end])))
            at = end
            continue
        match = _PIECE.match(text, at)
        assert match is not None
        at = match.end()
        if match.group() == b"%%":
            pieces.append(_Piece(b"%"))
            continue
        pieces.append(_conversion(match))
        arguments += 1
    return Format(tuple(pieces), arguments)


def _conversion(match: re.Match[bytes]) -> _Piece:
    shown = match.group().decode("latin-1")
    conversion = (match["conversion"] or b"").decode("latin-1")
    if not conversion or conversion not in "diuoxXcsp":
        raise ValueError(
            f"{shown!r} is not supported: an agent prints d, i, u, o, x, X, c, s, p and %%"
        )
    width = int(match["width"] or 0)
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    if max(width, precision or 0) > _MAX_WIDTH:
        raise ValueError(f"{shown!r} is wider than {_MAX_WIDTH} characters")
    return _Piece(
        conversion=conversion,
        flags=match["flags"].decode(),
        width=width,
        precision=precision,
        bits=64 if conversion == "p" else _BITS.get(match["length"] or b"", 64),
    )


def _unescape(text: bytes) -> bytes:
    def one(match: re.Match[bytes]) -> bytes:
        if match["octal"]:
            return bytes((int(match["octal"], 8) & 0xFF,))
        if match["hex"]:
            return bytes((int(match["hex"], 16),))
        if match["one"] and match["one"][0] in _ESCAPES:
            return bytes((_ESCAPES[match["one"][0]],))
        raise ValueError(f"{match.group().decode('latin-1')!r} is not an escape sequence of C")

    return _ESCAPE.sub(one, text)


def _convert(piece: _Piece, value: int, read_string: ReadString) -> bytes:
    if piece.conversion == "s":
        most = MAX_STRING if piece.precision is None else min(piece.precision, MAX_STRING)
        return _pad(read_string(value, most), piece)
    if piece.conversion == "c":
        return _pad(bytes((value & 0xFF,)), piece)
    return _pad_number(*_number(piece, value), piece)


def _number(piece: _Piece, value: int) -> tuple[str, str]:
    """The prefix of a number (a sign, 0x), and its digits."""
    value &= (1 << piece.bits) - 1
    if piece.conversion in "di":
        if value >> piece.bits - 1:
            return "-", _digits(str((1 << piece.bits) - value), piece)
        plus = "+" if "+" in piece.flags else " " if " " in piece.flags else ""
        return plus, _digits(str(value), piece)
    if piece.conversion == "u":
        return "", _digits(str(value), piece)
    if piece.conversion == "o":
        digits = _digits(f"{value:o}", piece)
        return "", "0" + digits if "#" in piece.flags and not digits.startswith("0") else digits
    if piece.conversion == "p":
        return "0x", _digits(f"{value:x}", piece)
    digits = _digits(f"{value:{piece.conversion}}", piece)
    return ("0" + piece.conversion if "#" in piece.flags and value else ""), digits


def _digits(digits: str, piece: _Piece) -> str:
    if piece.precision == 0 and digits == "0":
        return ""
    return digits.rjust(piece.precision or 0, "0")


def _pad_number(before: str, digits: str, piece: _Piece) -> bytes:
    if "0" in piece.flags and "-" not in piece.flags and piece.precision is None:
        digits = digits.rjust(piece.width - len(before), "0")
    return _pad((before + digits).encode(), piece)


def _pad(text: bytes, piece: _Piece) -> bytes:
    return text.ljust(piece.width) if "-" in piece.flags else text.rjust(piece.width)
