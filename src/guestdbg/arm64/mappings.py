"""All that the translation tables map, as ranges of virtual addresses (DDI 0487, D8).

``translate.walk`` answers for one address; here each table is read once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from guestdbg.arm64.translate import (
    SCTLR_EE,
    SCTLR_WXN,
    TranslationFault,
    _first_table,
    _format,
    _half,
    _level_shift,
    _permissions,
    _restrictions,
    start_level,
)

if TYPE_CHECKING:
    from guestdbg.arm64.translate import (
        Permissions,
        _Format,
        _Half,
    )

__all__ = ["MAX_RANGES", "MAX_TABLES", "MappedRange", "Mappings", "mappings"]

#: A guest may refer to one table from every entry of another: so many tables are read at most.
MAX_TABLES = 1 << 14
#: Every page may have other permissions than the page before it: so many ranges are found at most.
MAX_RANGES = 1 << 16

_VALID, _TABLE_OR_PAGE = 1, 2
_LAST_LEVEL = 3
#: The bits of a table descriptor, and of a page or block descriptor, that permissions depend on.
_TABLE_RESTRICTIONS = 15 << 59
_LEAF_RESTRICTIONS = 3 << 53 | 3 << 6


@dataclass(frozen=True, slots=True)
class MappedRange:
    """The virtual addresses from ``start`` up to, but not including, ``end`` are mapped.

    ``el0`` and ``el1`` are what the Exception levels may do, the same everywhere in the range.
    """

    start: int
    end: int
    el0: Permissions
    el1: Permissions


@dataclass(slots=True)
class Mappings:
    """What the tables of one half of the address space map.

    Attributes:
        ranges: in the order of their addresses; two that touch differ in their permissions.
        tables: how many tables were read.
        complete: False: the tables are larger than the limits, and the ranges end too early.
    """

    ranges: list[MappedRange] = field(default_factory=list)
    tables: int = 0
    complete: bool = True


class _Limit(Exception):
    """There are too many tables or ranges."""


def mappings(
    read: Callable[[int, int], bytes],
    *,
    upper: bool,
    tcr: int,
    ttbr: int,
    sctlr: int,
    pa_bits: int = 48,
    max_tables: int = MAX_TABLES,
    max_ranges: int = MAX_RANGES,
) -> Mappings:
    """What the tables of one half of the EL1&0 address space map.

    The access flag is not looked at. A table without memory maps nothing.

    Args:
        read: gives so many bytes at a physical address; a LookupError means that there is no
            memory.
        upper: the half of TTBR1_EL1; otherwise that of TTBR0_EL1.
        tcr: TCR_EL1.
        ttbr: TTBR1_EL1 or TTBR0_EL1.
        sctlr: SCTLR_EL1. The MMU counts as on.
        pa_bits: what the processor implements (ID_AA64MMFR0_EL1.PARange).
        max_tables: read at most so many tables.
        max_ranges: find at most so many ranges.
    """
    found = Mappings()
    half = _half(tcr, upper)
    form = _format(half, tcr, pa_bits)
    smallest, largest = 25, 52 if form.lpa2 or form.lpa else 48
    if half.walks_disabled or not smallest <= half.input_bits <= largest:
        return found
    level = start_level(half.input_bits, form.granule_bits)
    shift = _level_shift(form.granule_bits, level)
    try:
        table = _first_table(0, half, form, ttbr, shift)
    except TranslationFault:
        return found
    scan = _Scan(read, half, form, sctlr, found, max_tables)
    start = (1 << 64) - (1 << half.input_bits) if upper else 0
    count = 1 << half.input_bits - shift
    try:
        _merge(scan.leaves(table, count, level, shift, start, 0), scan, max_ranges)
    except _Limit:
        found.complete = False
    return found


class _Scan:
    """The tables of one half, from the first one down."""

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        half: _Half,
        form: _Format,
        sctlr: int,
        found: Mappings,
        max_tables: int,
    ) -> None:
        self._read = read
        self._half = half
        self._form = form
        self._wxn = bool(sctlr & SCTLR_WXN)
        self._order = ">" if sctlr & SCTLR_EE else "<"
        self.found = found
        self._max_tables = max_tables

    def permissions(self, key: int) -> tuple[Permissions, Permissions]:
        """(EL0's, EL1's) permissions, from what ``leaves`` gives."""
        restrictions = _restrictions(key & _TABLE_RESTRICTIONS, key & _LEAF_RESTRICTIONS)
        return _permissions(restrictions, wxn=self._wxn)

    def _entries(self, table: int, count: int) -> tuple[int, ...]:
        self.found.tables += 1
        if self.found.tables > self._max_tables:
            raise _Limit
        try:
            return struct.unpack(f"{self._order}{count}Q", self._read(table, 8 * count))
        except LookupError:
            return ()

    def leaves(
        self, table: int, count: int, level: int, shift: int, start: int, tables: int
    ) -> Iterator[tuple[int, int, int]]:
        """Each page and block: its first address, its size, and the bits of its permissions.

        ``tables`` are the restrictions of the table descriptors above this table.
        """
        form, size = self._form, 1 << shift
        has_blocks = form.has_blocks(level)
        for descriptor in self._entries(table, count):
            if not descriptor & _VALID:
                pass
            elif level == _LAST_LEVEL or not descriptor & _TABLE_OR_PAGE:
                is_leaf = descriptor & _TABLE_OR_PAGE or has_blocks
                if is_leaf and not form.output_address(descriptor, shift) >> form.output_bits:
                    yield start, size, tables | descriptor & _LEAF_RESTRICTIONS
            else:
                yield from self._below(descriptor, level, shift, start, tables)
            start += size

    def _below(
        self, descriptor: int, level: int, shift: int, start: int, tables: int
    ) -> Iterator[tuple[int, int, int]]:
        """The pages and blocks below a table descriptor."""
        form = self._form
        table = form.output_address(descriptor, form.granule_bits)
        if table >> form.output_bits:
            return
        if not self._half.hierarchical_off:
            tables |= descriptor & _TABLE_RESTRICTIONS
        stride = form.granule_bits - 3
        yield from self.leaves(table, 1 << stride, level + 1, shift - stride, start, tables)


def _merge(leaves: Iterator[tuple[int, int, int]], scan: _Scan, max_ranges: int) -> None:
    """Join neighbours with equal permissions, into ``scan.found``."""
    ranges = scan.found.ranges
    start = end = 0
    current = -1

    def add() -> None:
        if end > start:
            el0, el1 = scan.permissions(current)
            ranges.append(MappedRange(start, end, el0, el1))

    try:
        for address, size, key in leaves:
            if address == end and key == current:
                end += size
                continue
            add()
            start, end, current = address, address + size, key
            if len(ranges) >= max_ranges:
                start = end
                raise _Limit
    finally:
        add()
