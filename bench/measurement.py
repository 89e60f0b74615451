"""What a measurement is, and how repeated runs become one figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean, median

# The result of one run: a figure, or one for each part; their geometric mean is then the figure.
Figure = float | Mapping[str, float]


class Unavailable(Exception):
    """Something cannot be measured on this machine; the text says what is missing."""


@dataclass(frozen=True)
class Measurement:
    """How one figure is measured.

    `run` measures once. It returns the figure in `unit`, or the figures of the parts, or raises
    Unavailable. `summary` says how the figures of `repeat` runs become one: "best" (if noise can
    only make a figure worse) or "median". With parts, this is done for each part first.
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
    """A figure and how it was made. `value` is None if there is none, and `reason` then says why.

    `failed`: an error occurred; otherwise something is not installed.
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
    """Run all measurements in rounds, each once per round, and summarise the results.

    Other load on the machine changes with time. In rounds it affects all figures in the same way,
    also two of which the ratio is taken.
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
                # Go on with the other measurements; the command fails at its end.
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
    """One figure from several runs, by the measurement's `summary`."""
    how = f"{measurement.summary} of {measurement.repeat}"
    means = _means(runs)
    in_parts = [run for run in runs if isinstance(run, Mapping)]
    if not in_parts:
        return Result(_one(measurement, means), means, how)
    parts = {part: _one(measurement, [run[part] for run in in_parts]) for part in in_parts[0]}
    return Result(geometric_mean(parts.values()), means, how, parts=parts)
