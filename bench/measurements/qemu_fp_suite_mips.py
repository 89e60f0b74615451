"""QEMU (TCG) on the programs with floating point and vectors."""

from bench.measurement import Measurement
from bench.suite_programs import FP_PROGRAMS, mips, on_qemu

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_qemu, ROUNDS, FP_PROGRAMS)


MEASUREMENT = Measurement(
    "qemu_fp_suite_mips", "MIPS", "QEMU TCG: the same programs", run, repeat=3
)
