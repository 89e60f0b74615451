"""guestdbg's processor on the programs of the suite, nothing armed."""

from bench.measurement import Measurement
from bench.suite_programs import mips, on_guestdbg

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_guestdbg, ROUNDS)


MEASUREMENT = Measurement(
    "suite_mips", "MIPS", "guestdbg: geometric mean over the programs of bench/suite", run, repeat=3
)
