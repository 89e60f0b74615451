"""A step back from a random place of a run of 10^9 instructions."""

import random
import time
from statistics import median

from bench import history_guest
from bench.measurement import Measurement

STEPS = 100


def run() -> float:
    places = random.Random(1)
    times = []
    with history_guest.at_the_end() as guest:
        for _ in range(STEPS):
            place = places.randrange(2, history_guest.INSTRUCTIONS)
            guest.goto(place)
            start = time.perf_counter()
            guest.reverse_step()
            times.append(time.perf_counter() - start)
            assert guest.history.now.position.instructions == place - 1
    return median(times)


MEASUREMENT = Measurement(
    "reverse_step_seconds",
    "s",
    "guestdbg: a step back, anywhere in 10^9 instructions (median of 100)",
    run,
    repeat=3,
    summary="median",
    better="less",
)
