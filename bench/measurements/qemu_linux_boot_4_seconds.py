"""Linux on QEMU TCG with four vCPUs: from the start of the process to power-off at the shell."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    return linux_guest.boot_seconds(linux_guest.qemu_command(vcpus=4))


MEASUREMENT = Measurement(
    "qemu_linux_boot_4_seconds",
    "s",
    "QEMU TCG: Linux, start of the process to power-off, four vCPUs",
    run,
    repeat=3,
    summary="median",
    better="less",
)
