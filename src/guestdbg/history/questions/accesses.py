"""Every access to a variable in an interval."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.errors import InvalidLocation, OutOfRegisters
from guestdbg.debugger.validation import integer
from guestdbg.history.questions.access_table import Accesses, ValueDecoder
from guestdbg.history.questions.ahead import nobody
from guestdbg.history.questions.intervals import check_interval, intervals
from guestdbg.history.questions.repeating import ROW, AccessQuery, Found, repeat
from guestdbg.machine import Position

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind
    from guestdbg.debugger import Guest
    from guestdbg.history.questions.ahead import Helpers
    from guestdbg.history.questions.intervals import Interval
    from guestdbg.history.travel import Travel

__all__ = ["DEFAULT_LIMIT", "access_queries", "accesses", "check_limit", "parts"]

log = logging.getLogger(__name__)

#: So many rows are kept if no limit is given.
DEFAULT_LIMIT = 1_000_000
#: A part of the history is repeated so often at most, for a variable that takes more registers than
#: there are.
_MOST_PASSES = 64
#: Where the number of a hit is in a row.
_NUMBER = struct.Struct("<Q")
_NUMBER_AT = 6 * _NUMBER.size


def check_limit(limit: int) -> int:
    """A limit of rows. Raises InvalidLocation for what is none."""
    if integer("limit", limit) < 1:
        raise InvalidLocation(f"a limit of {limit} rows: at least 1")
    return limit


def parts(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    queries: Sequence[AccessQuery],
    helpers: Helpers = nobody,
) -> Iterator[tuple[Interval, Found]]:
    """What each part of an interval has, until the limit of the queries is reached.

    A part is repeated for each query, and what they find is put together. The guest is put to one
    part after the other.
    """
    left, queries = queries[0].limit, list(queries)
    all_parts = list(intervals(travel, start, end))
    # What several queries find is put together here.
    with (helpers if len(queries) == 1 else nobody)(all_parts, queries[0]) as ahead:
        for interval in all_parts:
            queries = [replace(query, limit=left) for query in queries]
            known = ahead(interval)
            if known is not None:
                each = [_continued(known, queries[0])]
            else:
                each = [repeat(guest, travel, interval, query) for query in queries]
            found = each[0] if len(each) == 1 else _merged(each)
            yield interval, found
            left -= len(found.rows) // ROW.size
            if found.full or left <= 0:
                return
            queries = [
                replace(query, seen=query.seen + one.seen)
                for query, one in zip(queries, each, strict=True)
            ]


def _continued(found: Found, query: AccessQuery) -> Found:
    """What was found as if there were no hits before, as this query would have found it."""
    size = query.limit * ROW.size
    rows = bytearray(found.rows[:size])
    if query.seen:
        for at in range(_NUMBER_AT, len(rows), ROW.size):
            (number,) = _NUMBER.unpack_from(rows, at)
            _NUMBER.pack_into(rows, at, number + query.seen)
    if len(found.rows) >= size:
        return replace(found, rows=bytes(rows), last=None, full=True)
    return replace(found, rows=bytes(rows))


def _merged(found: Sequence[Found]) -> Found:
    """What several queries have found in one part, in the order of time."""
    rows = [
        each.rows[at : at + ROW.size] for each in found for at in range(0, len(each.rows), ROW.size)
    ]
    rows.sort(key=_position)
    # Up to where all of them are complete.
    ends = [_position(each.rows[-ROW.size :]) for each in found if each.full]
    if ends:
        rows = [row for row in rows if _position(row) <= min(ends)]
    return Found(b"".join(rows), seen=sum(each.seen for each in found), full=bool(ends))


def access_queries(
    guest: Guest,
    where: Any,
    length: int | None,
    access: AccessKind,
    limit: int,
    options: dict[str, Any],
) -> list[AccessQuery]:
    """The queries for accesses to a variable: several, if it takes too many watchpoint registers.

    Raises what ``guest.watch`` does.
    """
    whole = AccessQuery(where, length, access, options, limit)
    try:
        guest.watch(where, length, access, **options).delete()
    except OutOfRegisters:
        data = guest.resolve(where, length).sized()
        registers = guest.hardware.watchpoints
        if not registers or not data.length:
            raise
        blocks = list(_blocks(data.address, data.length))
        if len(blocks) > registers * _MOST_PASSES:
            raise
        ranges = [
            (blocks[n][0], blocks[min(n + registers, len(blocks)) - 1][1])
            for n in range(0, len(blocks), registers)
        ]
        return [replace(whole, where=low, length=high - low) for low, high in ranges]
    return [whole]


def _blocks(address: int, length: int) -> Iterator[tuple[int, int]]:
    """A range as blocks that one watchpoint register watches each: from and to."""
    end = address + length
    while address < end:
        if address % 8 or end - address < 8:
            after = min(end, (address | 7) + 1)
        else:
            size = 8
            while not address % (2 * size) and address + 2 * size <= end:
                size *= 2
            after = address + size
        yield address, after
        address = after


def accesses(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    where: Any,
    length: int | None,
    access: AccessKind,
    limit: int,
    options: dict[str, Any],
    helpers: Helpers = nobody,
) -> Accesses:
    """All accesses after ``start`` up to ``end``, and what is said if they are more than ``limit``.

    The guest is put back to where it is.
    """
    check_interval(travel, start, end)
    check_limit(limit)
    rows = bytearray()
    with travel.elsewhere(), guest.execution.only(None):
        data = guest.resolve(where, length).sized()
        # One more than asked for: whether there are more is known then.
        queries = access_queries(guest, where, length, access, limit + 1, options)
        for _, found in parts(guest, travel, start, end, queries, helpers):
            rows += found.rows
    cut = None
    if len(rows) > limit * ROW.size:
        del rows[limit * ROW.size :]
        last = Position(*_position_of(rows))
        cut = f"only the first {limit}, up to {last}: there are more (limit=)"
        log.warning("%s: %s", data.name, cut)
    decoder = ValueDecoder(data.bit_field, data.float_format)
    return Accesses(data.name, start, end, bytes(rows), decoder, cut)


def _position(row: bytes) -> tuple[int, int]:
    """The turn and the instructions of a row: rows of one run compare by these."""
    turn, instructions, *_ = ROW.unpack(row)
    return turn, instructions


def _position_of(rows: bytearray) -> tuple[int, int, int]:
    """The position of the last row."""
    turn, instructions, *_, vcpu, _size, _access, _written, _device = ROW.unpack_from(
        rows, len(rows) - ROW.size
    )
    return turn, vcpu, instructions
