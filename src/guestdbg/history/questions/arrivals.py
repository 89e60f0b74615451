"""Every execution of some instructions in an interval."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guestdbg.history.questions.access_table import Accesses, ValueDecoder
from guestdbg.history.questions.accesses import check_limit
from guestdbg.history.questions.ahead import nobody
from guestdbg.history.questions.intervals import check_interval, intervals
from guestdbg.history.questions.repeating import ROW, CodeQuery, repeat

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.history.questions.ahead import Helpers
    from guestdbg.history.questions.repeating import Arrival
    from guestdbg.history.travel import Travel
    from guestdbg.machine import Position

__all__ = ["arrivals", "executions"]

log = logging.getLogger(__name__)

_INSTRUCTION = 4


def arrivals(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    query: CodeQuery,
    helpers: Helpers = nobody,
) -> tuple[list[Arrival], bool]:
    """All arrivals from ``start`` to before ``end``, in their order; whether there are more.

    If there are more addresses than breakpoint registers, each part is repeated several times. The
    guest is put to one part after the other.
    """
    found: list[Arrival] = []
    at_once = guest.hardware.breakpoints
    all_parts = list(intervals(travel, start, end))
    with (helpers if len(query.addresses) <= at_once else nobody)(all_parts, query) as ahead:
        for interval in all_parts:
            part: list[Arrival] = []
            full = False
            known = ahead(interval)
            if known is not None:
                found += known.arrivals
            else:
                for first in range(0, len(query.addresses), at_once):
                    addresses = query.addresses[first : first + at_once]
                    limit = query.limit and query.limit - len(found)
                    some = replace(query, addresses=addresses, limit=limit)
                    each = repeat(guest, travel, interval, some)
                    part += each.arrivals
                    full = full or each.full
                found += sorted(part, key=lambda arrival: arrival.position)
            if full or (query.limit and len(found) >= query.limit):
                return found[: query.limit], True
    return found, False


def executions(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    where: str | int,
    when: Any,
    limit: int,
    helpers: Helpers = nobody,
) -> Accesses:
    """All executions of a place in the program, as accesses of the kind ``"execute"``."""
    check_interval(travel, start, end)
    check_limit(limit)
    with travel.elsewhere(), guest.execution.only(None):
        code = _checked(guest, where, when)
        query = CodeQuery(code, limit=limit + 1, options={"when": when})
        found, more = arrivals(guest, travel, start, end, query, helpers)
    rows = bytearray()
    for number, each in enumerate(found[:limit], 1):
        turn, vcpu, instructions = each.position
        rows += ROW.pack(
            *(turn, instructions, each.pc, each.pc, 0, 0, number, vcpu, _INSTRUCTION, 0, 0, 0)
        )
    cut = None
    if more:
        cut = f"only the first {limit}, up to {found[limit - 1].position}: there are more (limit=)"
        log.warning("%s: %s", where, cut)
    return Accesses(str(where), start, end, bytes(rows), ValueDecoder(), cut)


def _checked(guest: Guest, where: str | int, when: Any) -> tuple[int, ...]:
    """The addresses. Raises what ``guest.break_`` does, before any work."""
    point = guest.break_(where, when=when)
    try:
        return point.addresses
    finally:
        point.delete()
