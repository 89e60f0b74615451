"""GDB on `guestdbg gdb --history`: a step back near the end of a small guest, as on QEMU."""

from bench import gdb_client, gdb_server
from bench.measurement import Measurement
from bench.measurements.qemu_reverse_step_seconds import GUEST, SCRIPT, TIMES


def run() -> float:
    with gdb_server.stopped(GUEST, "--history") as socket:
        return gdb_client.figure(SCRIPT, socket, {"TIMES": TIMES}, program=GUEST)


MEASUREMENT = Measurement(
    "gdb_reverse_step_seconds",
    "s",
    "GDB on `guestdbg gdb`: a step back (median of 20)",
    run,
    repeat=3,
    summary="median",
    better="less",
)
