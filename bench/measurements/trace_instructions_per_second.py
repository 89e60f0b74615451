"""Every instruction of the loop with registers and accesses, written to a file."""

import tempfile
import time
from pathlib import Path

from bench import loop_guest, python_api
from bench.measurement import Measurement

TURNS = 500_000


def run() -> float:
    with tempfile.TemporaryDirectory() as directory, python_api.loop(TURNS) as guest:
        start = time.perf_counter()
        with guest.trace(what="instructions", to=Path(directory) / "loop.gdtrace") as trace:
            stop = guest.run(timeout=python_api.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        # Of each turn six instructions of 28 bytes, x0, and the two accesses; the rest stays.
        if stop.reason != "exit" or trace.written < TURNS * (6 * 28 + 9 + 2 * 17):
            raise RuntimeError(f"the trace is not of the whole run: {stop}, {trace}")
        return loop_guest.instructions(TURNS) / seconds


MEASUREMENT = Measurement(
    "trace_instructions_per_second",
    "/s",
    "guestdbg: the loop, each instruction written to a file with registers and accesses",
    run,
)
