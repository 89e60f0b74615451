"""A trace of instructions as lines of JSON, one for each record."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from guestdbg.trace.tracing.instructions.records import register_name

if TYPE_CHECKING:
    from guestdbg.trace.tracing.instructions.records import Record

__all__ = ["json_lines"]


def json_lines(records: Iterable[Record], guest: str, vcpus: int) -> Iterator[str]:
    """Lines, each with its end. `docs/instruction-trace.md` has the members."""
    yield _line({"form": "guestdbg instructions", "version": 1, "guest": guest, "vcpus": vcpus})
    for record in records:
        yield _line(_object(record))


def _line(found: dict[str, Any]) -> str:
    return json.dumps(found) + "\n"


def _object(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": record.kind,
        "time": record.time,
        "vcpu": record.vcpu,
        "el": record.el,
        "pc": f"{record.pc:#x}",
    }
    if record.kind == "exception":
        return found | {
            "exception": record.exception,
            "esr": f"{record.raw:#x}",
            "vector": f"{record.vector:#x}",
        }
    if record.kind != "outside":
        found["instruction"] = f"{record.raw:#010x}"
    if record.registers:
        found["registers"] = {register_name(n): f"{value:#x}" for n, value in record.registers}
    if record.accesses:
        found["accesses"] = [
            {
                "access": "write" if each.write else "read",
                "address": f"{each.address:#x}",
                "size": each.size,
                "value": f"{each.value:#x}",
            }
            for each in record.accesses
        ]
    return found
