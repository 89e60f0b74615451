"""Linux booted with history, and without: the processor time of the host that it takes."""

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    plain = linux_guest.boot_cpu_seconds(linux_guest.guestdbg_command())
    return linux_guest.boot_cpu_seconds(linux_guest.guestdbg_command(history=True)) / plain


MEASUREMENT = Measurement(
    "linux_boot_history_ratio",
    "times",
    "guestdbg: the time of Linux's boot with history, as a multiple of that without",
    run,
    repeat=3,
    summary="median",
    better="less",
)
