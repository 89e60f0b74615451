"""GDB on `guestdbg gdb`: single steps, as on QEMU."""

from bench import gdb_client, gdb_server
from bench.measurement import Measurement
from bench.measurements.qemu_gdb_steps_per_second import SCRIPT, STEPS


def run() -> float:
    return gdb_client.per_second(SCRIPT, gdb_server.stopped, STEPS=STEPS)


MEASUREMENT = Measurement("gdb_steps_per_second", "/s", "GDB on `guestdbg gdb`: stepi", run)
