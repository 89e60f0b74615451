"""GDB on QEMU: single steps."""

from bench import gdb_client
from bench.measurement import Measurement

STEPS = 1500

SCRIPT = """
gdb.execute("stepi", to_string=True)
start = time.perf_counter()
for _ in range(STEPS):
    gdb.execute("stepi", to_string=True)
print("RATE", STEPS / (time.perf_counter() - start))
"""


def run() -> float:
    return gdb_client.per_second(SCRIPT, STEPS=STEPS)


MEASUREMENT = Measurement(
    "qemu_gdb_steps_per_second", "/s", "GDB on QEMU: stepi from a Python loop", run
)
