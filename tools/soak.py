"""The long campaigns: parts of many cases of tools/fuzz.py each, all of them, until they are done.

    make soak                                       every part, with its full count
    make soak SOAK_OPTIONS="--part files --count 1000 --seed 7"
    make soak SOAK_OPTIONS="--part tests"           the tests that are marked `soak` only

The cases follow from their seeds, which are printed. Each part is a campaign (guestdbg.campaign),
which is kept under build/soak with its results; it runs in separate processes, with the processor
as it is installed. A failing case is shrunk and saved under build/fuzz, with the command that runs
it again, and the campaign goes on; failures of the same cause are counted. At the end come the
tests that take too long for `make test`. The exit status is 1 if any case or test has failed.

    make soak SOAK_OPTIONS="--resume --seed 7"      goes on with what was interrupted
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fuzz
import fuzz_environment
from fuzz_environment import ROOT
from fuzz_failures import Environment
from fuzz_job import FuzzJob

from guestdbg.campaign import Progress
from guestdbg.errors import GuestdbgError

#: Where the campaigns are.
CAMPAIGNS = ROOT / "build" / "soak"
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


@dataclass
class Result:
    """What a part has done."""

    part: str
    first: int
    total: int
    cases: int = 0
    seconds: float = 0.0
    failed: list[int] = field(default_factory=list)
    deaths: int = 0
    did: Mapping[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        """How many there are: cases, and workers that died without one."""
        return len(self.failed) + self.deaths

    def __str__(self) -> str:
        failures = "no failures"
        if self.failures:
            shown = ", ".join(str(seed) for seed in self.failed[:10])
            failures = f"{self.failures} FAILURES: {shown}" + ", ..." * (len(self.failed) > 10)
        rate = self.cases / self.seconds if self.seconds else 0.0
        return (
            f"{self.part}: {self.cases:,} of {self.total:,} cases, seeds {self.first} to "
            f"{self.first + self.total - 1}, {self.seconds:,.0f} s ({rate:,.1f} a second), "
            f"{failures}"
        )


def campaign(
    part: str,
    first: int,
    count: int,
    jobs: int,
    *,
    environment: Environment,
    directory: Path,
    on_failure: fuzz.OnFailure,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    resume: bool = False,
) -> Result:
    """All cases of a part; with ``resume`` those that have no result yet.

    Raises CampaignError: there is none to resume, or the disk is full.
    """
    begun = time.monotonic()
    job = FuzzJob({part: 1}, first)
    made = fuzz.create_or_resume(directory, job, count, resume=resume and directory.exists())
    found = fuzz.execute(
        environment, made, job, jobs, on_failure=on_failure, on_progress=on_progress
    )
    return Result(
        part,
        first,
        count,
        found.cases,
        time.monotonic() - begun,
        [case.seed for case in found.failed],
        len(found.deaths),
        found.did,
    )


def soak(
    parts: Sequence[str],
    *,
    first: int,
    count: int | None,
    jobs: int,
    resume: bool = False,
    environment: Environment | None = None,
) -> list[Result]:
    """The parts, one after the other, with their progress; returns what each has done."""
    environment = environment or fuzz_environment.plain()
    results = []
    for part in parts:
        total = COUNTS[part] if count is None else count
        directory = CAMPAIGNS / f"{part}-{first}-{total}"
        print(f"{part}: {total:,} cases, seeds from {first} on, {jobs} at a time", flush=True)
        result = campaign(
            part,
            first,
            total,
            jobs,
            environment=environment,
            directory=directory,
            on_failure=fuzz.saving(environment, plain=True),
            on_progress=lambda progress: print(f"  {fuzz.shown(progress)}", flush=True),
            resume=resume,
        )
        print(result, flush=True)
        results.append(result)
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--part", choices=(*PARTS, TESTS), action="append", help="one part only")
    parser.add_argument("--count", type=fuzz.positive, help="so many cases of each part")
    parser.add_argument("--jobs", type=fuzz.positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="the first seed (default: any)")
    parser.add_argument("--resume", action="store_true", help="only cases without a result")
    options = parser.parse_args(arguments)
    if options.resume and options.seed is None:
        parser.error("argument --resume: it goes on with the cases of a --seed: which one?")
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(40)
    parts = options.part or [*PARTS, TESTS]
    cases = [part for part in parts if part != TESTS]
    try:
        results = soak(
            cases, first=first, count=options.count, jobs=options.jobs, resume=options.resume
        )
    except GuestdbgError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    print("\nsummary")
    for result in results:
        print(result)
        for what, times in sorted(result.did.items()):
            print(f"    {times:>12,}  {what}")
    failed = any(result.failures for result in results)
    if TESTS in parts:
        print("\nthe long tests", flush=True)
        command = [sys.executable, "-m", "pytest", "-m", "soak", "-n", str(options.jobs), "tests"]
        failed |= subprocess.run(command, cwd=ROOT, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
