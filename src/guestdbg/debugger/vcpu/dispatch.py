"""Putting hits to their points: counts, conditions, records, handlers.

All that counts is done first for all hits of a stop, and then the handlers are called. So it does
not matter whether the provider has counted, decided and recorded a hit, or this module does.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.point import STOP
from guestdbg.debugger.breakpoints.recording import Recording
from guestdbg.debugger.errors import VariableUnavailable

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.hit import Hit
    from guestdbg.debugger.breakpoints.point import Predicate
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.stop import Stop

__all__ = ["Done", "dispatch"]


class Done(IntEnum):
    """What the provider has done about a hit.

    NOTHING; COUNTED: the hit is in ``seen``; DECIDED: its condition holds, it is in ``hits``, and
    a recording has recorded it.
    """

    NOTHING = 0
    COUNTED = 1
    DECIDED = 2


_NOTHING, _DECIDED = Done.NOTHING, Done.DECIDED


def dispatch(context: VcpuContext, hits: Sequence[Hit], done: Sequence[Done] = ()) -> Stop | None:
    """Put the hits of one stop to their points; a Stop if one of them ends the run.

    ``done`` says of each hit what the provider has done about it; empty: nothing. Raises what a
    condition or handler raises; after an error in a condition no handler is called.
    """
    context.collect_counts()
    if len(hits) == 1 and not done:
        hit = hits[0]
        if type(hit.point) is not Recording:
            return _dispatch_one(context, hit)
    reported: list[Hit] = []
    failed: Exception | None = None
    for n, hit in enumerate(hits):
        point = hit.point
        if not point._enabled:
            continue  # it was disabled before the access was complete
        hit._resume_count = context.resume_count
        state = done[n] if done else _NOTHING
        if state is not _DECIDED:
            if state is _NOTHING:
                point.seen += 1
            when = point._when
            try:
                if when is not None and not _holds(context, hit, when):
                    continue
            except Exception as error:
                # The other points have been hit all the same, and the provider may have counted it.
                failed = error if failed is None else failed
                continue
            point.hits += 1
            if type(point) is Recording:
                point.note(hit)
        hit.count = point.hits
        reported.append(hit)
    if failed is not None:
        raise failed
    return _report(context, reported)


def _holds(context: VcpuContext, hit: Hit, when: Predicate) -> bool:
    """Whether a condition is true; it is false where a local variable in it has no value."""
    target = context.target
    target.in_handler = True
    try:
        return bool(when(hit))
    except VariableUnavailable as error:
        hit.point.note_unavailable(error)
        return False
    finally:
        target.in_handler = False


def _ends(context: VcpuContext, hit: Hit) -> bool:
    """Call the handler of a hit's point; whether it ends the run. A point without one does."""
    handler = hit.point._handler
    target = context.target
    if target.on_hit is not None:
        target.on_hit(hit)
    if handler is None:
        return True
    if target.keeps_time:
        hit.time = target.now()
    target.in_handler = True
    try:
        return handler(hit) is STOP
    finally:
        target.in_handler = False


def _report(context: VcpuContext, reported: Sequence[Hit]) -> Stop | None:
    """Call the handlers of hits that count; a Stop if one of them ends the run."""
    ending: list[Hit] = []
    for hit in reported:
        point = hit.point
        if not point._enabled or hit.count <= point.ignore:
            continue  # a handler of this stop has disabled it
        if type(point) is Recording:
            if point.limit_reached:
                point.enabled = False
                ending.append(hit)
        elif _ends(context, hit):
            ending.append(hit)
    if not ending:
        return None
    point = ending[0].point
    detail = point.name
    if type(point) is Recording:
        detail = f"{point.name}: {len(point)} records, its limit"
    return context.stop("hit", detail, ending)


def _dispatch_one(context: VcpuContext, hit: Hit) -> Stop | None:
    """The same for what nearly every stop is: one hit, of a point that is not a recording."""
    point = hit.point
    if not point._enabled:
        return None
    hit._resume_count = context.resume_count
    point.seen += 1
    when = point._when
    if when is not None and not _holds(context, hit, when):
        return None
    point.hits = hit.count = point.hits + 1
    if not point._enabled or hit.count <= point.ignore:
        return None
    if _ends(context, hit):
        return context.stop("hit", point.name, (hit,))
    return None
