"""A watchpoint with a Python handler; the guest continues after each hit."""

import time

import guestdbg
from bench import loop_guest, python_api
from bench.measurement import Measurement

STOPS = 20_000
TURNS = 1 << 40


def run() -> float:
    stops = 0

    def handler(hit: guestdbg.Hit) -> object:
        nonlocal stops
        stops += 1
        return guestdbg.STOP if stops > STOPS else None

    with python_api.loop(TURNS) as guest:
        guest.watch(loop_guest.DATA, 8, access="write")(handler)
        start = time.perf_counter()
        stop = guest.run(timeout=python_api.LIMIT_SECONDS)
        seconds = time.perf_counter() - start
        if stop.reason != "hit" or stops != STOPS + 1:
            raise RuntimeError(f"{stops} stops, then {stop}")
        written = guest.read_u64(loop_guest.DATA)
        if written != STOPS + 1:
            raise RuntimeError(f"the guest wrote {written} times, the handler saw {stops}")
    return stops / seconds


MEASUREMENT = Measurement(
    "stops_per_second", "/s", "guestdbg: watchpoint hits with a Python handler", run
)
