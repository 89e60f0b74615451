"""Watchpoint hits that are only recorded, with one register each."""

import time

from bench import loop_guest, python_api
from bench.measurement import Measurement

HITS = 1_000_000


def run() -> float:
    with python_api.loop(HITS) as guest:
        recording = guest.record(loop_guest.DATA, 8, registers=(0,))
        start = time.perf_counter()
        stop = guest.run(timeout=python_api.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        if stop.reason != "exit" or len(recording) != HITS:
            raise RuntimeError(f"{len(recording)} records, then {stop}")
        # The last record: the value of the last turn, and of the one before as the old value.
        data = recording.data()
        old, new, x0 = data[HITS - 1, 2], data[HITS - 1, 3], data[HITS - 1, 7]
        if (old, new, x0) != (HITS - 1, HITS, HITS):
            raise RuntimeError(f"the last record is of {old} -> {new} with x0 = {x0}")
    return HITS / seconds


MEASUREMENT = Measurement(
    "recorded_per_second",
    "/s",
    "guestdbg: watchpoint hits recorded (PC, address, old, new, count of instructions, x0)",
    run,
)
