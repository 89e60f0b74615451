"""A snapshot restored, a short run to a breakpoint that writes 20 pages, and so on, from Python."""

import tempfile
import time
from pathlib import Path

import guestdbg
from bench import restore_guest
from bench.measurement import Measurement

RESTORES = 5_000


def run() -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = restore_guest.write(Path(directory))
        with guestdbg.load(path, provider="soft", console=None) as guest:
            guest.step()
            guest.break_(restore_guest.DONE)
            snapshot = guest.snapshot()
            start = time.perf_counter()
            for _ in range(RESTORES):
                guest.run()
                guest.restore(snapshot)
            seconds = time.perf_counter() - start
            _check(guest)
    return RESTORES / seconds


def _check(guest: guestdbg.Guest) -> None:
    """That the pages are as they were, and that each run has written them."""
    places = [restore_guest.DATA + 4096 * page for page in range(restore_guest.PAGES)]
    if any(guest.read_u64(place) for place in places):
        raise RuntimeError("a page was not restored")
    stop = guest.run()
    if stop.pc != restore_guest.DONE or not all(guest.read_u64(place) for place in places):
        raise RuntimeError(f"the guest did not write its pages: {stop}")


MEASUREMENT = Measurement(
    "restores_per_second",
    "/s",
    "guestdbg: a run that writes 20 pages, and a restore, from Python",
    run,
)
