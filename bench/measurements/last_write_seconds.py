"""Who wrote a variable last, in a run of 10^9 instructions with the write near its beginning."""

import time

from bench import history_guest
from bench.measurement import Measurement


def run() -> float:
    with history_guest.at_the_end() as guest:
        start = time.perf_counter()
        hit = guest.history.last_write(history_guest.VARIABLE, 8)
        seconds = time.perf_counter() - start
        assert hit is not None
        assert hit.time is not None
        assert hit.time.position.instructions == 3
    return seconds


MEASUREMENT = Measurement(
    "last_write_seconds",
    "s",
    "guestdbg: the last write to a variable, 10^9 instructions ago",
    run,
    repeat=3,
    summary="median",
    better="less",
)
