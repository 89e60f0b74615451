"""Accesses, values and calls as tables, for pandas, Polars and the like."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from guestdbg.tables import Column, Table, Values

if TYPE_CHECKING:
    from guestdbg.history.questions.call_result import Call
    from guestdbg.tables.columns import Kind

__all__ = ["table_of_accesses", "table_of_calls", "table_of_values"]

_TIME = (
    Column("turn", "u64", "how often the board had changed from one vCPU to another"),
    Column("vcpu", "u32", "number of the vCPU"),
    Column("instructions", "u64", "how many the vCPU had retired", "instructions"),
)
_PC = Column("pc", "u64", "the instruction; of a device's access that of the vCPU then", "address")
_ADDRESS = Column("address", "u64", "the first watched byte that was accessed", "address")
_SIZE = Column("size", "u32", "how many watched bytes were accessed", "bytes")
_ACCESS = Column("access", "text", "read, write, readwrite or execute")
_NUMBER = Column("number", "u64", "the accesses with this one, also those without the condition")
_DEVICE = Column("device", "u8", "1: a device has made it; 0: a vCPU")
_BY = Column("by", "text", "who wrote it: start, vcpu, device, user or unseen")
_FUNCTION = Column("function", "text", "the function that was called")
_CALLER = Column("caller", "u64", "where it returns to", "address")
_RETURNED = (
    Column("returned_turn", "u64", "turn when it had returned", optional=True),
    Column("returned_vcpu", "u32", "vCPU on which it returned", optional=True),
    Column(
        "returned_instructions",
        "u64",
        "how many that vCPU had retired then",
        "instructions",
        optional=True,
    ),
)
_X0 = Column("returned_x0", "u64", "register x0 when it had returned", optional=True)
_X1 = Column("returned_x1", "u64", "register x1 when it had returned", optional=True)
_NOTE = Column("note", "text", "what is to be known of the result", optional=True)
_ACCESS_NAMES = ("execute", "read", "write", "readwrite")
_U64 = 1 << 64
_I63 = 1 << 63


def table_of_accesses(
    columns: Mapping[str, Sequence[int]], kind: Kind, decode: Callable[[int], int | float]
) -> Table:
    """Accesses, of whose fields these are the words, and whose values are of this kind."""
    names = map(_ACCESS_NAMES.__getitem__, columns["access"])
    old, new = columns["old"], columns["new"]
    return Table(
        [
            *(Values(column, columns[column.name]) for column in (*_TIME, _PC, _ADDRESS)),
            Values(Column("old", kind, "the value before"), map(decode, old)),
            Values(
                Column("new", kind, "the value after a write", optional=True),
                (
                    decode(value) if written else None
                    for value, written in zip(new, columns["written"], strict=True)
                ),
            ),
            Values(_SIZE, columns["size"]),
            Values(_ACCESS, names),
            *(Values(column, columns[column.name]) for column in (_NUMBER, _DEVICE)),
        ]
    )


def table_of_values(
    columns: Mapping[str, Sequence[int]],
    kind: Kind,
    decode: Callable[[int], int | float],
    changed_by: Sequence[str],
) -> Table:
    """Values over time, of whose fields these are the words, and which are of this kind."""
    value = Column("value", kind, "the value from then on")
    return Table(
        [
            *(Values(column, columns[column.name]) for column in _TIME),
            Values(value, map(decode, columns["value"])),
            Values(_BY, map(changed_by.__getitem__, columns["by"])),
        ]
    )


def table_of_calls(calls: Sequence[Call]) -> Table:
    """Calls: a column for each parameter that one of them has, ``arg_`` before its name."""
    nothing = (None, None, None)
    first = [
        (
            *_time(call.position),
            *(call.function, call.caller),
            *(nothing if call.returned is None else _time(call.returned)),
            *((None, None) if call.registers is None else call.registers),
            call.note,
        )
        for call in calls
    ]
    columns = (*_TIME, _FUNCTION, _CALLER, *_RETURNED, _X0, _X1, _NOTE)
    names = dict.fromkeys(name for call in calls for name in (*call.arguments, *call.unavailable))
    found = [Values(column, [row[n] for row in first]) for n, column in enumerate(columns)]
    found.append(_of_any("result", "what it returned", [call.result for call in calls]))
    for name in names:
        values = [call.arguments.get(name) for call in calls]
        # Names come from the guest's file, and may have bytes that are no text.
        shown = name.encode("utf-8", "backslashreplace").decode()
        found.append(_of_any(f"arg_{shown}", f"the argument {shown}", values))
    return Table(found)


def _time(position: tuple[int, int, int]) -> tuple[int, int, int]:
    turn, vcpu, instructions = position
    return turn, vcpu, instructions


def _of_any(name: str, what: str, values: Sequence[Any]) -> Values:
    """A column of values of C: of one kind of number if all of them are, otherwise JSON text."""
    there = [value for value in values if value is not None]
    kind: Kind = "text"
    if there and all(isinstance(value, int) for value in there):
        if min(there) >= 0:
            kind = "u64" if max(there) < _U64 else "text"
        elif min(there) >= -_I63 and max(there) < _I63:
            kind = "i64"
    elif there and all(isinstance(value, float) for value in there):
        kind = "f64"
    column = Column(name, kind, what, optional=True)
    if kind == "text":
        values = [None if value is None else json.dumps(value, default=str) for value in values]
    return Values(column, values)
