"""A campaign: made, run, interrupted, resumed, and read."""

from __future__ import annotations

import os
import platform
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from guestdbg.campaign.case import Case
from guestdbg.campaign.directory import (
    Manifest,
    add_file,
    check_files,
    create,
    held,
    read_file,
    read_manifest,
)
from guestdbg.campaign.errors import CampaignError
from guestdbg.campaign.executors import crew_of
from guestdbg.campaign.failures import FailureFile
from guestdbg.campaign.job import Job
from guestdbg.campaign.results import ResultReader
from guestdbg.campaign.run import Run
from guestdbg.campaign.worker import Ticket, load_job
from guestdbg.tables import Tabular, library

if TYPE_CHECKING:
    from guestdbg.campaign.deaths import Death
    from guestdbg.campaign.executors import AnyExecutor
    from guestdbg.campaign.failures import Failure
    from guestdbg.campaign.job import Result
    from guestdbg.campaign.progress import OnProgress
    from guestdbg.campaign.run import Until
    from guestdbg.tables import Table

__all__ = ["Campaign", "Summary"]

#: So many failures that differ are minimised.
MINIMISED = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """What a campaign has found.

    Attributes:
        done, cases: how many cases have results, and how many there are (None: no end).
        counts: how many results are of each class.
        failures: those that differ, the most frequent first, with their counts.
        deaths: workers that have died for which none of the cases is to blame.
    """

    done: int
    cases: int | None
    counts: Counter[str]
    failures: Sequence[Failure]
    deaths: Sequence[Death] = ()

    @property
    def complete(self) -> bool:
        """Whether all cases have results."""
        return self.done == self.cases

    @property
    def all_failed(self) -> str | None:
        """The signature that all cases have: something is wrong with the campaign itself."""
        if self.done > 1 and len(self.failures) == 1 and self.failures[0].count == self.done:
            return self.failures[0].signature
        return None

    def __str__(self) -> str:
        of = "" if self.cases is None else f" of {self.cases:,}"
        lines = [f"{self.done:,}{of} cases"]
        lines += [f"  {count:>10,} {outcome}" for outcome, count in self.counts.most_common()]
        if self.all_failed is not None:
            lines.append(f"every case is a failure of the same kind: {self.all_failed}")
        if self.failures:
            lines.append(f"{len(self.failures):,} failures that differ:")
        for each in self.failures[:_SHOWN]:
            lines.append(f"  {each.count:>10,} {each.signature} (first: case {each.case})")
        if len(self.failures) > _SHOWN:
            lines.append(f"  and {len(self.failures) - _SHOWN:,} more")
        lines += [str(each) for each in self.deaths[:_SHOWN]]
        return "\n".join(lines)


#: Failures that a summary has as text.
_SHOWN = 20


class Campaign(Tabular):
    """Many cases of one job, with their results in a directory.

    ``Campaign(directory)`` is one that was made: its results can be read by anybody, and nothing of
    it is executed for that.

    Attributes:
        directory: where it is.
        manifest: what it is.

    Raises:
        CampaignError: there is none, or it is damaged, or of another version.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.manifest = read_manifest(self.directory)
        self._results = ResultReader(self.directory, self.manifest.columns, self.manifest.seed)
        self._notes = FailureFile(self.directory / "failures.jsonl")

    @classmethod
    def create(
        cls,
        directory: str | os.PathLike[str],
        job: Job,
        cases: int | None,
        *,
        seed: int = 0,
        files: Sequence[bytes] = (),
        title: str = "",
        about: Mapping[str, str] | None = None,
        seconds: float | None = 60.0,
    ) -> Self:
        """Make a campaign in a new directory.

        Args:
            directory: where; it must not exist.
            job: what is run.
            cases: how many; None: it goes on until it is stopped.
            seed: all that is random in the cases is computed from it.
            files: contents of files that the job loads, by their SHA-256.
            title, about: for people.
            seconds: a worker that takes longer for one case is ended, and the case is a failure of
                the class "worker died".

        Raises:
            CampaignError: the directory exists or cannot be written, or the job cannot be pickled.
        """
        if cases is not None and (type(cases) is not int or cases < 0):
            raise CampaignError(f"cases is {cases!r}: it must be a number, 0 or more, or None")
        if type(seed) is not int:
            raise CampaignError(f"seed is {seed!r}: it must be a whole number")
        digest, pickled = add_file(pickled_job(job))
        contents = dict(add_file(each) for each in files)
        manifest = Manifest(
            title,
            cases,
            seed,
            digest,
            tuple(contents),
            tuple(job.columns),
            seconds,
            dict(about or {}),
            _version(),
            platform.python_version(),
        )
        create(Path(directory), manifest, {digest: pickled, **contents})
        return cls(directory)

    # ---- running -----------------------------------------------------------------------------

    def run(
        self,
        executor: AnyExecutor | None = None,
        *,
        workers: int | None = None,
        on_progress: OnProgress | None = None,
        until: Until | None = None,
        minimise: int = MINIMISED,
        send_files: bool = False,
    ) -> Summary:
        """Run the cases that have no result yet, and minimise the failures.

        It can be called again when it was interrupted (Ctrl-C is; the cases that run are waited
        for, a second Ctrl-C does not), and whatever else has ended it.

        Args:
            executor: any ``concurrent.futures.Executor``, or a ``distributed.Client``; it stays
                open. None: processes of this machine.
            workers: how many of those; None: as many as processors; 0: all in this process.
            on_progress: called about twice a second.
            until: called as often. Once it is true, no more cases are begun: the way to end a
                campaign that has no last case, or to run a part of one.
            minimise: so many failures that differ are minimised, the most frequent first.
            send_files: workers cannot read the directory, or are not to: each is sent the job and
                its files once. They are sent anyway where they cannot be read.

        Raises:
            ExecutorLost: the executor is broken or gone; what was computed is there.
            CampaignError: the job cannot be loaded; the disk is full; another process runs it.
            KeyboardInterrupt: Ctrl-C; what was computed is there.
        """
        manifest = self.manifest
        check_files(self.directory, (manifest.job, *manifest.files))
        ticket = Ticket(
            "" if send_files else os.path.abspath(self.directory),
            manifest.job,
            manifest.files,
            manifest.seed,
            (socket.gethostname(), os.getpid()),
            manifest.seconds,
        )
        with held(self.directory), crew_of(executor, workers) as crew:
            run = Run(self.directory, manifest, ticket, self._results, self._notes, crew)
            with run:
                run.cases(on_progress, until)
                run.minimise(minimise, on_progress)
        return self.summary()

    def play(self, case: int) -> Result:
        """Run one case again, in this process. Raises CampaignError: there is no such case."""
        job = self.job
        runner = job.runner(job.load(lambda digest: read_file(self.directory, digest)))
        with runner:
            return runner.run(self.case(case))

    def case(self, number: int) -> Case:
        """A case by its number. Raises CampaignError: there is no such case."""
        cases = self.manifest.cases
        if number < 0 or (cases is not None and number >= cases):
            raise CampaignError(f"there is no case {number}: the cases are 0 to {(cases or 1) - 1}")
        return Case.of(self.manifest.seed, number)

    @property
    def job(self) -> Job:
        """The job. This executes what is in the directory. Raises CampaignError."""
        return load_job(read_file(self.directory, self.manifest.job))

    def contents(self, digest: str) -> bytes:
        """A file of the campaign by its digest. Raises CampaignError: it is damaged."""
        return read_file(self.directory, digest)

    # ---- results -----------------------------------------------------------------------------

    def table(self) -> Table:
        """The results so far, in the order of the cases.

        Raises:
            CampaignError: a file is damaged. MissingLibrary: pyarrow is not installed.
        """
        return self._results.table()

    def to_arrow(self) -> Any:
        """The same as a ``pyarrow.Table``."""
        return self._results.arrow()

    def result(self, case: int) -> Mapping[str, Any] | None:
        """The result of one case, a value for each column; None: it has none yet."""
        compute = library("pyarrow.compute", "the results of a campaign")
        table = self._results.arrow()
        rows = table.filter(compute.equal(table.column("case"), case)).to_pylist()
        return rows[0] if rows else None

    def summary(self) -> Summary:
        """What was found so far. Raises as ``table``."""
        cases, counts, failures = self._results.found()
        found = failures.with_notes(self._notes.notes())
        deaths = self._notes.deaths()
        return Summary(len(cases), self.manifest.cases, counts, found, deaths)

    def __repr__(self) -> str:
        return f"<Campaign {self.directory}: {self.manifest.title or 'no title'}>"


def pickled_job(job: Job) -> bytes:
    """The job as bytes; functions that no module has are in it themselves.

    Raises:
        CampaignError: it cannot be pickled.
    """
    import cloudpickle  # takes a while to import, and only those need it who make campaigns

    if not isinstance(job, Job):
        raise CampaignError(f"{job!r:.80} is no Job")
    try:
        return bytes(cloudpickle.dumps(job))
    except Exception as error:
        raise CampaignError(
            f"the job cannot be sent to workers: {type(error).__name__}: {error}. Its functions "
            "must not use an open file, a guest or a lock from outside"
        ) from error


def _version() -> str:
    from importlib import metadata

    return metadata.version("guestdbg")
