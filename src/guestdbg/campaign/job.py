"""What a campaign runs: a job, which is sent to every worker, and what comes of its cases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.campaign.case import Case
    from guestdbg.tables import Column

__all__ = ["DETAIL_MAX", "Contents", "Job", "Minimised", "Result", "Runner", "empty"]

#: Characters that ``Result.signature`` and ``Result.detail`` keep.
DETAIL_MAX = 240

#: Gives the contents of a file of the campaign, by its digest.
Contents = Callable[[str], bytes]


class Result(NamedTuple):
    """What came of one case. It must follow from the case alone: no wall time, no process ID.

    Attributes:
        outcome: the class that it belongs to, in a few words: ``"ok"``, ``"crash"``.
        failure: whether that is a failure.
        signature: what is the same for the same failure, such as where it happened. Failures with
            one signature are reported once and counted. "": the outcome alone.
        detail: more, in one line.
        values: of the job's columns.
        evidence: of a failure, more text (a traceback, the end of a console), or a function that
            gives it, which is called before the next case. It is kept for the first case with this
            signature.
    """

    outcome: str
    failure: bool = False
    signature: str = ""
    detail: str = ""
    values: tuple[Any, ...] = ()
    evidence: str | Callable[[], str] = ""

    @property
    def text(self) -> str:
        """The evidence."""
        return self.evidence if isinstance(self.evidence, str) else self.evidence()


class Minimised(NamedTuple):
    """A failure with everything left out that is not needed for it.

    Attributes:
        text: what remains, for people.
        data: what remains, to be used again; None: there is none.
        tries: how many runs that took.
    """

    text: str
    data: bytes | None = None
    tries: int = 0


class Runner(Closing):
    """Runs cases, one after the other, in one thread of a worker."""

    def prepare(self, cases: Sequence[Case]) -> None:
        """Called before several cases are run, one after the other: for what is cheaper for all of
        them at once. What it raises is ignored: ``run`` is called for each of them in any case.
        """

    @abstractmethod
    def run(self, case: Case) -> Result:
        """Run a case. What it has changed must not change the next one.

        What it raises makes the case a failure of the class "error"; the next case gets a new
        runner.
        """

    def minimise(self, case: Case, result: Result) -> Minimised | None:
        """A smaller cause of the same failure. Always the same; None: there is no such thing."""
        return None


class Job(ABC):
    """What is run in the workers. It is sent to each of them once, pickled (by cloudpickle).

    Attributes:
        columns: of the results, beside those that all campaigns have.
    """

    columns: ClassVar[Sequence[Column]] = ()

    def load(self, contents: Contents) -> Any:
        """Called once in each process: what its runners share, of files of the campaign.

        What it raises ends the campaign.
        """
        return None

    @abstractmethod
    def runner(self, loaded: Any) -> Runner:
        """Called once in each thread. ``loaded`` is what ``load`` has returned.

        What it raises ends the campaign. It is called again after a case whose runner has raised.
        """


def empty(column: Column) -> int | float | str | None:
    """The value of a column in a result that has none."""
    if column.optional:
        return None
    return "" if column.kind == "text" else 0.0 if column.kind == "f64" else 0
