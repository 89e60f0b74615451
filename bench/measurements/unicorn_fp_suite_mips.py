"""Unicorn on the programs with floating point and vectors, no hooks."""

from bench.measurement import Measurement
from bench.suite_programs import FP_PROGRAMS, mips, on_unicorn

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_unicorn, ROUNDS, FP_PROGRAMS)


MEASUREMENT = Measurement(
    "unicorn_fp_suite_mips", "MIPS", "Unicorn: the same programs, no hooks", run, repeat=3
)
