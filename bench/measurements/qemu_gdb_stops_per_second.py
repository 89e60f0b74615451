"""GDB on QEMU: a watchpoint whose Python stop() returns False."""

from bench import gdb_client
from bench.measurement import Measurement

STOPS = 1500

SCRIPT = """
class Watch(gdb.Breakpoint):
    stops = 0

    def stop(self):
        if self.stops == 0:
            self.start = time.perf_counter()
        self.stops += 1
        return self.stops > STOPS

watch = Watch("*(unsigned long *)%d" % DATA, gdb.BP_WATCHPOINT, gdb.WP_WRITE)
gdb.execute("continue", to_string=True)
print("RATE", STOPS / (time.perf_counter() - watch.start))
"""


def run() -> float:
    return gdb_client.per_second(SCRIPT, STOPS=STOPS)


MEASUREMENT = Measurement(
    "qemu_gdb_stops_per_second",
    "/s",
    "GDB on QEMU: watchpoint hits, Python stop() returning False",
    run,
)
