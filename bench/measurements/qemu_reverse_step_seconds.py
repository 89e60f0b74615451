"""GDB on QEMU's recording of a small guest: a step back near its end."""

from pathlib import Path

from bench import gdb_client, qemu_replay
from bench.measurement import Measurement

GUEST = Path(__file__).parents[2] / "examples" / "queue.elf"
TIMES = 20

SCRIPT = """
from statistics import median
gdb.execute("hbreak power_off", to_string=True)
gdb.execute("continue", to_string=True)
times = []
for _ in range(TIMES):
    start = time.perf_counter()
    gdb.execute("reverse-stepi", to_string=True)
    times.append(time.perf_counter() - start)
print("RATE", median(times))
"""


def run() -> float:
    with qemu_replay.stopped(GUEST) as socket:
        return gdb_client.figure(SCRIPT, socket, {"TIMES": TIMES}, program=GUEST)


MEASUREMENT = Measurement(
    "qemu_reverse_step_seconds",
    "s",
    "GDB on QEMU (rr=replay): a step back (median of 20)",
    run,
    repeat=3,
    summary="median",
    better="less",
)
