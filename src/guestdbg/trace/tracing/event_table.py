"""Events as a table, for pandas, Polars and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.tables import Column, Table, Values

if TYPE_CHECKING:
    from guestdbg.trace.tracing.event import About, Event

__all__ = ["table_of"]

_COLUMNS = (
    Column("time", "u64", "instructions that all vCPUs had retired", "instructions"),
    Column("nanoseconds", "u64", "the guest's own time, in nanoseconds"),
    Column("vcpu", "u32", "number of the vCPU"),
    Column("kind", "text", "what happened"),
    Column("el", "u8", "exception level after it"),
    Column("source", "u64", "the instruction; 0: none", "address"),
    Column("target", "u64", "where execution went on; 0: with the next instruction", "address"),
    Column("value", "u64", "SP of a call or return, ESR_EL1, or what was written to a register"),
    Column("function", "text", "of a call: what is called; else that of source", optional=True),
    Column("detail", "text", "arguments, exception, register, output or point", optional=True),
)


def table_of(events: Sequence[Event], about: About) -> Table:
    """A row for each event."""
    context: dict[int, int] = {}
    rows = []
    for event in events:
        if event.kind == "context" and event.detail == "SP_EL0":
            context[event.vcpu] = event.value
        address = event.target if event.kind == "call" else event.source
        name = about.function(address, context.get(event.vcpu, 0)) if address else None
        rows.append((*event[:8], name, _text(event)))
    return Table([Values(column, [row[n] for row in rows]) for n, column in enumerate(_COLUMNS)])


def _text(event: Event) -> str | None:
    detail = event.detail
    if isinstance(detail, tuple):
        return ", ".join(f"{name}={text}" for name, text in detail)
    if isinstance(detail, dict):
        return str(detail.get("point", ""))
    return None if detail is None else str(detail)
