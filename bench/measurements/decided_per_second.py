"""Watchpoint hits that fail a condition, which a hit program evaluates without Python."""

import time

import guestdbg
from bench import loop_guest, python_api
from bench.measurement import Measurement

HITS = 2_000_000


def run() -> float:
    # x0 is the value that is written. The guest makes one turn more: the condition ends the run.
    with python_api.loop(HITS + 1) as guest:
        when = guestdbg.cond(f"new > 8 and x0 == {HITS}")
        watch = guest.watch(loop_guest.DATA, 8, access="write", when=when)
        start = time.perf_counter()
        stop = guest.run(timeout=python_api.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        if stop.reason != "hit" or (watch.seen, watch.hits) != (HITS, 1):
            raise RuntimeError(f"{watch.seen} evaluated, {watch.hits} hits, then {stop}")
        if guest.vcpus[0].x[0] != HITS:
            raise RuntimeError(f"stopped with x0 = {guest.vcpus[0].x[0]}, not {HITS}")
    return HITS / seconds


MEASUREMENT = Measurement(
    "decided_per_second",
    "/s",
    "guestdbg: watchpoint hits that fail a condition, evaluated by the provider",
    run,
)
