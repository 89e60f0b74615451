"""What a measurement is, and how repeated runs become one figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean, median

# What one run gives: a figure, or one for each of several parts, whose geometric mean it is.
Figure = float | Mapping[str, float]


class Unavailable(Exception):
    """This cannot be measured here; the text says what is missing."""


@dataclass(frozen=True)
class Measurement:
    """One figure of the table.

    `run` measures once and returns the figure in `unit` (or those of its parts), or raises
    Unavailable. `summary` says how `repeat` runs become one: "best" (where noise can only make it
    worse) or "median"; with parts, each part's runs become one first.
    `better` is "more" or "less".
    """

    key: str
    unit: str
    what: str
    run: Callable[[], Figure]
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
    parts: Mapping[str, float] = field(default_factory=dict)


def take_all(
    measurements: Sequence[Measurement], announce: Callable[[Measurement], None] = lambda m: None
) -> dict[str, Result]:
    """Takes measurements in rounds, each once a round, and summarises.

    In rounds, because what else the machine does comes and goes: two figures that will be divided
    by each other should have had the same weather.
    """
    runs: dict[str, list[Figure]] = {m.key: [] for m in measurements}
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
                ended[m.key] = Result(None, _means(runs[m.key]), "failed", reason, failed=True)
    return {m.key: ended.get(m.key) or summarise(m, tuple(runs[m.key])) for m in measurements}


def _means(runs: Sequence[Figure]) -> tuple[float, ...]:
    return tuple(
        geometric_mean(run.values()) if isinstance(run, Mapping) else float(run) for run in runs
    )


def _one(measurement: Measurement, runs: Sequence[float]) -> float:
    if measurement.summary == "median":
        return median(runs)
    return max(runs) if measurement.better == "more" else min(runs)


def summarise(measurement: Measurement, runs: Sequence[Figure]) -> Result:
    """One figure of several runs, as the measurement asks."""
    how = f"{measurement.summary} of {measurement.repeat}"
    means = _means(runs)
    in_parts = [run for run in runs if isinstance(run, Mapping)]
    if not in_parts:
        return Result(_one(measurement, means), means, how)
    parts = {part: _one(measurement, [run[part] for run in in_parts]) for part in in_parts[0]}
    return Result(geometric_mean(parts.values()), means, how, parts=parts)
