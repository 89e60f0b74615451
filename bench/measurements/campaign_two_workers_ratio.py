"""Two workers of a campaign, and two processes that run the same cases and keep nothing.

The cases begin in the firmware of queue.elf, with a random number in its memory, and execute 20,000
instructions. What a process imports is imported before the time is taken; that it loads the guest
is a part of it, on both sides.
"""

import tempfile
import time
from pathlib import Path

import guestdbg
from bench.campaign_process import Process
from bench.measurement import Measurement
from guestdbg.campaign import Campaign, Case
from guestdbg.guest_campaign import Memory
from guestdbg.workers import WorkerExecutor

CASES = 3000
INSTRUCTIONS = 20_000
_GUEST = Path(__file__).parents[2] / "examples" / "queue.elf"


def vary(case: Case) -> Memory:
    """What differs in a case."""
    return Memory("sum_made", case.random.randbytes(4))


def run() -> float:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        with guestdbg.load(_GUEST, provider="soft", memory="16M", console=None) as guest:
            guest.run(until="main")
            small, large = (
                guest.campaign(place / str(cases), vary, cases, max_instructions=INSTRUCTIONS)
                for cases in (2, CASES)
            )
        return independent(large) / workers(small, large)


def workers(small: Campaign, large: Campaign) -> float:
    """Seconds of two workers."""
    with WorkerExecutor(2) as executor:
        small.run(executor)  # so that both have imported what they need
        start = time.perf_counter()
        summary = large.run(executor)
        seconds = time.perf_counter() - start
    assert summary.counts == {"limit": CASES}, summary
    return seconds


def independent(campaign: Campaign) -> float:
    """Seconds of two processes, each with half of the cases."""
    half = campaign.manifest.cases // 2 if campaign.manifest.cases else 0
    with Process(campaign, 0, half) as one, Process(campaign, half, 2 * half) as other:
        start = time.perf_counter()
        one.go()
        other.go()
        assert one.outcomes() + other.outcomes() == {"limit": 2 * half}
        return time.perf_counter() - start


MEASUREMENT = Measurement(
    "campaign_two_workers_ratio",
    "times",
    "guestdbg: cases a second of a campaign's two workers, as a part of those of two processes "
    "that run them without a campaign",
    run,
    summary="median",
)
