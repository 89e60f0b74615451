"""What others find in parts of an interval while the asker repeats the ones before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from guestdbg.history.questions.intervals import Interval
from guestdbg.history.questions.repeating import AccessQuery, CodeQuery, Found

__all__ = ["AheadOf", "Helpers", "nobody"]

#: What was found in a part; None: nobody has repeated it yet, so the asker does. The parts are
#: asked for in their order. The hits of each part are numbered from 1, and no limit has cut it.
AheadOf = Callable[[Interval], Found | None]
#: Those who repeat parts for a query inside a ``with`` block.
Helpers = Callable[[Sequence[Interval], AccessQuery | CodeQuery], AbstractContextManager[AheadOf]]


def nobody(
    parts: Sequence[Interval], query: AccessQuery | CodeQuery
) -> AbstractContextManager[AheadOf]:
    """No helpers: the asker repeats all of it."""
    return nullcontext(lambda part: None)
