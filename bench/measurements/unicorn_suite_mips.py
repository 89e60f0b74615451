"""Unicorn on the programs of the suite, no hooks."""

from bench.measurement import Measurement
from bench.suite_programs import mips, on_unicorn

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_unicorn, ROUNDS)


MEASUREMENT = Measurement(
    "unicorn_suite_mips", "MIPS", "Unicorn: the same programs, no hooks", run, repeat=3
)
