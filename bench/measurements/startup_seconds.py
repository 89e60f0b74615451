"""`guestdbg run` of a guest that prints one line, from the start of the process to its end."""

from bench import hello_start
from bench.measurement import Measurement


def run() -> float:
    return hello_start.seconds()[1]


MEASUREMENT = Measurement(
    "startup_seconds",
    "s",
    "guestdbg: a guest of 246 instructions, whole process",
    run,
    summary="median",
    better="less",
)
