"""A snapshot of Linux at the shell's prompt, after one command since the last snapshot."""

import time

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    prompt = linux_guest.prompt()
    before = prompt.guest.snapshot()
    prompt.command(b"ls -l /bin | wc -l")
    start = time.perf_counter()
    prompt.guest.snapshot()
    milliseconds = 1000 * (time.perf_counter() - start)
    prompt.guest.restore(before)
    return milliseconds


MEASUREMENT = Measurement(
    "linux_snapshot_ms",
    "ms",
    "guestdbg: a snapshot of Linux at its prompt",
    run,
    summary="median",
    better="less",
)
