"""GDB on `guestdbg gdb`: the same watchpoint and Python stop() as on QEMU."""

from bench import gdb_client, gdb_server
from bench.measurement import Measurement
from bench.measurements.qemu_gdb_stops_per_second import SCRIPT, STOPS


def run() -> float:
    return gdb_client.per_second(SCRIPT, gdb_server.stopped, STOPS=STOPS)


MEASUREMENT = Measurement(
    "gdb_stops_per_second",
    "/s",
    "GDB on `guestdbg gdb`: watchpoint hits, Python stop() returning False",
    run,
)
