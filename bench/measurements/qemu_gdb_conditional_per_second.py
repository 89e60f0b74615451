"""GDB on QEMU: QEMU leaves the condition to GDB, which is slow; so there are fewer hits."""

from bench import gdb_client
from bench.measurement import Measurement
from bench.measurements.gdb_conditional_per_second import SCRIPT

ARRIVALS = 1500


def run() -> float:
    return gdb_client.per_second(SCRIPT, ARRIVALS=ARRIVALS)


MEASUREMENT = Measurement(
    "qemu_gdb_conditional_per_second",
    "/s",
    "GDB on QEMU: a breakpoint whose condition is false",
    run,
)
