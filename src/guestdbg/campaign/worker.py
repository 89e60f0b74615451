"""What runs in a worker: cases of a campaign that it knows by its digest.

A worker is a process of any executor, and may run several cases at a time in threads. What it needs
of a campaign, the job and its files, it takes from the campaign's directory if it can read that;
otherwise it says what is missing, and is sent it once.
"""

from __future__ import annotations

import contextlib
import faulthandler
import hashlib
import os
import pickle
import signal
import socket
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from guestdbg.campaign.case import Case
from guestdbg.campaign.deaths import TOO_LONG
from guestdbg.campaign.errors import CampaignError, RunnerNotMade
from guestdbg.campaign.job import DETAIL_MAX, Job, Result, empty

if TYPE_CHECKING:
    from guestdbg.campaign.job import Minimised, Runner
    from guestdbg.tables import Column

__all__ = [
    "ERROR",
    "Examined",
    "Missing",
    "Played",
    "Row",
    "Ticket",
    "brief",
    "brief_evidence",
    "digest_of",
    "examine",
    "file_of",
    "forget",
    "load_job",
    "play",
    "played_case",
]

#: The class of cases whose runner has raised.
ERROR = "error"

#: What a process keeps at most of campaigns that it has worked for.
_KEPT = 2
#: Characters of evidence that are kept.
_EVIDENCE_MAX = 16_384
#: How often a worker looks whether a case takes too long, in seconds.
_LOOK = 0.5
#: How much later it is ended if it does not even come to look.
_LATER = 2.0

#: Case, outcome, whether it is a failure, signature, detail, and the values of the job's columns.
Row = list[Any]
#: By signature: the first of these cases, and its evidence.
Evidence = dict[str, tuple[int, str]]


class Ticket(NamedTuple):
    """What a task says of its campaign: as little as possible.

    Attributes:
        directory: of the campaign; "": workers cannot read it.
        job: digest of the pickled job.
        files: digests of the files that belong to it.
        seed: of the campaign.
        home: the process that runs the campaign: its host and its number.
        seconds: a worker that needs longer for one case ends itself; None: there is no such limit.
    """

    directory: str
    job: str
    files: tuple[str, ...]
    seed: int
    home: tuple[str, int]
    seconds: float | None


class Missing(NamedTuple):
    """The worker has not got what these digests are of. ``worker`` says which one it is."""

    digests: tuple[str, ...]
    worker: str


class Played(NamedTuple):
    """The results of some cases.

    Attributes:
        rows: one for each case, in their order; fewer if the runner of the others cannot be made.
        evidence: of the failures among them.
        seconds: how long they took.
        worker: which process it was.
    """

    rows: list[Row]
    evidence: Evidence
    seconds: float
    worker: str


class Examined(NamedTuple):
    """A failure that was looked at more closely; ``error`` says why it was not."""

    case: int
    minimised: Minimised | None
    error: str = ""


class _Known:
    """A campaign as one process has it: its job, what that has loaded, a runner of each thread."""

    def __init__(self, contents: Mapping[str, bytes], job: str) -> None:
        self.job = load_job(contents[job])
        self.loaded = self.job.load(lambda digest: contents[digest])
        self._runners = threading.local()

    def runner(self) -> Runner:
        """This thread's. Raises RunnerNotMade."""
        runner: Runner | None = getattr(self._runners, "runner", None)
        if runner is None:
            try:
                runner = self._runners.runner = self.job.runner(self.loaded)
            except Exception as error:
                raise RunnerNotMade(f"{type(error).__name__}: {error}") from error
        return runner

    def end_runner(self) -> None:
        """The next case of this thread gets a new one."""
        runner: Runner | None = self._runners.__dict__.pop("runner", None)
        if runner is not None:
            with contextlib.suppress(Exception):  # it is broken, which is why it is ended
                runner.close()


_known: OrderedDict[str, _Known] = OrderedDict()
_lock = threading.Lock()


def digest_of(contents: bytes) -> str:
    """The digest by which a worker knows something: SHA-256, in hexadecimal digits."""
    return hashlib.sha256(contents).hexdigest()


def file_of(directory: str | os.PathLike[str], digest: str) -> Path:
    """Where a campaign has the file with this digest."""
    return Path(directory) / "files" / digest


def identity() -> str:
    """This process, as no other is called."""
    return f"{socket.gethostname()}:{os.getpid()}"


def load_job(pickled: bytes) -> Job:
    """The job again.

    Raises:
        CampaignError: it cannot be made here: a module is missing, or Python is another version.
    """
    try:
        job = pickle.loads(pickled)
    except Exception as error:
        raise CampaignError(
            f"the job of the campaign cannot be loaded here: {type(error).__name__}: {error}. It "
            "needs the same modules, and the same version of Python, as where it was made"
        ) from error
    if not isinstance(job, Job):
        raise CampaignError(f"the job of the campaign is a {type(job).__name__}, and no Job")
    return job


def forget(job: str) -> None:
    """Do without what is known of a campaign; this thread's runner is closed."""
    with _lock:
        known = _known.pop(job, None)
    if known is not None:
        known.end_runner()
        if hasattr(known.loaded, "close"):
            known.loaded.close()


def _campaign(ticket: Ticket, sent: Mapping[str, bytes]) -> _Known | Missing:
    with _lock:
        known = _known.get(ticket.job)
        if known is not None:
            _known.move_to_end(ticket.job)
            return known
        contents: dict[str, bytes] = {}
        for digest in (ticket.job, *ticket.files):
            found = sent.get(digest) or _read(ticket.directory, digest)
            if found is not None:
                contents[digest] = found
        missing = [d for d in (ticket.job, *ticket.files) if d not in contents]
        if missing:
            return Missing(tuple(missing), identity())
        known = _known[ticket.job] = _Known(contents, ticket.job)
        while len(_known) > _KEPT:
            # Another thread may be using it: its runners go when nobody does.
            _known.popitem(last=False)
        return known


def _read(directory: str, digest: str) -> bytes | None:
    """The contents of a file of the campaign, if it can be read here and is the right one."""
    if not directory:
        return None
    try:
        contents = file_of(directory, digest).read_bytes()
    except OSError:
        return None
    return contents if digest_of(contents) == digest else None


# ---- one case --------------------------------------------------------------------------------


def brief(text: str, most: int = DETAIL_MAX) -> str:
    """The beginning of a text, in characters that tables and JSON take."""
    text = text if len(text) <= most else text[: most - 1] + "…"
    return text.encode("utf-8", "backslashreplace").decode()


def _row(job: Job, case: Case, result: Result) -> Row:
    if len(result.values) != len(job.columns):
        raise CampaignError(
            f"case {case.number} has {len(result.values)} values, and its job {len(job.columns)} "
            "columns"
        )
    for column, value in zip(job.columns, result.values, strict=True):
        _check(column, value)
    signature = brief(" ".join((result.signature or result.outcome).split()))
    detail = brief(" ".join(result.detail.split()))
    return [
        case.number,
        brief(result.outcome),
        bool(result.failure),
        signature if result.failure else "",
        detail,
        *map(_plain, result.values),
    ]


def _plain(value: object) -> object:
    if isinstance(value, str):
        return brief(value, _EVIDENCE_MAX)
    return int(value) if isinstance(value, bool) else value


def _check(column: Column, value: object) -> None:
    """Raise CampaignError for a value that the column cannot have."""
    if value is None and column.optional:
        return
    if column.kind == "text":
        fits = isinstance(value, str)
    elif column.kind == "f64":
        fits = isinstance(value, float | int)
    else:
        least, most = _RANGES[column.kind]
        fits = isinstance(value, int) and least <= value <= most
    if not fits:
        raise CampaignError(
            f"column {column.name} ({column.kind}) cannot have the value {value!r:.80}"
        )


_RANGES = {
    "u64": (0, (1 << 64) - 1),
    "i64": (-(1 << 63), (1 << 63) - 1),
    "u32": (0, (1 << 32) - 1),
    "u8": (0, 255),
}


def _failed(job: Job, error: BaseException) -> Result:
    """What became of a case whose runner has raised."""
    kind = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    values = tuple(map(empty, job.columns))
    return Result(
        ERROR,
        True,
        f"{ERROR}: {kind}{where}",
        f"{kind}: {error}",
        values,
        lambda: "".join(traceback.format_exception(error)),
    )


def brief_evidence(text: str) -> str:
    """The end of a long text, where the cause is."""
    return brief(text[-_EVIDENCE_MAX:], _EVIDENCE_MAX)


def prepare_cases(known: _Known, cases: Sequence[Case]) -> None:
    """Tell the runner which cases come; if it raises, they say why.

    Raises:
        RunnerNotMade: there is no runner.
    """
    runner = known.runner()
    try:
        runner.prepare(cases)
    except Exception:
        known.end_runner()


def played_case(known: _Known, case: Case) -> tuple[Row, Result]:
    """Run one case; whatever its runner raises is its result.

    Raises:
        RunnerNotMade: there is no runner.
    """
    runner = known.runner()
    try:
        result = runner.run(case)
        return _row(known.job, case, result), result
    except Exception as error:
        known.end_runner()
        result = _failed(known.job, error)
        return _row(known.job, case, result), result


# ---- tasks -----------------------------------------------------------------------------------


def play(
    ticket: Ticket, numbers: Sequence[int], sent: Mapping[str, bytes] | None = None
) -> Played | Missing:
    """Run the cases with these numbers. ``sent`` are files that this worker has missed.

    Raises:
        RunnerNotMade: there is no runner; if there was one for some cases, they are the result.
    """
    known = _campaign(ticket, sent or {})
    if isinstance(known, Missing):
        return known
    rows: list[Row] = []
    evidence: Evidence = {}
    started = time.perf_counter()
    cases = [Case.of(ticket.seed, number) for number in numbers]
    with _Watchdog(ticket) as watchdog:
        if len(cases) > 1:
            prepare_cases(known, cases)
        for case in cases:
            watchdog.begin()
            try:
                row, result = played_case(known, case)
            except RunnerNotMade:
                if not rows:
                    raise
                break
            rows.append(row)
            if result.failure and row[3] not in evidence:
                evidence[row[3]] = (case.number, brief(result.text, _EVIDENCE_MAX))
    return Played(rows, evidence, time.perf_counter() - started, identity())


def examine(
    ticket: Ticket, number: int, sent: Mapping[str, bytes] | None = None
) -> Examined | Missing:
    """Minimise the failure of a case."""
    known = _campaign(ticket, sent or {})
    if isinstance(known, Missing):
        return known
    case = Case.of(ticket.seed, number)
    try:
        _, result = played_case(known, case)
        if result.outcome == ERROR:  # the runner has raised, and cannot say what else would
            return Examined(number, None)
        return Examined(number, known.runner().minimise(case, result))
    except Exception as error:
        known.end_runner()
        return Examined(number, None, brief(f"{type(error).__name__}: {error}"))


class _Watchdog:
    """Ends a worker in which one case takes too long, so that others can go on.

    Only a process of its own is ended: not one in which the campaign itself runs. A library that
    hangs and never lets another thread of Python run is ended, too: by a thread of faulthandler,
    which needs nothing of Python, unless it is put off in time.
    """

    def __init__(self, ticket: Ticket) -> None:
        own = (socket.gethostname(), os.getpid()) != ticket.home
        self._seconds = ticket.seconds if own else None
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._lock = threading.Lock()

    def begin(self) -> None:
        """The next case begins."""
        self._begun = time.monotonic()

    def _watch(self) -> None:
        assert self._seconds is not None
        while self._put_off() and not self._over.wait(_LOOK):
            if time.monotonic() - self._begun > self._seconds:
                # It may be in the middle of anything, so nothing of Python's own files is used.
                os.write(2, f"{TOO_LONG} {self._seconds:g} s\n".encode())
                faulthandler.dump_traceback(2)
                os.kill(os.getpid(), signal.SIGKILL)

    def _put_off(self) -> bool:
        """Python still runs. Returns whether the task does."""
        assert self._seconds is not None
        with self._lock:
            if not self._over.is_set():
                faulthandler.dump_traceback_later(self._seconds + _LATER, exit=True)
            return not self._over.is_set()

    def __enter__(self) -> _Watchdog:
        if self._seconds is not None:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over.set()
            if self._seconds is not None:
                faulthandler.cancel_dump_traceback_later()
