"""GDB on our server: the same steps as on QEMU's."""

from bench import gdb, served
from bench.measurement import Measurement
from bench.measurements.qemu_gdb_steps_per_second import SCRIPT, STEPS


def run() -> float:
    return gdb.per_second(SCRIPT, served.stopped, STEPS=STEPS)


MEASUREMENT = Measurement("gdb_steps_per_second", "/s", "GDB on `guestdbg gdb`: stepi", run)
