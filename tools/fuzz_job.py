"""The cases of tools/fuzz.py as the job of a campaign, and single ones again in a worker."""

from __future__ import annotations

import json
import traceback
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from guestdbg.campaign import Case, Job, Result, Runner
from guestdbg.tables import Column

__all__ = ["ACTIONS", "FuzzJob", "Played", "Seed", "again", "spans"]

ACTIONS = 24
#: Of so many cases that ran before in the same process a failure says which.
_BEFORE = 2000


class Seed(NamedTuple):
    """A case of a kind."""

    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}"


class FuzzJob(Job):
    """Cases of some kinds in turn, so many of each at a time.

    Args:
        batches: how many cases of each kind come before those of the next one.
        first: the seed of the first case of each kind.
    """

    columns = (
        Column("kind", "text", "kind of the case"),
        Column("fuzz_seed", "i64", "its seed, for tools/fuzz.py --replay"),
        Column("instructions", "u64", "that it executed; of some kinds packets, changes, accesses"),
        Column("did", "text", "how often it did what, as JSON"),
    )

    def __init__(self, batches: Mapping[str, int], first: int) -> None:
        self.batches = dict(batches)
        self.first = first

    def seed(self, number: int) -> Seed:
        """The case with this number."""
        turn, place = divmod(number, sum(self.batches.values()))
        for kind, size in self.batches.items():
            if place < size:
                return Seed(kind, self.first + turn * size + place)
            place -= size
        raise AssertionError(number)

    def runner(self, loaded: Any) -> Runner:
        return FuzzRunner(self)


class FuzzRunner(Runner):
    """Runs them."""

    def __init__(self, job: FuzzJob) -> None:
        import fuzz_kinds  # in the workers only: it needs what all kinds need

        self._kinds = fuzz_kinds
        self._job = job

    def run(self, case: Case) -> Result:
        what = self._job.seed(case.number)
        before = spans(_before)
        _before.append(what)
        try:
            done = self._kinds.run(*what, ACTIONS, (), _say_nothing)
        except Exception as error:
            frame = traceback.extract_tb(error.__traceback__)[-1]
            kind = type(error).__name__
            return Result(
                "failed",
                True,
                f"{what.kind}: {kind} in {frame.name}:{frame.lineno}",
                f"{what}: {error}",
                (*what, 0, ""),
                f"{traceback.format_exc()}\n{BEFORE} {before}\n",
            )
        return Result("ok", values=(*what, done.instructions, json.dumps(done.did)))

    def close(self) -> None:
        """Nothing."""


#: Begins the line of a failure's evidence that says which cases ran before it.
BEFORE = "before it, in the same process:"
_before: deque[Seed] = deque(maxlen=_BEFORE)


def _say_nothing(what: str) -> None:
    pass


def spans(cases: Sequence[Seed] | deque[Seed]) -> str:
    """The cases in their order, those that follow each other in short: "cpu:5-9 soft:5"."""
    found: list[tuple[Seed, int]] = []
    for case in cases:
        if found and found[-1][0].kind == case.kind and found[-1][1] + 1 == case.seed:
            found[-1] = found[-1][0], case.seed
        else:
            found.append((case, case.seed))
    return " ".join(f"{case}-{last}" if last != case.seed else str(case) for case, last in found)


# ---- single cases, again ---------------------------------------------------------------------


class Played(NamedTuple):
    """What came of cases that ran again.

    Attributes:
        failure: how the last of them failed; "": none did.
        output: the cases, and what they did.
        instructions: that they executed.
    """

    failure: str
    output: str
    instructions: int


def again(cases: Sequence[Seed], actions: int, leave_out: Sequence[int]) -> Played:
    """In a worker: run cases one after the other until one fails. Prints what they do."""
    import fuzz_kinds

    lines: list[str] = []

    def tell(what: str) -> None:
        lines.append(what)
        print(what, flush=True)  # for the case that ends the process

    instructions, failure = 0, ""
    for case in cases:
        tell(f"case {case}")
        try:
            done = fuzz_kinds.run(*case, actions, leave_out, lambda what: tell(f"  {what}"))
        except Exception:
            failure = f"fail {case}\n{traceback.format_exc()}"
            break
        instructions += done.instructions
    return Played(failure, "\n".join([*lines, failure]), instructions)
