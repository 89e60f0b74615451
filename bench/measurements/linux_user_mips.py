"""Programs in Linux on guestdbg: a compression, a hash and a product of matrices."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> dict[str, float]:
    figures = {}
    for name, line in linux_guest.PROGRAMS.items():
        seconds, instructions = linux_guest.prompt().command(line)
        figures[name] = instructions / seconds / 1e6
    return figures


MEASUREMENT = Measurement(
    "linux_user_mips",
    "MIPS",
    "guestdbg: programs in Linux, geometric mean",
    run,
    repeat=3,
)
