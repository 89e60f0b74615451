"""QEMU (TCG) on the programs of the suite."""

from bench.measurement import Measurement
from bench.suite_programs import mips, on_qemu

# None: the number in each ELF file.
ROUNDS: int | None = None


def run() -> dict[str, float]:
    return mips(on_qemu, ROUNDS)


MEASUREMENT = Measurement("qemu_suite_mips", "MIPS", "QEMU TCG: the same programs", run, repeat=3)
