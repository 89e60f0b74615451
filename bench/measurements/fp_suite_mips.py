"""guestdbg's processor on the programs with floating point and vectors, nothing armed."""

from bench.measurement import Measurement
from bench.suite_programs import FP_PROGRAMS, mips, on_guestdbg

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_guestdbg, ROUNDS, FP_PROGRAMS)


MEASUREMENT = Measurement(
    "fp_suite_mips",
    "MIPS",
    "guestdbg: geometric mean over the programs with floating point and vectors",
    run,
    repeat=3,
)
