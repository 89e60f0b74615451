"""Where a kernel Image is linked, if its kallsyms do not say.

A relocatable kernel fills in its pointers when it starts. Until then relative_base is zero in an
Image, unless the relocations are packed (CONFIG_RELR). But the kernel is full of pointers, in place
or as addends of R_AARCH64_RELATIVE, and many are the addresses of symbols: one address of the first
symbol makes nearly all of them fit.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

__all__ = ["first_symbol_address", "image_start"]

_PAGE = 4096
_STRIDE = 7  # in words: a relocation has three
_SAMPLE = 1024
_SHARE = 16  # one pointer of so many has to fit
_KERNEL_BITS = 52
_TOP_BYTE = re.compile(b"\xff")  # of an address in the upper half
_KERNEL_TOP = (1 << 64) - (1 << 30)  # error numbers and other small negative values are above

_MAGIC_AT, _MAGIC = 56, b"ARM\x64"
_TEXT_OFFSET_AT = 8
_ALIGNMENT = 2 << 20


def first_symbol_address(data: bytes, distances: Sequence[int]) -> int | None:
    """The address of the first symbol, which is aligned to pages.

    ``distances`` are those of all symbols from the first, in bytes, ascending. None if the pointers
    in ``data`` do not agree on one.
    """
    pointers = _pointers(data, distances[-1])
    if not pointers:
        return None
    by_page_offset: dict[int, list[int]] = defaultdict(list)
    for distance in distances:
        by_page_offset[distance % _PAGE].append(distance)
    votes: Counter[int] = Counter()
    for pointer in pointers:
        votes.update({pointer - d for d in by_page_offset.get(pointer % _PAGE, ())})
    best = votes.most_common(2)
    if not best or best[0][1] * _SHARE < len(pointers):
        return None
    if len(best) == 2 and best[1][1] * 2 > best[0][1]:
        return None
    return best[0][0]


def _pointers(data: bytes, size: int) -> list[int]:
    """Some of the words that look like addresses in the kernel."""
    # Of most words the top byte says already that they are no such address.
    found = set()
    for match in _TOP_BYTE.finditer(data[7 : len(data) // 8 * 8 : 8 * _STRIDE]):
        at = 8 * _STRIDE * match.start()
        word = int.from_bytes(data[at : at + 8], "little")
        if word >> _KERNEL_BITS == 0xFFF and word < _KERNEL_TOP:
            found.add(word)
    # The kernel is one piece: most of its pointers lie as close together as its symbols do.
    pointers = sorted(found)
    if not pointers:
        return []
    best, first, low = 0, 0, 0
    for high, pointer in enumerate(pointers):
        while pointer - pointers[low] > size:
            low += 1
        if high - low > best:
            best, first = high - low, low
    inside = pointers[first : first + best + 1]
    step = max(1, len(inside) // _SAMPLE)
    return inside[::step]


def image_start(data: bytes, address: int) -> int:
    """The address of the first byte of the Image that ``address``, of its first symbol, lies in.

    An Image is linked ``text_offset`` bytes after a boundary of 2 MiB, and its first symbol is less
    than 2 MiB from there (Documentation/arch/arm64/booting.rst).
    """
    text_offset = 0
    if data[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC:
        text_offset = int.from_bytes(data[_TEXT_OFFSET_AT : _TEXT_OFFSET_AT + 8], "little")
        text_offset %= _ALIGNMENT
    return (address - text_offset) // _ALIGNMENT * _ALIGNMENT + text_offset
