"""Which debug register does what: from watches and breakpoints to the values of all registers.

Several watches of the same bytes share registers, adjoining ranges are joined, and a range that
does not fit one register is split. Breakpoints take the lowest registers, because only the
highest-numbered ones are context-aware, and those are needed for linked breakpoints and watches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64 import debug as arm64_debug
from guestdbg.debugger.errors import BadRange, OutOfRegisters
from guestdbg.debugger.hardware.shortage import (
    breakpoint_shortage,
    context_shortage,
    watchpoint_shortage,
)
from guestdbg.debugger.hardware.watched_ranges import (
    share_registers,
    watched_ranges,
)

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind
    from guestdbg.debugger.hardware.requests import BreakRequest, Hardware, WatchRequest
    from guestdbg.debugger.hardware.shortage import (
        BreakpointKey,
    )
    from guestdbg.debugger.hardware.watched_ranges import (
        WatchedRange,
    )
    from guestdbg.kvm.table_filters import Tables

__all__ = ["Allocation", "allocate"]

_LINKED_CONTEXT = 3  # DBGBCR.BT
_ACCESS_NAMES: dict[int, AccessKind] = {1: "read", 2: "write", 3: "any"}


class Allocation(NamedTuple):
    """The values of the debug registers.

    ``break_tables`` and ``watch_tables`` are those of GuestDebug; empty: there are none.
    ``over_covered`` are the (address, length) of the watchpoint registers that cover more than was
    asked.
    """

    dbg_bcr: tuple[int, ...] = ()
    dbg_bvr: tuple[int, ...] = ()
    dbg_wcr: tuple[int, ...] = ()
    dbg_wvr: tuple[int, ...] = ()
    over_covered: tuple[tuple[int, int], ...] = ()
    break_tables: tuple[Tables | None, ...] = ()
    watch_tables: tuple[Tables | None, ...] = ()

    @property
    def contexts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """DBGBCR and DBGBVR with those breakpoints only that watchpoints are linked to.

        They match a context, and stop nothing themselves.
        """
        linked = [control >> 20 & 15 == _LINKED_CONTEXT for control in self.dbg_bcr]
        if not any(linked):
            return (), ()
        return (
            tuple(c if here else 0 for c, here in zip(self.dbg_bcr, linked, strict=True)),
            tuple(v if here else 0 for v, here in zip(self.dbg_bvr, linked, strict=True)),
        )

    @property
    def used(self) -> tuple[int, int]:
        """(breakpoint registers, watchpoint registers) that are enabled."""
        return sum(c & 1 for c in self.dbg_bcr), sum(c & 1 for c in self.dbg_wcr)


def allocate(
    hardware: Hardware,
    watches: Sequence[WatchRequest],
    breaks: Sequence[BreakRequest],
    *,
    overwatch: int = 0,
) -> Allocation:
    """The values of all registers for these watches and breakpoints.

    ``overwatch`` is how many bytes one register may cover when the registers are too few for all
    watches; the guest then also stops at accesses to the bytes between the watches.

    Raises OutOfRegisters, which says who takes how many; BadRange for what no register can hold.
    """
    ranges = watched_ranges(watches)
    if overwatch and sum(p.registers for p in ranges) > hardware.watchpoints:
        ranges = share_registers(ranges, hardware.watchpoints, overwatch)
    needed = sum(p.registers for p in ranges)
    if needed > hardware.watchpoints:
        raise OutOfRegisters(
            watchpoint_shortage(needed, hardware.watchpoints, watched_ranges(watches))
        )
    bcr, bvr, break_tables, links = _breakpoints(hardware, breaks, ranges)
    wcr: list[int] = []
    wvr: list[int] = []
    watch_tables: list[Tables | None] = []
    for watched in sorted(ranges, key=lambda p: p.start):
        try:
            pairs = arm64_debug.watchpoint(
                watched.start,
                watched.length,
                _ACCESS_NAMES[watched.bits],
                el=watched.el,
                linked_to=None if watched.context is None else links[watched.context],
            )
        except ValueError as error:
            raise BadRange(str(error)) from error
        for control, value in pairs:
            wcr.append(control)
            wvr.append(value)
            watch_tables.append(watched.tables)
    return Allocation(
        tuple(bcr),
        tuple(bvr),
        tuple(wcr),
        tuple(wvr),
        _over_covered(ranges, watches),
        break_tables=_if_any(break_tables),
        watch_tables=_if_any(watch_tables),
    )


def _if_any(tables: Sequence[Tables | None]) -> tuple[Tables | None, ...]:
    return () if all(each is None for each in tables) else tuple(tables)


def _over_covered(
    ranges: Iterable[WatchedRange], watches: Iterable[WatchRequest]
) -> tuple[tuple[int, int], ...]:
    """(address, length) of the ranges that no single request covers."""
    asked = [(p.start, p.end - p.start) for p in watched_ranges(watches)]
    return tuple(
        (p.start, p.end - p.start)
        for p in ranges
        if not any(a <= p.start and p.end <= a + n for a, n in asked)
    )


def _breakpoints(
    hardware: Hardware, breaks: Sequence[BreakRequest], ranges: Sequence[WatchedRange]
) -> tuple[list[int], list[int], list[Tables | None], dict[int, int]]:
    """DBGBCR, DBGBVR, tables, and the number of the breakpoint that matches each context."""
    names_at: dict[BreakpointKey, list[str]] = {}
    for request in breaks:
        key = (request.address, request.el, request.context, request.tables)
        names = names_at.setdefault(key, [])
        if request.name not in names:
            names.append(request.name)
    contexts: dict[int, None] = {}
    for _address, _el, context, _tables in names_at:
        if context is not None:
            contexts[context] = None
    for watched in ranges:
        if watched.context is not None:
            contexts[watched.context] = None
    total = hardware.breakpoints
    if len(contexts) > hardware.contexts:
        raise OutOfRegisters(context_shortage(list(contexts), hardware.contexts, total))
    if len(names_at) + len(contexts) > total:
        raise OutOfRegisters(breakpoint_shortage(total, names_at, list(contexts)))
    bcr, bvr = [0] * total, [0] * total
    tables: list[Tables | None] = [None] * total
    links: dict[int, int] = {}
    for number, context in zip(range(total - 1, -1, -1), contexts, strict=False):
        bcr[number], bvr[number] = arm64_debug.context_breakpoint(context, linked=True)
        links[context] = number
    for number, (address, el, linked, limited_to) in enumerate(names_at):
        tables[number] = limited_to
        try:
            bcr[number], bvr[number] = arm64_debug.breakpoint(
                address, el=el, linked_to=None if linked is None else links[linked]
            )
        except ValueError as error:
            raise BadRange(str(error)) from error
    return bcr, bvr, tables, links
