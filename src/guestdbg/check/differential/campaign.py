"""Many programs on two KVMs: by digest first, in full where digests differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from guestdbg.check.differential.compare import Difference, compare
from guestdbg.check.differential.play import Player
from guestdbg.check.differential.program import Program, ProgramError
from guestdbg.check.differential.rules import RULES, Rule, explain
from guestdbg.check.differential.shrink import Shrinker
from guestdbg.check.differential.trace import Trace, TraceLine

#: Programs compared at a time.
BATCH = 500


class Side(Protocol):
    """One of the two KVMs that are compared."""

    def brief(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        """Digests of brief traces, in order."""

    def full(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        """Full traces, in order."""


class LocalSide(Side):
    """A KVM of this process."""

    def __init__(self, brief: Player, full: Player) -> None:
        self._brief = brief
        self._full = full

    def brief(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        return map(TraceLine.of, self._brief.play_all(programs))

    def full(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        return map(TraceLine.of, self._full.play_all(programs))


@dataclass(frozen=True, slots=True)
class Finding:
    """A program that two KVMs played differently.

    Attributes:
        rule: what explains it; None where nothing does.
    """

    program: Program
    difference: Difference
    a: Trace
    b: Trace
    rule: Rule | None


@dataclass
class Report:
    """What came of it.

    Attributes:
        compared, exits: programs, and the exits of the first side.
        explained: findings by the name of the rule that explains them.
        unexplained: the others.
        unsteady: programs whose digests differed and whose full traces did not.
        kicked: programs that somebody had to stop.
    """

    compared: int = 0
    exits: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[Finding] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    kicked: list[str] = field(default_factory=list)

    @property
    def unused(self) -> list[str]:
        """Rules that explained nothing: out of date, or not enough programs."""
        return [rule.name for rule in RULES if not self.explained[rule.name]]

    def add(self, program: Program, a: TraceLine, b: TraceLine) -> None:
        """One program more, of which there are full traces."""
        self.count(program, a, b)
        if a.digest != b.digest:
            self.judged(find(program, a, b) or program.name)

    def count(self, program: Program, a: TraceLine, b: TraceLine) -> None:
        """One program more."""
        self.compared += 1
        self.exits += a.exits
        if a.kicked or b.kicked:
            self.kicked.append(program.name)

    def judged(self, finding: Finding | str) -> None:
        """What became of a program whose digests differ."""
        if isinstance(finding, str):
            self.unsteady.append(finding)
        elif finding.rule is not None:
            self.explained[finding.rule.name] += 1
        else:
            self.unexplained.append(finding)

    @property
    def counts(self) -> str:
        """In one line."""
        same = self.compared - self.explained.total() - len(self.unexplained) - len(self.unsteady)
        return (
            f"{self.compared} programs, {self.exits} exits: {same} the same, "
            f"{self.explained.total()} explained, {len(self.unexplained)} unexplained, "
            f"{len(self.unsteady)} unsteady, {len(self.kicked)} stopped from outside"
        )

    def __str__(self) -> str:
        lines = [self.counts]
        lines += [f"  {count:6} {name}" for name, count in self.explained.most_common()]
        if self.unused:
            lines.append(f"  rules that explained nothing: {', '.join(self.unused)}")
        for finding in self.unexplained:
            lines.append(f"  unexplained: {finding.program.name}: {finding.difference.signature}")
        lines += [f"  unsteady: {name}" for name in self.unsteady]
        return "\n".join(lines)


def run(
    programs: Iterable[Program], a: Side, b: Side, report: Report | None = None
) -> Iterator[Report]:
    """Compare, and hand back the report after every batch; it is the same object each time."""
    report = report or Report()
    for batch in _batches(programs):
        briefs = list(zip(batch, a.brief(batch), b.brief(batch), strict=True))
        for program, x, y in briefs:
            report.count(program, x, y)
        differ = [program for program, x, y in briefs if x.digest != y.digest]
        for finding in judge(differ, a, b):
            report.judged(finding)
        yield report


def judge(programs: Sequence[Program], a: Side, b: Side) -> Iterator[Finding | str]:
    """The findings of programs, played in full; the name of one where there is no difference."""
    for program, x, y in zip(programs, a.full(programs), b.full(programs), strict=True):
        yield find(program, x, y) or program.name


def find(program: Program, a: TraceLine, b: TraceLine) -> Finding | None:
    """The difference of two full traces of a program, with what explains it.

    Raises:
        ProgramError: one of them is only a digest.
    """
    if a.trace is None or b.trace is None:
        raise ProgramError(f"program {program.name}: only the digest of its trace is there")
    difference = compare(a.trace, b.trace)
    if difference is None:
        return None
    rule = explain(program, difference, a.trace, b.trace)
    return Finding(program, difference, a.trace, b.trace, rule)


def shrink(finding: Finding, a: Side, b: Side) -> Finding:
    """The same difference, unexplained as it is, in the smallest program that shows it."""

    def difference(programs: Sequence[Program]) -> list[Difference | None]:
        findings = judge(programs, a, b)
        return [
            None if isinstance(f, str) or f.rule is not None else f.difference for f in findings
        ]

    program = Shrinker(difference).shrink(finding.program, finding.difference)
    (found,) = judge([program], a, b)
    return finding if isinstance(found, str) else found


def _batches(programs: Iterable[Program]) -> Iterator[list[Program]]:
    batch: list[Program] = []
    for program in programs:
        batch.append(program)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
