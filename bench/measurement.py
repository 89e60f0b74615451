"""What a measurement is, and how repeated runs become one figure."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


class Unavailable(Exception):
    """This cannot be measured here; the text says what is missing."""


@dataclass(frozen=True)
class Measurement:
    """One figure of the table.

    `run` measures once and returns the figure in `unit`, or raises Unavailable. `summary` says
    how `repeat` runs become one: "best" (where noise can only make it worse) or "median".
    `better` is "more" or "less".
    """

    key: str
    unit: str
    what: str
    run: Callable[[], float]
    repeat: int = 3
    summary: str = "best"
    better: str = "more"


@dataclass(frozen=True)
class Result:
    """A figure with how it came about; `value` is None where `reason` says why there is none.

    `failed`: not because something is missing here, but because something went wrong.
    """

    value: float | None
    runs: tuple[float, ...]
    how: str
    reason: str | None = None
    failed: bool = False


def take(measurement: Measurement) -> Result:
    """Runs a measurement as often as it asks and summarises."""
    runs: list[float] = []
    try:
        for _ in range(measurement.repeat):
            runs.append(measurement.run())
    except Unavailable as unavailable:
        return Result(None, tuple(runs), "not measured", str(unavailable))
    except Exception as error:
        # The other figures are worth having all the same; the run as a whole fails at its end.
        reason = f"failed: {type(error).__name__}: {error}"
        return Result(None, tuple(runs), "failed", reason, failed=True)
    how = f"{measurement.summary} of {measurement.repeat}"
    if measurement.summary == "median":
        return Result(median(runs), tuple(runs), how)
    best = max(runs) if measurement.better == "more" else min(runs)
    return Result(best, tuple(runs), how)
