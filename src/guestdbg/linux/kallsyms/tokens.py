"""The tables that kallsyms compresses names with: kallsyms_token_table and kallsyms_token_index.

A name is a sequence of bytes, each of which is the number of a token. The token table has the 256
tokens, each with a zero byte at its end, and the index the offset of each in the table (u16).
A character that occurs in a name is its own token (scripts/kallsyms.c, ``insert_real_symbols_in_
table``): so the digits are found as ten tokens of one character in a row.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Tokens", "find_tokens"]

_COUNT = 256
_DIGIT_ZERO = ord("0")
_DIGITS = b"".join(bytes([digit, 0]) for digit in b"0123456789")
_INDEX = struct.Struct("<256H")
#: The longest table: each offset in the index has 16 bits.
_MAX_TABLE = 1 << 16
#: scripts/kallsyms.c merges pairs of tokens; names have at most 511 characters, tokens far fewer.
_MAX_TOKEN = 255
#: Labels are aligned to 8 bytes; to 4 since the tables have 32-bit entries only.
_ALIGNMENTS = (8, 4)
#: Sequences of digits that are looked at, in the data of a hostile guest.
_MAX_CANDIDATES = 4096


@dataclass(frozen=True, slots=True)
class Tokens:
    """The 256 tokens; the table begins at ``start`` and the index ends at ``end``."""

    start: int
    end: int
    tokens: tuple[bytes, ...]


def find_tokens(data: bytes) -> Iterator[Tokens]:
    """All places in ``data`` that hold both tables; a kernel has one."""
    at = -1
    for _ in range(_MAX_CANDIDATES):
        at = data.find(_DIGITS, at + 1)
        if at < 0:
            return
        yield from _tables_around(data, at)


def _tables_around(data: bytes, zero: int) -> Iterator[Tokens]:
    """The tables whose token "0" is at this place."""
    end = zero
    for _ in range(_COUNT - _DIGIT_ZERO):
        end = data.find(b"\0", end, zero + _MAX_TABLE) + 1
        if end == 0:
            return
    for index_at in sorted({-(-end // alignment) * alignment for alignment in _ALIGNMENTS}):
        if index_at + _INDEX.size > len(data):
            continue
        index = _INDEX.unpack_from(data, index_at)
        start = zero - index[_DIGIT_ZERO]
        if index[0] != 0 or start < 0:
            continue
        tokens = data[start:end].split(b"\0")[:-1]
        if len(tokens) != _COUNT or max(map(len, tokens)) > _MAX_TOKEN:
            continue
        if _offsets(tokens) == index:
            yield Tokens(start, index_at + _INDEX.size, tuple(tokens))


def _offsets(tokens: list[bytes]) -> tuple[int, ...]:
    found = []
    at = 0
    for token in tokens:
        found.append(at)
        at += len(token) + 1
    return tuple(found)
