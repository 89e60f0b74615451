"""Linux on guestdbg with four vCPUs: from the start of the process to power-off at the shell."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    return linux_guest.boot_seconds(linux_guest.guestdbg_command(vcpus=4))


MEASUREMENT = Measurement(
    "linux_boot_4_seconds",
    "s",
    "guestdbg: Linux, start of the process to power-off, four vCPUs",
    run,
    repeat=3,
    summary="median",
    better="less",
)
