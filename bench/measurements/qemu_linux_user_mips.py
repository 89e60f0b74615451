"""The same programs in Linux on QEMU. Their instructions are those that guestdbg counts."""

import time

from bench import linux_guest
from bench.measurement import Measurement


def run() -> dict[str, float]:
    figures = {}
    counts = {name: linux_guest.instructions_of(name) for name in linux_guest.PROGRAMS}
    with linux_guest.session(linux_guest.qemu_command()) as guest:
        guest.read_to(linux_guest.PROMPT)
        for name, line in linux_guest.PROGRAMS.items():
            start = time.perf_counter()
            guest.type(line + b"\n")
            # The prompt is there already: only what comes after it is looked at.
            guest.output = b""
            figures[name] = counts[name] / (guest.read_to(linux_guest.PROMPT) - start) / 1e6
    return figures


MEASUREMENT = Measurement(
    "qemu_linux_user_mips",
    "MIPS",
    "QEMU TCG: programs in Linux, geometric mean",
    run,
    repeat=3,
)
