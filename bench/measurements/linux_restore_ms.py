"""Linux put back to a snapshot at the shell's prompt, after one command."""

import time

from bench import linux_guest
from bench.measurement import Measurement


def run() -> float:
    prompt = linux_guest.prompt()
    before = prompt.guest.snapshot()
    first = prompt.command(b"ls -l /bin | wc -l")[1]
    start = time.perf_counter()
    prompt.guest.restore(before)
    milliseconds = 1000 * (time.perf_counter() - start)
    # It goes on from there as it did then.
    assert prompt.command(b"ls -l /bin | wc -l")[1] == first
    prompt.guest.restore(before)
    return milliseconds


MEASUREMENT = Measurement(
    "linux_restore_ms",
    "ms",
    "guestdbg: Linux put back to a snapshot at its prompt",
    run,
    summary="median",
    better="less",
)
