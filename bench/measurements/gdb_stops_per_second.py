"""GDB on our server: the same watchpoint and the same Python stop() as on QEMU's."""

from bench import gdb, served
from bench.measurement import Measurement
from bench.measurements.qemu_gdb_stops_per_second import SCRIPT, STOPS


def run() -> float:
    return gdb.per_second(SCRIPT, served.stopped, STOPS=STOPS)


MEASUREMENT = Measurement(
    "gdb_stops_per_second",
    "/s",
    "GDB on `guestdbg gdb`: watchpoint hits, Python stop() returning False",
    run,
)
