"""What coverage costs: the speed of the suite's programs with it, as a part of that without."""

from math import prod

from bench.measurement import Measurement
from bench.suite_programs import PROGRAMS, check, on_guestdbg
from guestdbg.kvm.coverage import CoverageForm

# None: the number in each ELF file.
ROUNDS: int | None = None
FORMS: tuple[CoverageForm, ...] = ("first", "counts", "edges")


def run() -> dict[str, float]:
    """For each form, the geometric mean over the programs."""
    ratios: dict[str, list[float]] = {form: [] for form in FORMS}
    for program in PROGRAMS:
        plain = on_guestdbg(program, ROUNDS)
        for form in FORMS:
            covered = on_guestdbg(program, ROUNDS, coverage=form)
            check(program, covered, ROUNDS)
            ratios[form].append(plain.seconds / covered.seconds)
    return {form: prod(found) ** (1 / len(found)) for form, found in ratios.items()}


MEASUREMENT = Measurement(
    "coverage_ratio",
    "times",
    "guestdbg: the suite with coverage (first execution, counts, edges), as a part of its speed "
    "without",
    run,
    repeat=3,
    summary="median",
)
