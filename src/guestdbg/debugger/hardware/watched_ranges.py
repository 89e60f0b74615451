"""From requests to the ranges of bytes that watchpoint registers are to cover."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.debugger.hardware.requests import ACCESS_BITS

if TYPE_CHECKING:
    from guestdbg.arm64.debug import Privilege
    from guestdbg.debugger.hardware.requests import WatchRequest
    from guestdbg.kvm.table_filters import Tables

__all__ = ["WatchedRange", "covering_range", "share_registers", "watched_ranges"]


@dataclass(slots=True)
class WatchedRange:
    """Bytes from ``start`` to ``end`` (exclusive) that are watched for the same accesses.

    ``bits`` are the accesses (ACCESS_BITS); ``el``, ``context`` and ``tables`` restrict who makes
    them; ``names`` are those of the requests, for messages.
    """

    start: int
    end: int
    bits: int
    el: Privilege
    context: int | None
    names: list[str] = field(default_factory=list)
    tables: Tables | None = None

    @property
    def who(self) -> tuple[Privilege, int | None, Tables | None]:
        """What restricts who makes the accesses: a register has one such restriction."""
        return self.el, self.context, self.tables

    def covers(self, other: WatchedRange) -> bool:
        """Whether this range watches everything that ``other`` watches."""
        return (
            self.who == other.who
            and self.start <= other.start
            and other.end <= self.end
            and other.bits & ~self.bits == 0
        )

    @property
    def length(self) -> int:
        """In bytes."""
        return self.end - self.start

    @property
    def registers(self) -> int:
        """How many watchpoint registers it takes; a lower bound if the range is much too long."""
        largest = self.length // arm64_debug.MAX_MASK_BYTES
        # A range that is much too long is not cut into pieces, of which there may be millions.
        return largest if largest > 64 else len(arm64_debug.split(self.start, self.length))


def watched_ranges(requests: Iterable[WatchRequest]) -> list[WatchedRange]:
    """The ranges to watch: overlapping requests are cut, adjoining equal ones are joined."""
    groups: dict[tuple[Privilege, int | None, Tables | None], list[WatchRequest]] = {}
    for request in requests:
        who = (request.el, request.context, request.tables)
        groups.setdefault(who, []).append(request)
    ranges: list[WatchedRange] = []
    for (el, context, tables), members in groups.items():
        edges = sorted({e for r in members for e in (r.address, r.address + r.length)})
        last: WatchedRange | None = None
        for start, end in pairwise(edges):
            bits, names = 0, []
            for r in members:
                if r.address < end and start < r.address + r.length:
                    bits |= ACCESS_BITS[r.access]
                    names.append(r.name)
            if not bits:
                last = None
                continue
            if last is not None and last.bits == bits and last.end == start:
                last.end = end
                last.names += [n for n in names if n not in last.names]
            else:
                last = WatchedRange(start, end, bits, el, context, names, tables)
                ranges.append(last)
    return ranges


def covering_range(start: int, end: int) -> tuple[int, int]:
    """The smallest (address, length) around the range that has the form of one register.

    That is up to 8 bytes within a doubleword (BAS), or an aligned power of two (MASK). A result
    longer than MAX_MASK_BYTES fits no register.
    """
    if start & ~7 == (end - 1) & ~7:
        return start, end - start
    size = 16
    while start & -size != (end - 1) & -size:
        size *= 2
    return start & -size, size


def share_registers(ranges: list[WatchedRange], available: int, limit: int) -> list[WatchedRange]:
    """Let one register cover several ranges until ``available`` registers are enough.

    Each step takes the two ranges that cost the fewest bytes between them. No register covers more
    than ``limit`` bytes. Returns ``ranges`` unchanged if that is not enough.
    """
    merged = list(ranges)
    while sum(p.registers for p in merged) > available:
        best: tuple[int, int, int, WatchedRange] | None = None
        for i, a in enumerate(merged):
            for j in range(i, len(merged)):
                b = merged[j]
                if a.who != b.who or (i == j and a.registers == 1):
                    continue
                start, length = covering_range(min(a.start, b.start), max(a.end, b.end))
                saved = a.registers + (b.registers if i != j else 0) - 1
                if saved <= 0 or length > min(limit, arm64_debug.MAX_MASK_BYTES):
                    continue
                extra = length - a.length - (b.length if i != j else 0)
                if best is None or extra < best[0]:
                    names = a.names + [n for n in b.names if n not in a.names]
                    shared = WatchedRange(
                        start, start + length, a.bits | b.bits, a.el, a.context, names, a.tables
                    )
                    best = (extra, i, j, shared)
        if best is None:
            return ranges
        _extra, i, j, shared = best
        merged = [p for n, p in enumerate(merged) if n not in (i, j) and not shared.covers(p)]
        merged.append(shared)
    return merged
