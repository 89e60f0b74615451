"""Calls, returns and the other events of a program, written as a file of Perfetto."""

import tempfile
import time
from pathlib import Path

import guestdbg
from bench.measurement import Measurement

GUEST = Path(__file__).parents[2] / "examples" / "queue.elf"


def run() -> float:
    with (
        tempfile.TemporaryDirectory() as directory,
        guestdbg.load(GUEST, console=None, provider="soft") as guest,
    ):
        start = time.perf_counter()
        with guest.trace(to=Path(directory) / "queue.pftrace") as trace:
            stop = guest.run()
        seconds = time.perf_counter() - start
        if stop.reason != "exit" or not trace.complete:
            raise RuntimeError(f"the trace is not of the whole run: {stop}, {trace.ended}")
        written: int = trace.written
        return written / seconds


MEASUREMENT = Measurement(
    "trace_calls_per_second",
    "/s",
    "guestdbg: events of a trace (calls, returns, exceptions, console), written for Perfetto",
    run,
)
