"""The value of a variable over time."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from guestdbg.debugger.errors import BadRange
from guestdbg.history.questions.access_table import CHANGED_BY, VALUE_ROW, ValueDecoder, Values
from guestdbg.history.questions.accesses import check_limit, parts
from guestdbg.history.questions.ahead import nobody
from guestdbg.history.questions.intervals import check_interval
from guestdbg.history.questions.repeating import ROW, AccessQuery
from guestdbg.machine import Position

if TYPE_CHECKING:
    from guestdbg.debugger import Guest
    from guestdbg.debugger.program.resolver import Data
    from guestdbg.history.questions.ahead import Helpers
    from guestdbg.history.questions.intervals import Interval
    from guestdbg.history.questions.repeating import Found
    from guestdbg.history.travel import Travel

__all__ = ["values"]

log = logging.getLogger(__name__)

_START, _VCPU, _DEVICE, _USER, _UNSEEN = range(len(CHANGED_BY))
_SIZES = (1, 2, 4, 8)
_U64 = (1 << 64) - 1


@dataclass
class _Changes:
    """The changes of a value, as they are found.

    Attributes:
        rows: those found, as ``VALUE_ROW``.
        value: what it is now; None: it could not be read.
    """

    data: Data
    rows: bytearray = field(default_factory=bytearray)
    value: int | None = None

    def word(self, data: bytes | None) -> int | None:
        """The value that the bytes of the variable have, as rows have it."""
        if data is None:
            return None
        word = int.from_bytes(data, "little")
        return word if self.data.bit_field is None else self.data.bit_field.value(word) & _U64

    def change(self, position: Position, value: int | None, by: int) -> None:
        """It has this value from here on."""
        if value == self.value:
            return
        self.value = value
        if value is not None:
            turn, vcpu, instructions = position
            self.rows += VALUE_ROW.pack(turn, instructions, value, vcpu, by)

    def add(self, interval: Interval, found: Found, *, written: bool, first: bool) -> None:
        """Take over what happened in a part; ``written``: the user changed the guest before it."""
        by = _START if first else _USER if written else _UNSEEN
        self.change(interval.start, self.word(found.first), by)
        for row in ROW.iter_unpack(found.rows):
            turn, instructions, _, _, old, new, _, vcpu, _, _, done, device = row
            position = Position(turn, vcpu, instructions)
            self.change(position, old, _UNSEEN)
            if done:
                self.change(position, new, _DEVICE if device else _VCPU)
        if not found.full:
            self.change(interval.end, self.word(found.last), _UNSEEN)


def values(
    guest: Guest,
    travel: Travel,
    start: Position,
    end: Position,
    where: Any,
    limit: int,
    helpers: Helpers = nobody,
) -> Values:
    """The value at ``start`` and each change up to ``end``, of the first ``limit`` writes.

    The guest is put back to where it is.
    """
    check_interval(travel, start, end)
    checkpoints = travel.recorder.checkpoints
    cut = None
    with travel.elsewhere(), guest.execution.only(None):
        data = guest.resolve(where).sized()
        if data.length not in _SIZES:
            raise BadRange(
                f"{data.name} has {data.length} bytes: a value over time has 1, 2, 4 or 8; ask for "
                "one of its members or elements"
            )
        # One more than asked for: whether there are more is known then.
        queries = [AccessQuery(where, None, "write", {}, check_limit(limit) + 1)]
        guest.watch(where).delete()  # an error comes before any work
        changes = _Changes(data)
        if start == end:
            travel.visit(start)
            value = guest.read(data.address, data.length)
            changes.change(start, changes.word(value), _START)
        count = 0
        for interval, found in parts(guest, travel, start, end, queries, helpers):
            written = checkpoints[interval.place].after_write
            first = interval.start == start
            count += len(found.rows) // ROW.size
            if count > limit:
                cut = f"only what the first {limit} writes changed: there are more (limit=)"
                found = replace(found, rows=found.rows[: -ROW.size], last=None, full=True)
            changes.add(interval, found, written=written, first=first)
    if cut is not None:
        log.warning("%s: %s", data.name, cut)
    decoder = ValueDecoder(data.bit_field, data.float_format)
    return Values(data.name, start, end, bytes(changes.rows), decoder, cut)
