"""Searches for guests, and for uses of the processor, that break it.

Cases follow from a kind and a seed. Kinds: ``cpu`` (the bare processor: random code, registers,
memory slots, tables, debug registers), ``soft`` (the same through the software KVM),
``translation`` (tables, compared with the tests' model), ``simd`` (SIMD and FP instructions, a
thousand of each seed, compared with Unicorn), ``pieces`` (the same program, interrupted
anywhere), ``packets`` (a debugger's client that sends anything to the server), ``framing`` (streams
of packets, compared with the tests' model; these two count packets as instructions), ``hits``
(programs with points of every kind, evaluated by the provider and by Python), ``files`` (files that
are damaged, or made to be expensive; counts changes as instructions), ``btf`` (a kernel's damaged
description of its types; likewise), ``devices`` (registers and queues of a board's devices; counts
accesses as instructions), ``tiers`` (cases of ``cpu`` and ``soft`` with the interpreter and with
stencils, compared). The others use the tier that their seed chooses, or GUESTDBG_TIER. They are a
campaign (guestdbg.campaign), which is kept under build/fuzz/campaigns; the processor is built with
the address and undefined-behaviour sanitizers into build/sanitizer. A failing case is shrunk and
saved under build/fuzz, with the command that runs it again; failures of the same cause are counted.

    make fuzz                          until interrupted
    make fuzz FUZZ_SECONDS=600         for ten minutes
    python tools/fuzz.py --plain       with the processor as it is installed, not the sanitized one
    python tools/fuzz.py --resume --seed 42
    python tools/fuzz.py --replay cpu:1234[:ACTIONS[:LEFT-OUT,...]]
    python tools/fuzz.py --replay cpu:1230-1234 soft:7          one after the other
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import fuzz_environment
import fuzz_failures
from fuzz_environment import ROOT
from fuzz_failures import Environment, Replay
from fuzz_job import BEFORE, FuzzJob, Seed

from guestdbg.campaign import Campaign, Death, Failure, Progress
from guestdbg.errors import GuestdbgError
from guestdbg.workers import WorkerExecutor

FOUND = ROOT / "build" / "fuzz"
#: The kinds, and how many cases of each come before those of the next one.
BATCH = {
    "cpu": 100,
    "soft": 40,
    "translation": 30,
    "pieces": 20,
    "packets": 10,
    "framing": 20,
    "hits": 200,
    "files": 100,
    "btf": 200,
    "simd": 20,
    "devices": 40,
    "tiers": 40,
}
KINDS = tuple(BATCH)
_EVERY = 10.0  # seconds between two lines of progress

OnFailure = Callable[[FuzzJob, "Failure | Death"], object]


@dataclass(frozen=True)
class Outcome:
    """The results of a campaign.

    Attributes:
        cases: how many have a result.
        instructions: that they executed.
        failed: the cases that failed.
        did: how often each action was done.
        of_kind: how many cases of each kind.
        deaths: workers that have died without a case that does it alone.
        output: what was found, for people.
    """

    cases: int
    instructions: int
    failed: Sequence[Seed]
    did: Counter[str]
    of_kind: Counter[str]
    deaths: Sequence[Death]
    output: str

    @property
    def failures(self) -> int:
        """How many failures there are."""
        return len(self.failed) + len(self.deaths)


def outcome(campaign: Campaign, job: FuzzJob) -> Outcome:
    """What a campaign has found so far."""
    table = campaign.to_arrow()
    did: Counter[str] = Counter()
    for text in table.column("did").to_pylist():
        if text:
            did.update(json.loads(text))
    numbers, failures = (table.column(name).to_pylist() for name in ("case", "failure"))
    failed = [job.seed(n) for n, fails in zip(numbers, failures, strict=True) if fails]
    summary = campaign.summary()
    first = [f"{job.seed(each.case)}\n{each.evidence}" for each in summary.failures[:5]]
    first += [f"{each}\n{each.evidence}" for each in summary.deaths[:5]]
    return Outcome(
        len(numbers),
        sum(table.column("instructions").to_pylist()),
        failed,
        did,
        Counter(job.seed(number).kind for number in numbers),
        summary.deaths,
        "\n\n".join([str(summary), *first]),
    )


@dataclass
class Finder:
    """Calls a function for each new failure of a campaign, the first of those with one cause."""

    campaign: Campaign
    job: FuzzJob
    on_failure: OnFailure
    known: set[object] = field(default_factory=set)
    different: int = 0

    def look(self, progress: Progress | None = None) -> None:
        """Whether there are more."""
        if progress is not None and progress.different == self.different:
            return
        summary = self.campaign.summary()
        self.different = len(summary.failures)
        found: list[tuple[object, Failure | Death]] = [
            (each.signature, each) for each in summary.failures
        ]
        if progress is None:
            found += [(each, each) for each in summary.deaths]
        for key, each in found:
            if key not in self.known:
                self.known.add(key)
                self.on_failure(self.job, each)


def execute(
    environment: Environment,
    campaign: Campaign,
    job: FuzzJob,
    jobs: int,
    *,
    on_failure: OnFailure | None = None,
    on_progress: Callable[[Progress], object] = lambda progress: None,
    until: Callable[[Progress], bool] | None = None,
) -> Outcome:
    """Run a campaign in so many processes.

    Raises KeyboardInterrupt; what was computed is in the campaign.
    """
    finder = Finder(campaign, job, on_failure) if on_failure is not None else None
    last = time.monotonic()

    def report(progress: Progress) -> None:
        nonlocal last
        if finder is not None:
            finder.look(progress)
        if time.monotonic() - last >= _EVERY:
            last = time.monotonic()
            on_progress(progress)

    with (
        # Temporary files of processes that are killed are removed, too.
        tempfile.TemporaryDirectory(prefix="guestdbg-fuzz-") as temporary,
        WorkerExecutor(
            jobs, environment={**environment, "TMPDIR": temporary}, output="keep"
        ) as executor,
    ):
        campaign.run(executor, on_progress=report, until=until, minimise=0)
    if finder is not None:
        finder.look()
    return outcome(campaign, job)


def run(environment: Environment, kind: str, first: int, count: int, jobs: int = 1) -> Outcome:
    """Cases first to first + count - 1 of a kind, in so many other processes."""
    job = FuzzJob({kind: 1}, first)
    with tempfile.TemporaryDirectory(prefix="guestdbg-fuzz-") as directory:
        campaign = create(Path(directory) / "campaign", job, count)
        return execute(environment, campaign, job, jobs)


def create(directory: Path, job: FuzzJob, count: int | None) -> Campaign:
    """The campaign of a job."""
    title = f"{', '.join(job.batches)} from seed {job.first} on"
    return Campaign.create(directory, job, count, title=title, seconds=fuzz_failures.SECONDS)


def create_or_resume(directory: Path, job: FuzzJob, count: int | None, *, resume: bool) -> Campaign:
    """The campaign that is in a directory, or a new one in its place.

    Raises CampaignError: there is none to resume.
    """
    if resume:
        return Campaign(directory)
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    return create(directory, job, count)


def saving(environment: Environment, *, plain: bool) -> OnFailure:
    """Saves failures."""

    def save(job: FuzzJob, found: Failure | Death) -> None:
        if isinstance(found, Death):
            *before, case = (job.seed(n) for n in range(found.first, found.last + 1))
        else:
            case, before = job.seed(found.case), []
            for line in found.evidence.splitlines():
                if line.startswith(BEFORE):
                    before = list(Replay.of(line.removeprefix(BEFORE).split()).cases)
        fuzz_failures.save(environment, case, before, found.evidence, FOUND, plain=plain)

    return save


def fuzz(
    environment: Environment,
    kinds: Sequence[str],
    *,
    first: int,
    jobs: int,
    seconds: float | None,
    instructions: int | None,
    plain: bool,
    resume: bool,
) -> int:
    """Cases of the kinds in turn, until time is up; the number of failures."""
    end = None if seconds is None else time.monotonic() + seconds
    job = FuzzJob({kind: BATCH[kind] for kind in kinds}, first)
    directory = (
        FOUND / "campaigns" / f"{'all' if tuple(kinds) == KINDS else '-'.join(kinds)}-{first}"
    )
    campaign = create_or_resume(directory, job, None, resume=resume)
    looked = time.monotonic()

    def until(progress: Progress) -> bool:
        nonlocal looked
        if end is not None and time.monotonic() >= end:
            return True
        if instructions is None:
            return False
        if time.monotonic() - looked < _EVERY / 2:
            return progress.failures > 0
        looked = time.monotonic()
        return progress.failures > 0 or outcome(campaign, job).instructions >= instructions

    print(
        f"cases from seed {first} on, {jobs} at a time; {directory.relative_to(ROOT)}", flush=True
    )
    try:
        execute(
            environment,
            campaign,
            job,
            jobs,
            on_failure=saving(environment, plain=plain),
            on_progress=lambda progress: print(f"  {shown(progress)}", flush=True),
            until=until,
        )
    except KeyboardInterrupt:
        print()
    found = outcome(campaign, job)
    counts = ", ".join(f"{found.of_kind[kind]} {kind}" for kind in kinds)
    print(
        f"{found.instructions:,} instructions in cases from seed {first} on ({counts}): "
        f"{found.failures} failures"
    )
    return found.failures


def shown(progress: Progress) -> str:
    """In one line how far it is."""
    of = "" if progress.cases is None else f" of {progress.cases:,}"
    failures = f"{progress.failures} FAILURES" if progress.failures else "no failures"
    return f"{progress.done:,}{of} cases ({progress.rate:,.1f} a second), {failures}"


def positive(text: str) -> int:
    """The argument of an option: a number from 1 on."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def environment_of(*, plain: bool) -> Mapping[str, str]:
    """The workers' environment. Raises CannotBuild."""
    if plain:
        return fuzz_environment.plain()
    print("building the processor with sanitizers", flush=True)
    return fuzz_environment.sanitized()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--plain", action="store_true", help="no sanitizers")
    parser.add_argument("--seconds", type=float, help="how long (default: until interrupted)")
    parser.add_argument("--instructions", type=int, help="or until so many were executed")
    parser.add_argument("--kind", choices=KINDS, action="append", help="one kind only")
    parser.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="the first seed (default: any)")
    parser.add_argument("--resume", action="store_true", help="go on with that of --seed")
    parser.add_argument("--replay", metavar="KIND:SEED[:ACTIONS[:LEFT-OUT]]", nargs="+")
    options = parser.parse_args()
    if options.resume and options.seed is None:
        parser.error("--resume goes on with the cases of a --seed: which one?")
    replay = None
    if options.replay:
        try:
            replay = Replay.of(options.replay)
        except ValueError as error:
            parser.error(f"--replay {error}")
        if not {case.kind for case in replay.cases} <= set(KINDS):
            parser.error(f"--replay {' '.join(options.replay)}: KIND must be one of {KINDS}")
    try:
        environment = environment_of(plain=options.plain)
    except fuzz_environment.CannotBuild as why:
        print(f"cannot build with sanitizers: {why}\n(--plain runs without)", file=sys.stderr)
        return 1
    if replay is not None:
        played = fuzz_failures.play(environment, replay)
        print(played.output)
        return int(bool(played.failure))
    first = options.seed if options.seed is not None else random.SystemRandom().getrandbits(40)
    try:
        failures = fuzz(
            environment,
            options.kind or KINDS,
            first=first,
            jobs=options.jobs,
            seconds=options.seconds,
            instructions=options.instructions,
            plain=options.plain,
            resume=options.resume,
        )
    except GuestdbgError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 1
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
