"""Failures of tools/fuzz.py: made small, each try in a process of its own, and saved."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fuzz_job import ACTIONS, Played, Seed, again, spans

from guestdbg.campaign import Budget, smallest
from guestdbg.workers import WorkerDied, WorkerPool

__all__ = ["SECONDS", "Replay", "play", "save", "shrink"]

#: Kinds whose cases consist of actions that can be left out.
_WITH_ACTIONS = ("cpu", "soft", "tiers")
#: Seconds for one case: hundreds of times what it takes.
SECONDS = 60.0
#: Cases that run in one process: so many times the seconds of one are enough.
_SLOW = 10
#: How often cases that fail only one after the other are tried with fewer of them.
_TRIES = 60

Environment = Mapping[str, str]


class Replay(NamedTuple):
    """Cases to run one after the other: "cpu:5", "cpu:5-9 soft:5", "cpu:5:13:0,2".

    The last form, of one case, has the number of its actions, and those that are left out.
    """

    cases: Sequence[Seed]
    actions: int = ACTIONS
    leave_out: Sequence[int] = ()

    @classmethod
    def of(cls, words: Sequence[str]) -> Replay:
        """Of the words of a command. Raises ValueError."""
        if len(words) == 1 and (one := re.fullmatch(r"(\w+):(\d+):(\d+)(?::([\d,]+))?", words[0])):
            leave_out = [int(number) for number in (one[4] or "").split(",") if number]
            return cls([Seed(one[1], int(one[2]))], int(one[3]), leave_out)
        cases: list[Seed] = []
        for word in words:
            match = re.fullmatch(r"(\w+):(\d+)(?:-(\d+))?", word)
            if match is None:
                raise ValueError(f"{word}: must be KIND:SEED[:ACTIONS[:LEFT-OUT,...]] or KIND:A-B")
            seeds = range(int(match[2]), int(match[3] or match[2]) + 1)
            cases += [Seed(match[1], seed) for seed in seeds]
        return cls(cases)

    def __str__(self) -> str:
        if len(self.cases) > 1 or (self.actions == ACTIONS and not self.leave_out):
            return spans(self.cases)
        leave_out = "".join([":", ",".join(map(str, self.leave_out))] * bool(self.leave_out))
        return f"{self.cases[0]}:{self.actions}{leave_out}"


def play(environment: Environment, replay: Replay) -> Played:
    """Run cases in a new process, until one fails."""
    with (
        # Temporary files of a process that is killed are removed, too.
        tempfile.TemporaryDirectory(prefix="guestdbg-fuzz-") as temporary,
        WorkerPool(1, environment={**environment, "TMPDIR": temporary}, output="keep") as pool,
    ):
        name = f"{again.__module__}:{again.__name__}"
        seconds = SECONDS * min(len(replay.cases), _SLOW)
        try:
            played: Played = pool.call(name, *replay, timeout=seconds).result()
        except WorkerDied as error:
            return Played(str(error), f"{error.output}\n{error}", 0)
        return played


def shrink(environment: Environment, case: Seed) -> Replay | None:
    """The case with fewer actions that still fails; None: it does not fail alone."""

    def fails(actions: int, leave_out: Sequence[int] = ()) -> bool:
        return bool(play(environment, Replay([case], actions, leave_out)).failure)

    if not fails(ACTIONS):
        return None
    if case.kind not in _WITH_ACTIONS:
        return Replay([case])
    low, high = 0, ACTIONS
    while high - low > 1:
        middle = (low + high) // 2
        if fails(middle):
            high = middle
        else:
            low = middle
    leave_out: list[int] = []
    for number in range(high - 1):
        if fails(high, [*leave_out, number]):
            leave_out.append(number)
    return Replay([case], high, leave_out)


def _only_after_others(environment: Environment, cases: Sequence[Seed]) -> Replay | None:
    """As few of the cases as it takes for one of them to fail; None: none does."""

    def fails(some: tuple[Seed, ...]) -> bool:
        return bool(some) and bool(play(environment, Replay(some)).failure)

    if not fails(tuple(cases)):
        return None
    return Replay(smallest(tuple(cases), Budget(_TRIES).test(fails)))


def save(
    environment: Environment,
    case: Seed,
    before: Sequence[Seed],
    output: str,
    directory: Path,
    *,
    plain: bool,
) -> Path:
    """Make a failure small, and save it with the command that repeats it.

    ``before``: the cases that ran before it in its process; ``output``: what it gave there.
    """
    small = shrink(environment, case) or _only_after_others(environment, [*before, case])
    if small is None:
        command = "It does not fail again: not alone, and not after those that ran before it."
    else:
        option = " --plain" if plain else ""
        command = f"To run it again: python tools/fuzz.py{option} --replay {small}"
        output = play(environment, small).output
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{case.kind}-{case.seed}.txt"
    path.write_text(f"{case.kind} {case.seed}\n{command}\n\n{output}\n")
    print(f"\n{case.kind} {case.seed} FAILS; {path}\n{command}\n{output[-2500:]}", flush=True)
    return path
