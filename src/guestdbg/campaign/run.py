"""One run of a campaign: deals out cases, and takes in their results."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guestdbg.campaign.deaths import WORKER_DIED, Deaths, cause_of
from guestdbg.campaign.directory import read_file
from guestdbg.campaign.errors import CampaignError, ExecutorLost, RunnerNotMade
from guestdbg.campaign.failures import MOST_KEPT
from guestdbg.campaign.job import Minimised, empty
from guestdbg.campaign.progress import Progress, Rate
from guestdbg.campaign.results import ResultWriter
from guestdbg.campaign.schedule import Schedule
from guestdbg.campaign.worker import (
    Examined,
    Missing,
    Played,
    brief,
    brief_evidence,
    examine,
    forget,
    play,
)
from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.campaign.directory import Manifest
    from guestdbg.campaign.executors import Crew
    from guestdbg.campaign.failures import Failure, FailureFile
    from guestdbg.campaign.progress import OnProgress
    from guestdbg.campaign.results import ResultReader
    from guestdbg.campaign.worker import (
        Ticket,
    )

__all__ = ["Run", "Until"]

#: Whether it is enough.
Until = Callable[[Progress], bool]

#: Tasks that wait at each worker, so that it always has one.
_QUEUED = 2
_PROGRESS_SECONDS = 0.4
#: How long the tasks that run are waited for when the campaign is stopped, in seconds.
_LAST_SECONDS = 10.0
#: Errors of an executor that is broken or closed.
_BROKEN = (BrokenExecutor, CancelledError, RuntimeError, OSError, TimeoutError)


class Run(Closing):
    """Runs the cases of a campaign on a crew."""

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        ticket: Ticket,
        results: ResultReader,
        notes: FailureFile,
        crew: Crew,
    ) -> None:
        self._directory = directory
        self._manifest = manifest
        self._ticket = ticket
        self._notes_file = notes
        self._crew = crew
        self._sent_to: set[str] = set()
        self._reported_at = self._asked_at = 0.0
        self._deaths = Deaths()
        self._started = time.monotonic()
        self._rate = Rate()
        self._counts: Counter[str]
        self._done_before = 0
        if (why := crew.lost()) is not None:
            raise ExecutorLost(f"the executor runs nothing any more ({why})")
        with contextlib.ExitStack() as stack:
            try:
                done, self._counts, self._failures = results.found()
                self._results = ResultWriter(results, done, crew.width)
                stack.push(self._results)
                self._notes = notes.open()
                stack.push(self._notes)
            except OSError as error:
                raise self._disk_full(error) from error
            self._done_before = len(done)
            self._stack = stack.pop_all()

    # ---- cases -------------------------------------------------------------------------------

    def cases(self, on_progress: OnProgress | None, until: Until | None = None) -> None:
        """Run the cases that have no result, ``until`` it is enough."""
        schedule = Schedule(self._manifest.cases, self._results.done)
        pending: dict[Future[Any], Sequence[int]] = {}
        try:
            enough = False
            while (not enough and self._deal_out(pending, schedule)) or pending:
                if pending:
                    self._arrived(pending, schedule, _PROGRESS_SECONDS)
                self._report(on_progress, "running")
                enough = enough or self._is_enough(until)
        except BaseException:
            self._take_last(pending, schedule)
            raise
        for death in self._deaths.take():
            self._note(death.line())
        self._report(on_progress, "running", now=True)
        try:
            if self._manifest.cases == len(self._results.done):
                self._results.finish()
        except OSError as error:
            raise self._disk_full(error) from error

    def _deal_out(self, pending: dict[Future[Any], Sequence[int]], schedule: Schedule) -> bool:
        """Have something to do for each worker. Returns whether there was more."""
        more = True
        if self._sent_to:
            # What is dealt out now may come to a worker before its files do.
            if pending:
                return True
            self._sent_to.clear()
        while more and len(pending) < (_QUEUED + 1) * self._crew.width:
            self._check_room()
            more = bool(numbers := schedule.next(self._crew.width, len(pending)))
            if more:
                pending[self._submit(play, numbers)] = numbers
                if self._arrived(pending, schedule, 0):
                    break
        return more

    def _submit(self, function: Callable[..., Any], argument: Any) -> Future[Any]:
        try:
            return self._crew.submit(function, self._ticket, argument)
        except _BROKEN as error:
            raise self._lost(error) from error

    def _arrived(
        self, pending: dict[Future[Any], Sequence[int]], schedule: Schedule, seconds: float
    ) -> bool:
        """Take in what has arrived, waiting for it for so long. Returns whether something has."""
        done, _ = wait(pending, timeout=seconds, return_when=FIRST_COMPLETED)
        for future in done:
            numbers = pending[future]
            again = self._take(future, numbers, schedule)
            del pending[future]
            if again is not None:
                pending[again] = numbers
        if not done and (why := self._crew.lost()) is not None:
            raise self._lost(why)
        return bool(done)

    def _take(
        self, future: Future[Any], numbers: Sequence[int], schedule: Schedule
    ) -> Future[Any] | None:
        """Take in a task that is done; a task that runs these cases in its place, or None."""
        try:
            played = future.result()
        except self._crew.died as error:
            cause, evidence = cause_of(error)
            fatal = schedule.died(numbers)
            if fatal is None:
                self._deaths.add(numbers, cause, evidence)
            else:
                self._deaths.blame(fatal)
                self._add_fatal(fatal, cause, evidence)
            return None
        except RunnerNotMade as error:
            raise CampaignError(f"no case can be run ({error}); {self._saved()}") from error
        except CampaignError:
            raise
        except _BROKEN as error:
            if (why := self._crew.lost()) is not None or isinstance(error, _GONE):
                raise self._lost(why or error) from error
            raise self._cannot_run(error) from error
        except Exception as error:
            raise self._cannot_run(error) from error
        if isinstance(played, Missing):
            worker = played.worker if self._crew.pins else ""
            if worker in self._sent_to:
                schedule.again(numbers)
                return None
            self._sent_to.add(worker)
            return self._send(played, play, numbers)
        assert isinstance(played, Played)
        schedule.took(len(played.rows), played.seconds)
        self._add(played.rows, played.evidence)
        if rest := numbers[len(played.rows) :]:
            schedule.again(rest)
        return None

    def _send(self, missing: Missing, function: Callable[..., Any], argument: Any) -> Future[Any]:
        """Send a worker what it has not got, and have it run the task."""
        files = {digest: read_file(self._directory, digest) for digest in missing.digests}
        try:
            return self._crew.resubmit(missing.worker, files, function, self._ticket, argument)
        except _BROKEN as error:
            raise self._lost(error) from error

    def _add(self, rows: Sequence[Any], evidence: dict[str, tuple[int, str]]) -> None:
        try:
            new = self._results.add(rows)
        except OSError as error:
            raise self._disk_full(error) from error
        for case, outcome, failure, signature, detail, *_ in new:
            self._counts[outcome] += 1
            if failure and self._failures.add(case, outcome, signature, detail):
                text = evidence.get(signature, (case, ""))
                if text[0] == case and len(self._failures) <= MOST_KEPT:
                    self._note(self._notes_file.evidence(signature, case, text[1]))

    def _add_fatal(self, number: int, cause: str, evidence: str) -> None:
        values = [empty(each) for each in self._manifest.columns]
        detail = "the worker that ran it has died, twice, with nothing else to do"
        signature = brief(f"{WORKER_DIED}: {cause}" if cause else WORKER_DIED)
        row = [number, WORKER_DIED, True, signature, detail, *values]
        self._add([row], {signature: (number, brief_evidence(evidence))})

    def _note(self, line: Any) -> None:
        # Of evidence there may be none where the disk is full; the results are more important.
        with contextlib.suppress(OSError):
            self._notes.append(line)

    # ---- failures ----------------------------------------------------------------------------

    def minimise(self, most: int, on_progress: OnProgress | None) -> None:
        """Minimise as many failures that differ, if that was not done already."""
        notes = self._notes_file.notes()
        chosen = [
            each
            for each in list(self._failures)[:most]
            if each.outcome != WORKER_DIED
            and "minimised" not in notes.get((each.signature, each.case), {})
        ]
        pending: dict[Future[Any], Failure] = {}
        while chosen or pending:
            if not pending:
                self._sent_to.clear()
                pending = {self._submit(examine, each.case): each for each in chosen}
                chosen = []
            done, _ = wait(pending, timeout=_PROGRESS_SECONDS, return_when=FIRST_COMPLETED)
            self._report(on_progress, "minimising")
            for future in done:
                failure = pending.pop(future)
                try:
                    found = future.result()
                except self._crew.died:
                    found = Examined(failure.case, None, "the worker that did it has died")
                except _BROKEN as error:
                    raise self._lost(error) from error
                if isinstance(found, Missing):
                    worker = found.worker if self._crew.pins else ""
                    if worker in self._sent_to:
                        chosen.append(failure)  # again, when the files are there
                    else:
                        self._sent_to.add(worker)
                        pending[self._send(found, examine, failure.case)] = failure
                    continue
                result = found.minimised
                if result is None and found.error:
                    result = Minimised(f"not minimised: {found.error}")
                if result is not None:
                    line = self._notes_file.minimised(failure.signature, failure.case, result)
                    self._note(line)
            if not done and (why := self._crew.lost()) is not None:
                raise self._lost(why)

    # ---- the end -----------------------------------------------------------------------------

    def _take_last(self, pending: dict[Future[Any], Sequence[int]], schedule: Schedule) -> None:
        """The campaign stops: what does not run is cancelled, what runs is waited for."""
        running = [future for future in pending if not future.cancel()]
        with contextlib.suppress(KeyboardInterrupt, CampaignError):
            until = time.monotonic() + _LAST_SECONDS
            for future in running:
                if self._crew.lost() is not None and not future.done():
                    continue
                wait([future], timeout=max(0.0, until - time.monotonic()))
                if future.done() and not future.cancelled() and future.exception() is None:
                    played = future.result()
                    if isinstance(played, Played):
                        self._add(played.rows, played.evidence)

    def close(self) -> None:
        """Write what is left, and forget the campaign in this process."""
        self._stack.close()
        forget(self._ticket.job)

    def _report(self, on_progress: OnProgress | None, doing: str, *, now: bool = False) -> None:
        time_now = time.monotonic()
        if on_progress is None or (not now and time_now - self._reported_at < _PROGRESS_SECONDS):
            return
        self._reported_at = time_now
        on_progress(self._progress(doing))

    def _is_enough(self, until: Until | None) -> bool:
        if until is None or time.monotonic() - self._asked_at < _PROGRESS_SECONDS:
            return False
        self._asked_at = time.monotonic()
        return until(self._progress("running"))

    def _progress(self, doing: str) -> Progress:
        done = len(self._results.done)
        return Progress(
            done,
            self._manifest.cases,
            time.monotonic() - self._started,
            self._rate.at(done - self._done_before),
            self._counts.copy(),
            self._failures.count,
            len(self._failures),
            self._crew.width,
            doing,
        )

    def _check_room(self) -> None:
        if self._results.full is not None:
            raise self._disk_full(self._results.full)

    def _saved(self) -> str:
        done = len(self._results.done)
        return (
            f"the results of {done:,} cases are in {self._directory}, from where the campaign can "
            "be resumed"
        )

    def _disk_full(self, error: OSError) -> CampaignError:
        return CampaignError(
            f"{self._directory}: results cannot be written: {error.strerror or error}. What was "
            "computed until then is there; make room, and resume the campaign"
        )

    def _lost(self, why: object) -> ExecutorLost:
        text = why if isinstance(why, str) else f"{type(why).__name__}: {why}".rstrip(": ")
        return ExecutorLost(f"the executor runs nothing any more ({text}); {self._saved()}")

    def _cannot_run(self, error: BaseException) -> CampaignError:
        return CampaignError(
            f"a worker cannot run the cases: {type(error).__name__}: {error}; {self._saved()}"
        )


#: Errors that only a broken executor raises.
_GONE = (BrokenExecutor, CancelledError)
