"""How far a campaign is: counts, rate and an estimate."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["OnProgress", "Progress", "Rate"]

#: The rate is that of the last so many seconds.
_WINDOW = 20.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is.

    Attributes:
        done: how many cases have results, those of earlier runs included.
        cases: how many there are; None: it goes on until it is stopped.
        seconds: since this run of it began.
        rate: cases a second, of late; 0: not known yet.
        counts: of each outcome.
        failures: how many results are failures.
        different: how many of these differ (by their signature).
        workers: how many cases run at a time.
        doing: what it does: ``"running"``, ``"minimising"``.
    """

    done: int
    cases: int | None
    seconds: float
    rate: float
    counts: Counter[str] = field(default_factory=Counter)
    failures: int = 0
    different: int = 0
    workers: int = 0
    doing: str = "running"

    @property
    def remaining(self) -> float | None:
        """Seconds until the end, by the rate; None: not known."""
        if self.cases is None or not self.rate:
            return None
        return (self.cases - self.done) / self.rate


OnProgress = Callable[[Progress], object]


class Rate:
    """Cases a second, of the last seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def at(self, done: int) -> float:
        """The rate, now that ``done`` are done since it was made."""
        now = time.monotonic()
        if not done:  # workers are starting
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        return (done - before) / (now - then) if now > then else 0.0
