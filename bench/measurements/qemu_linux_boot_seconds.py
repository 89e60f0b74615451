"""Linux on QEMU TCG with one vCPU: from the start of the process to power-off at the shell."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    return linux_guest.boot_seconds(linux_guest.qemu_command())


MEASUREMENT = Measurement(
    "qemu_linux_boot_seconds",
    "s",
    "QEMU TCG: Linux, start of the process to power-off, one vCPU",
    run,
    repeat=3,
    summary="median",
    better="less",
)
