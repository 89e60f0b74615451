"""Putting hits to their points: conditions, counts, handlers."""

from __future__ import annotations

from collections.abc import Sequence

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import STOP
from guestdbg.debugger.vcpu.context import VcpuContext
from guestdbg.debugger.vcpu.stop import Stop

__all__ = ["dispatch"]


def dispatch(
    context: VcpuContext, hits: Sequence[Hit], condition_holds: Sequence[bool] = ()
) -> Stop | None:
    """Put the hits of one stop to their points; a Stop if one of them ends the run.

    ``condition_holds`` says of each hit whether its condition is known to be true; empty, it is not
    known of any.
    """
    ending: list[Hit] = []
    for n, hit in enumerate(hits):
        point = hit.point
        if not point._enabled:
            continue  # a handler of this stop has disabled it
        hit._resume_count = context.resume_count
        point.seen += 1
        when = point._when
        if when is not None and not (condition_holds and condition_holds[n]) and not when(hit):
            continue
        point.hits += 1
        hit.count = point.hits
        if point.hits <= point.ignore:
            continue
        if point._handler is None or point._handler(hit) is STOP:
            ending.append(hit)
    if not ending:
        return None
    return context.stop("hit", ending[0].point.name, ending)
