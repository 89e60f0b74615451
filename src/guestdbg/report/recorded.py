"""Hits from the recordings of a guest."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from guestdbg.debugger import Recording
from guestdbg.report.errors import ReportError
from guestdbg.report.hits import HitRow, Hits

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["recorded_hits"]


def recorded_hits(guest: Guest, *, may_be_none: bool = False) -> Hits:
    """The records of all recordings, in the order of the vCPUs' instruction counts.

    Raises ReportError if the guest has no recordings, unless there ``may_be_none``.
    """
    recordings = [point for point in guest.points if isinstance(point, Recording)]
    if not recordings and not may_be_none:
        raise ReportError(
            "this guest has no recordings: guest.record(WHAT) makes one before the guest runs, "
            "and coverage=RESULT shows what it executed"
        )
    hits = Hits(guest.images[0].path.name if guest.images else "a guest")
    places: dict[int, tuple[str | None, int | None, str | None, int | None]] = {}
    # Each is in its order already, so nothing is copied to put them into one.
    records = heapq.merge(
        *(((record, recording.name) for record in recording) for recording in recordings),
        key=lambda each: each[0].instructions,
    )
    for number, (record, name) in enumerate(records, 1):
        place = places.get(record.pc)
        if place is None:
            at = guest.locate(record.pc)
            place = places[record.pc] = at.function, at.offset, at.file, at.line
        task = record.task
        hits.add(
            HitRow(
                number=number,
                point=name,
                kind="watch",
                vcpu=record.vcpu,
                instructions=record.instructions,
                pc=record.pc,
                function=place[0],
                offset=place[1] if place[0] is not None else None,
                file=place[2],
                line=place[3],
                access=record.access,
                address=record.address,
                size=record.size,
                old=record.old,
                new=record.new,
                task=None if task is None else f"{task.comm} ({task.pid})",
                context=None if task is None else task.context,
            )
        )
    return hits
