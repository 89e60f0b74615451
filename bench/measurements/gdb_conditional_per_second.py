"""GDB on `guestdbg gdb`: a breakpoint in a loop; its condition is false 100,000 times."""

from bench import gdb_client, gdb_server
from bench.measurement import Measurement

ARRIVALS = 100_000

# x0 counts the turns. At the first hit it is 0.
SCRIPT = """
point = gdb.Breakpoint("*%d" % LOOP)
point.condition = "$x0 == %d" % ARRIVALS
start = time.perf_counter()
gdb.execute("continue", to_string=True)
seconds = time.perf_counter() - start
turns, place = (int(gdb.parse_and_eval("(long)" + name)) for name in ("$x0", "$pc"))
if (turns, place, point.hit_count) != (ARRIVALS, LOOP, 1):
    raise gdb.GdbError("%d turns, %#x, %d hits" % (turns, place, point.hit_count))
print("RATE", ARRIVALS / seconds)
"""


def run() -> float:
    return gdb_client.per_second(SCRIPT, gdb_server.stopped, ARRIVALS=ARRIVALS)


MEASUREMENT = Measurement(
    "gdb_conditional_per_second",
    "/s",
    "GDB on `guestdbg gdb`: a breakpoint whose condition is false 100,000 times",
    run,
)
