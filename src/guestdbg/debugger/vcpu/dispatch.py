"""From a hit to whom it concerns: conditions, counts, handlers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.breakpoints.point import STOP
from guestdbg.debugger.vcpu.stop import Stop

if TYPE_CHECKING:
    from guestdbg.debugger.vcpu.context import VcpuContext

__all__ = ["dispatch"]


def dispatch(core: VcpuContext, hits: Sequence[Hit], decided: Sequence[bool] = ()) -> Stop | None:
    """Put the hits of one stop to their points; a Stop if one of them asks for it.

    ``decided`` tells of which hits the condition is known to hold.
    """
    ended: list[Hit] = []
    for n, hit in enumerate(hits):
        point = hit.point
        if not point._enabled:
            continue  # by a handler of this very stop
        hit._stop = core.stop_number
        point.seen += 1
        when = point._when
        if when is not None and not (decided and decided[n]) and not when(hit):
            continue
        point.hits += 1
        hit.count = point.hits
        if point.hits <= point.ignore:
            continue
        if point._handler is None or point._handler(hit) is STOP:
            ended.append(hit)
    if not ended:
        return None
    return core.stop("hit", ended[0].point.name, ended)
