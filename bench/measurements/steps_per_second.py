"""Single steps from a Python loop."""

import time

from bench import loop_guest, python_api
from bench.measurement import Measurement

STEPS = 20_000
TURNS = 1 << 40


def run() -> float:
    with python_api.loop(TURNS) as guest:
        start = time.perf_counter()
        for _ in range(STEPS):
            guest.step()
        seconds = time.perf_counter() - start
        # Seven instructions come before the loop.
        expected = loop_guest.LOOP + 4 * ((STEPS - 7) % loop_guest.PER_TURN)
        if guest.vcpus[0].pc != expected:
            raise RuntimeError(f"{STEPS} steps led to {guest.vcpus[0].pc:#x}, not {expected:#x}")
    return STEPS / seconds


MEASUREMENT = Measurement("steps_per_second", "/s", "guestdbg: step() from a Python loop", run)
