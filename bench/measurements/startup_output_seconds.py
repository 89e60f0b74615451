"""`guestdbg run` from the start of its process to the first output of a guest."""

from bench import hello_start
from bench.measurement import Measurement


def run() -> float:
    return hello_start.seconds()[0]


MEASUREMENT = Measurement(
    "startup_output_seconds",
    "s",
    "guestdbg: start of the process to the first output of a guest",
    run,
    summary="median",
    better="less",
)
