"""Where the kallsyms tables are, and which layout they have.

What scripts/kallsyms.c has written since Linux 4.0, in the order of the labels:

=============  ====================================================================================
4.0 to 4.5     addresses (u64), num_syms (u64), names, markers (u64), token_table, token_index
4.6 to 4.19    offsets (u32) and relative_base (u64) in place of the addresses
4.20 to 6.1    num_syms and the markers are u32; since 6.1 a length above 127 has two bytes
6.2 and 6.3    seqs_of_names (3 bytes each) follow the markers
6.4 and later  num_syms, names, markers, token_table, token_index, offsets, relative_base, seqs
7.x            each offset is relative to its own place, and there is no relative_base
=============  ====================================================================================

Kernels without CONFIG_KALLSYMS_BASE_RELATIVE (until 6.11) have addresses in place of offsets. With
CONFIG_KALLSYMS_ABSOLUTE_PERCPU (of x86) an offset that is not negative is an absolute value, and
the others count downwards from relative_base - 1. Later releases may drop the alignment from 8
bytes to 4. Nothing here relies on a release: each table is found next to the one before it and
checked against it.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.linux.errors import BadKallsyms
from guestdbg.linux.kallsyms.tokens import find_tokens

if TYPE_CHECKING:
    from guestdbg.linux.kallsyms.tokens import Tokens

__all__ = ["AddressForm", "Layout", "find_layout"]

_PER_MARKER = 256
_MIN_SYMBOLS = _PER_MARKER + 1  # so that there are two markers, and they can be checked
_MAX_SYMBOLS = 1 << 22
_MAX_NAMES = 64 << 20  # bytes between num_syms and the token table
_SEQUENCE_BYTES = 3
_LONG = 0x80
_ALIGNMENT = 8
#: Bytes of the names after the last marker: 256 names of 512 characters, not compressed.
_MAX_BLOCK = _PER_MARKER * (512 + 2) + _ALIGNMENT
#: The upper two bytes of num_syms (below 2^22), with what may follow it up to 8 bytes, and the
#: length of the first name. Two matches cannot overlap; with the lower bytes, which may be 0, they
#: could.
_COUNT = re.compile(rb"[\x00-\x3f]\x00(?=(?:\x00{4})?[\x02-\xff])")
_LOWER_BYTES = 2
_CHUNK = 1 << 20
#: The work for a search, in names read. A kernel of 160,000 symbols takes a hundredth of it.
_BUDGET = 32 << 20
_COST_OF_PLACE = 128

#: How addresses are stored: absolute; relative to relative_base, without and with the rule for
#: per-CPU symbols; relative to the place of each offset.
AddressForm = str
ABSOLUTE, RELATIVE, PERCPU, PLACE = "absolute", "relative", "percpu", "place"


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of the tables in the data, and what is in them.

    Attributes:
        tokens: the tokens that names are compressed with.
        count: the number of symbols.
        entries: for each symbol the place of the first byte of its name, and of the byte after it.
        form: how the addresses are given: one of the constants above.
        values: an address or offset for each symbol, as stored; for ``PLACE`` the offset from the
            start of the data.
        relative_base_at: where relative_base is; None if there is none.
        addresses_at: where the table of addresses or offsets is.
    """

    tokens: Tokens
    count: int
    entries: array[int]
    form: AddressForm
    values: array[int]
    relative_base_at: int | None
    addresses_at: int


@dataclass(frozen=True, slots=True)
class _Names:
    count: int
    count_at: int
    entries: array[int]


def find_layout(data: bytes) -> Layout:
    """Find the tables in a kernel Image, or in a copy of a running kernel's memory.

    Raises:
        BadKallsyms: there are none, or they contradict each other; the message says how far the
            search got.
    """
    budget = _Budget()
    problem = (
        "no kallsyms token table: the kernel was built without CONFIG_KALLSYMS, or this is not "
        "a kernel"
    )
    for tokens in find_tokens(data):
        problem = (
            f"a token table at {tokens.start:#x}, but no table of names before it whose markers "
            "agree with it"
        )
        for names in _find_names(data, tokens, budget):
            found = _find_addresses(data, tokens, names)
            if found is not None:
                return found
            problem = (
                f"{names.count} names at {names.count_at:#x}, but no ascending table of as many "
                "addresses or offsets beside them"
            )
    raise BadKallsyms(f"no symbols: {problem}")


# ---- names ---------------------------------------------------------------------------------------


class _Budget:
    """Bounds the work for data that is made to look like tables everywhere."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def spend(self, names: int) -> None:
        self._left -= names
        if self._left < 0:
            raise BadKallsyms(
                "no symbols: too much of the data looks like kallsyms tables, and is none"
            )


def _find_names(data: bytes, tokens: Tokens, budget: _Budget) -> Iterator[_Names]:
    """num_syms, names and markers that end before the token table."""
    for count_at in _count_places(data, tokens.start):
        budget.spend(_COST_OF_PLACE)
        count = int.from_bytes(data[count_at : count_at + 4], "little")
        if not _MIN_SYMBOLS <= count <= _MAX_SYMBOLS:
            continue
        for names_at in (count_at + 8, count_at + 4):
            for markers_at, markers in _markers_before(data, tokens.start, names_at, count):
                for two_bytes in (True, False):
                    budget.spend(count)
                    found = _read_names(data, names_at, count, markers_at, markers, two_bytes)
                    if found is not None:
                        yield _Names(count, count_at, found)


def _count_places(data: bytes, end: int) -> Iterator[int]:
    """Where num_syms may be, the nearest to ``end`` first."""
    first = max(0, end - _MAX_NAMES)
    top = end
    while top > first:
        low = max(first, top - _CHUNK)
        found = _COUNT.finditer(data, low, min(end, top + 16))
        places = [m.start() - _LOWER_BYTES for m in found]
        yield from (at for at in reversed(places) if at % 4 == 0 and low <= at < top)
        top = low


def _markers_before(
    data: bytes, end: int, names_at: int, count: int
) -> Iterator[tuple[int, list[int]]]:
    """The markers of so many names: the offset of every 256th name, from ``names_at`` on.

    The token table at ``end`` follows them; or the sequence numbers, and then the token table.
    """
    total = -(-count // _PER_MARKER)
    numbers = end - _SEQUENCE_BYTES * count
    for next_table in sorted({end, end - 4, *(numbers // 4 * 4 - pad for pad in (0, 4, 8))}):
        for kind, width in (("I", 4), ("Q", 8)):
            start = next_table - width * total
            if start <= names_at or data[start : start + width] != bytes(width):
                continue
            last = int.from_bytes(data[next_table - width : next_table], "little")
            used = start - names_at - last
            if last < 2 * (count - _PER_MARKER) or not 2 <= used <= _MAX_BLOCK:
                continue
            yield start, array(kind, data[start:next_table]).tolist()


def _read_names(
    data: bytes, at: int, count: int, end: int, markers: list[int], two_bytes: bool
) -> array[int] | None:
    """The bounds of the names, if their places are those that the markers give."""
    bounds = array("I")
    append = bounds.append
    first = at
    for number in range(count):
        if number % _PER_MARKER == 0 and at - first != markers[number // _PER_MARKER]:
            return None
        if at + 1 >= end:
            return None
        length = data[at]
        at += 1
        if length >= _LONG and two_bytes:
            length = (length & (_LONG - 1)) | data[at] << 7
            at += 1
        if length == 0:
            return None
        append(at)
        at += length
        append(at)
    return bounds if at <= end < at + _ALIGNMENT else None


# ---- addresses -----------------------------------------------------------------------------------


def _find_addresses(data: bytes, tokens: Tokens, names: _Names) -> Layout | None:
    count = names.count
    for form, at, base_at, numbers_at in _address_places(tokens, names):
        if at < 0 or (base_at is not None and base_at + 8 > len(data)):
            continue
        if numbers_at is not None and not _is_permutation(data, numbers_at, count):
            continue
        values = _ascending(data, form, at, count)
        if values is None or (form == RELATIVE and values[0] != 0):
            continue  # relative_base is the address of the first symbol
        return Layout(tokens, count, names.entries, form, values, base_at, at)
    return None


def _address_places(
    tokens: Tokens, names: _Names
) -> Iterator[tuple[AddressForm, int, int | None, int | None]]:
    """The form, and the places of the addresses, of relative_base, of the sequence numbers."""
    count = names.count
    # Before num_syms, until Linux 6.3.
    base_at = names.count_at - 8
    offsets_at = base_at - _aligned(4 * count, 8)
    yield RELATIVE, offsets_at, base_at, None
    yield PERCPU, offsets_at, base_at, None
    yield ABSOLUTE, names.count_at - 8 * count, None, None
    # After the token index.
    for alignment in (8, 4):
        at = _aligned(tokens.end, alignment)
        base_at = _aligned(at + 4 * count, alignment)
        numbers_at = _aligned(base_at + 8, alignment)
        yield RELATIVE, at, base_at, numbers_at
        yield PERCPU, at, base_at, numbers_at
        yield PLACE, at, None, base_at
        yield ABSOLUTE, at, None, _aligned(at + 8 * count, alignment)


def _aligned(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment


def _is_permutation(data: bytes, at: int, count: int) -> bool:
    """Whether the sequence numbers there are those of so many symbols, by their sum."""
    piece = data[at : at + _SEQUENCE_BYTES * count]
    total = (sum(piece[0::3]) << 16) + (sum(piece[1::3]) << 8) + sum(piece[2::3])
    return len(piece) == _SEQUENCE_BYTES * count and total == count * (count - 1) // 2


def _ascending(data: bytes, form: AddressForm, at: int, count: int) -> array[int] | None:
    """The table at this place, if it has addresses in ascending order."""
    kind, width = {ABSOLUTE: ("Q", 8), RELATIVE: ("I", 4)}.get(form, ("i", 4))
    values = array(kind)
    piece = data[at : at + width * count]
    if len(piece) < width * count:
        return None
    values.frombytes(piece)
    if sys.byteorder == "big":  # pragma: no cover - no such host in the tests
        values.byteswap()
    if form == PLACE:
        values = array("q", [at + 4 * n + value for n, value in enumerate(values)])
        if values[0] < 0 or values[-1] - values[0] > 1 << 31:
            return None
        return values if _sorted(values) else None
    if form == PERCPU:
        if values[-1] >= 0 or not _sorted(_percpu_order(values)):
            return None
        return values
    if form == ABSOLUTE and values[-1] >> 48 != 0xFFFF:
        return None
    return values if _sorted(values) else None


def _percpu_order(values: array[int]) -> array[int]:
    """The values as they ascend: absolute ones first, then those below relative_base - 1."""
    return array("q", [value if value >= 0 else (1 << 40) - value for value in values])


def _sorted(values: array[int]) -> bool:
    # Sorting what is in order takes one pass, in C.
    listed = values.tolist()
    return listed == sorted(listed)
