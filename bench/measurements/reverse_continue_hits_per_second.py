"""Back from hit to hit of a breakpoint, from the end of a run that has 20,000 of them."""

import time
from pathlib import Path

import guestdbg
from bench.measurement import Measurement

GUEST = Path(__file__).parents[2] / "examples" / "queue.elf"
TIMES = 30


def run() -> float:
    with guestdbg.load(GUEST, provider="soft", console=None, history=True) as guest:
        guest.run()
        guest.break_("queue_push")
        start = time.perf_counter()
        for _ in range(TIMES):
            assert guest.reverse_run().reason == "hit"
        return TIMES / (time.perf_counter() - start)


MEASUREMENT = Measurement(
    "reverse_continue_hits_per_second",
    "/s",
    "guestdbg: back from hit to hit in 8.6 million instructions",
    run,
    repeat=3,
)
