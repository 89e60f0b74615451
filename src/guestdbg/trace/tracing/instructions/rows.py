"""A trace of instructions as rows of a table: one for each register and access of each record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.tables import Column, Values
from guestdbg.trace.tracing.instructions.records import register_name

if TYPE_CHECKING:
    from guestdbg.trace.tracing.instructions.records import Record

__all__ = ["COLUMNS", "row_groups"]

COLUMNS = (
    Column("time", "u64", "retired by all vCPUs, this one included", "instructions"),
    Column("vcpu", "u32", "number of the vCPU"),
    Column("el", "u8", "exception level before it"),
    Column("kind", "text", "instruction, emulated, fault, exception, outside"),
    Column("pc", "u64", "the instruction; of an exception the return address", "address"),
    Column("raw", "u32", "the encoding; of an exception ESR_EL1"),
    Column("what", "text", "register, read, write, vector; none: no change", optional=True),
    Column("register", "text", "name of the register", optional=True),
    Column("address", "u64", "of the access, or of the vector", "address", optional=True),
    Column("size", "u32", "of the register or access", "bytes", optional=True),
    Column("value", "u64", "low 8 bytes of the value", optional=True),
    Column("high", "u64", "the next 8 bytes of 16", optional=True),
)
_MASK = (1 << 64) - 1
_GROUP = 65536
_NOTHING = (None,) * 6


def row_groups(records: Iterable[Record]) -> Iterator[list[Values]]:
    """Rows as columns, in groups of some 65,536."""
    rows: list[tuple[Any, ...]] = []
    for record in records:
        start = (record.time, record.vcpu, record.el, record.kind, record.pc, record.raw)
        rows += [start + row for row in _parts(record)]
        if len(rows) >= _GROUP:
            yield _columns(rows)
            rows = []
    if rows:
        yield _columns(rows)


def _columns(rows: list[tuple[Any, ...]]) -> list[Values]:
    return [Values(c, list(each)) for c, each in zip(COLUMNS, zip(*rows, strict=True), strict=True)]


def _parts(record: Record) -> list[tuple[Any, ...]]:
    if record.kind == "exception":
        return [("vector", None, record.vector, None, None, None)]
    found: list[tuple[Any, ...]] = []
    for number, value in record.registers:
        wide = number >= 64
        size = 16 if wide else 4 if number > 31 else 8
        high = value >> 64 if wide else None
        found.append(("register", register_name(number), None, size, value & _MASK, high))
    for each in record.accesses:
        what = "write" if each.write else "read"
        high = each.value >> 64 if each.size > 8 else None
        found.append((what, None, each.address, each.size, each.value & _MASK, high))
    return found or [_NOTHING]
