"""The long campaigns: parts of many cases of tools/fuzz.py each, all of them, until they are done.

    make soak                                       every part, with its full count
    make soak SOAK_OPTIONS="--part files --count 1000 --seed 7"
    make soak SOAK_OPTIONS="--part tests"           the tests that are marked `soak` only

The cases follow from their seeds, which are printed. They run in separate processes, with the
processor as it is installed. A failing case is shrunk and saved under build/fuzz, with the command
that runs it again, and the campaign goes on. At the end come the tests that take too long for
`make test`. The exit status is 1 if any case or test has failed.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import fuzz

#: The parts, each a kind of tools/fuzz.py, and how many cases each has.
COUNTS: dict[str, int] = {
    "files": 100_000,
    "btf": 100_000,
    "hits": 100_000,
    "packets": 5_000,
    "framing": 5_000,
    "simd": 20_000,
    "cpu": 20_000,
    "soft": 8_000,
    "translation": 3_000,
    "pieces": 1_000,
    "devices": 10_000,
    "tiers": 10_000,
}
PARTS = tuple(part for part in COUNTS if part in fuzz.KINDS)
TESTS = "tests"  # the part that runs the tests with the mark `soak`
_EVERY = 10.0  # seconds between two lines of progress

Run = Callable[[Mapping[str, str], str, int, int], fuzz.Outcome]
Save = Callable[[str, fuzz.Outcome, int], object]


@dataclass
class Result:
    """What a part has done so far."""

    part: str
    first: int
    total: int
    cases: int = 0
    seconds: float = 0.0
    failed: list[int] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        failures = "no failures"
        if self.failed:
            shown = ", ".join(str(seed) for seed in self.failed[:10])
            failures = f"{len(self.failed)} FAILURES: {shown}" + ", ..." * (len(self.failed) > 10)
        rate = self.cases / self.seconds if self.seconds else 0.0
        return (
            f"{self.part}: {self.cases:,} of {self.total:,} cases, seeds {self.first} to "
            f"{self.first + self.total - 1}, {self.seconds:,.0f} s ({rate:,.1f} a second), "
            f"{failures}"
        )


def batches(part: str, first: int, count: int) -> Iterator[tuple[int, int]]:
    """(first seed, number of cases) of the pieces that a process does."""
    size = fuzz.BATCH.get(part, 20)
    for at in range(first, first + count, size):
        yield at, min(size, first + count - at)


def campaign(
    part: str,
    first: int,
    count: int,
    jobs: int,
    *,
    run: Run,
    save: Save,
    progress: Callable[[Result], None] = lambda result: None,
) -> Result:
    """All cases of a part. After one that fails, those after it in its batch are done as well."""
    result = Result(part, first, count)
    environment = fuzz.plain_environment()
    begun = last = time.monotonic()
    waiting = batches(part, first, count)
    running: dict[Future[fuzz.Outcome], tuple[int, int]] = {}
    with ThreadPoolExecutor(jobs) as pool:

        def start(at: int, size: int) -> None:
            running[pool.submit(run, environment, part, at, size)] = at, size

        for at, size in itertools.islice(waiting, jobs):
            start(at, size)
        while running:
            done, _ = wait(running, timeout=_EVERY, return_when=FIRST_COMPLETED)
            for future in done:
                at, size = running.pop(future)
                outcome = future.result()
                result.cases += outcome.cases
                result.did.update(outcome.did)
                if outcome.failed is not None:
                    result.cases += 1
                    result.failed.append(outcome.failed)
                    save(part, outcome, at)
                    if (after := outcome.failed + 1) < at + size:
                        start(after, at + size - after)
                        continue
                if (batch := next(waiting, None)) is not None:
                    start(*batch)
            result.seconds = time.monotonic() - begun
            if time.monotonic() - last >= _EVERY:
                last = time.monotonic()
                progress(result)
    return result


def soak(
    parts: Sequence[str],
    *,
    first: int,
    count: int | None,
    jobs: int,
    run: Run = fuzz.run,
    save: Save | None = None,
) -> list[Result]:
    """The parts, one after the other, with their progress; returns what each has done."""

    def save_plain(part: str, outcome: fuzz.Outcome, at: int) -> None:
        fuzz.save(fuzz.plain_environment(), part, outcome, at, plain=True)

    results = []
    for part in parts:
        total = COUNTS[part] if count is None else count
        print(f"{part}: {total:,} cases, seeds from {first} on, {jobs} at a time", flush=True)
        result = campaign(
            part,
            first,
            total,
            jobs,
            run=run,
            save=save or save_plain,
            progress=lambda result: print(f"  {result}", flush=True),
        )
        print(result, flush=True)
        results.append(result)
    return results


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", choices=(*PARTS, TESTS), action="append", help="one part only")
    parser.add_argument("--count", type=_positive, help="so many cases of each part")
    parser.add_argument("--jobs", type=_positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="the first seed (default: any)")
    options = parser.parse_args(arguments)
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(40)
    parts = options.part or [*PARTS, TESTS]
    cases = [part for part in parts if part != TESTS]
    results = soak(cases, first=first, count=options.count, jobs=options.jobs)
    print("\nsummary")
    for result in results:
        print(result)
        for what, times in sorted(result.did.items()):
            print(f"    {times:>12,}  {what}")
    failed = any(result.failed for result in results)
    if TESTS in parts:
        print("\nthe long tests", flush=True)
        command = [sys.executable, "-m", "pytest", "-m", "soak", "-n", str(options.jobs), "tests"]
        failed |= subprocess.run(command, cwd=fuzz.ROOT, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
