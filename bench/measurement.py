"""What a measurement is, and how repeated runs become one figure."""

from collections.abc import Callable, Sequence
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
    repeat: int = 5
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


def take_all(
    measurements: Sequence[Measurement], announce: Callable[[Measurement], None] = lambda m: None
) -> dict[str, Result]:
    """Takes measurements in rounds, each once a round, and summarises.

    In rounds, because what else the machine does comes and goes: two figures that will be divided
    by each other should have had the same weather.
    """
    runs: dict[str, list[float]] = {m.key: [] for m in measurements}
    ended: dict[str, Result] = {}
    for number in range(max((m.repeat for m in measurements), default=0)):
        for m in measurements:
            if number >= m.repeat or m.key in ended:
                continue
            announce(m)
            try:
                runs[m.key].append(m.run())
            except Unavailable as unavailable:
                ended[m.key] = Result(None, (), "not measured", str(unavailable))
            except Exception as error:
                # The other figures are worth having all the same; the whole fails at its end.
                reason = f"failed: {type(error).__name__}: {error}"
                ended[m.key] = Result(None, tuple(runs[m.key]), "failed", reason, failed=True)
    return {m.key: ended.get(m.key) or summarise(m, tuple(runs[m.key])) for m in measurements}


def summarise(measurement: Measurement, runs: tuple[float, ...]) -> Result:
    """One figure of several runs, as the measurement asks."""
    how = f"{measurement.summary} of {measurement.repeat}"
    if measurement.summary == "median":
        return Result(median(runs), runs, how)
    return Result(max(runs) if measurement.better == "more" else min(runs), runs, how)
