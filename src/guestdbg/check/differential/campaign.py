"""Compares many programs on two KVMs: their digests first, full traces where digests differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from guestdbg.check.differential.compare import compare
from guestdbg.check.differential.program import ProgramError
from guestdbg.check.differential.rules import RULES, explain
from guestdbg.check.differential.shrink import Shrinker
from guestdbg.check.differential.trace import TraceLine

if TYPE_CHECKING:
    from guestdbg.check.differential.compare import Difference
    from guestdbg.check.differential.play import Player
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.rules import Rule
    from guestdbg.check.differential.trace import Trace, Where

#: The number of programs that are compared at a time.
BATCH = 500


class Side(Protocol):
    """One of the two KVMs that are compared."""

    def brief(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        """The digests of brief traces, in the order of the programs."""

    def full(self, programs: Sequence[Program]) -> Iterable[TraceLine]:
        """Full traces, in the order of the programs."""


class LocalSide(Side):
    """A KVM in this process."""

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
        rule: the rule that explains it, or None.
    """

    program: Program
    difference: Difference
    a: Trace
    b: Trace
    rule: Rule | None


@dataclass
class Report:
    """The result of a comparison.

    Attributes:
        compared, exits: the number of programs, and of exits of the first side.
        explained: the number of findings by the name of the rule that explains them.
        unexplained: the findings that no rule explains.
        unsteady: programs whose digests differed, but whose full traces did not.
        kicked: programs that did not stop by themselves.
        sides: what the two sides are: kernel and processor.
    """

    compared: int = 0
    exits: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[Finding] = field(default_factory=list)
    unsteady: list[str] = field(default_factory=list)
    kicked: list[str] = field(default_factory=list)
    sides: tuple[Where, Where] | None = None

    @property
    def unused(self) -> list[str]:
        """Rules for this kernel that explained nothing: they are out of date, or there were too few
        programs."""
        release = self.sides[1].linux if self.sides else ""
        return [r.name for r in RULES if r.applies_to(release) and not self.explained[r.name]]

    def add(self, program: Program, a: TraceLine, b: TraceLine) -> None:
        """Add a program with full traces."""
        self.count(program, a, b)
        if a.digest != b.digest:
            self.add_finding(find(program, a, b) or program.name)

    def count(self, program: Program, a: TraceLine, b: TraceLine) -> None:
        """Count a program."""
        self.sides = (a.where, b.where)
        self.compared += 1
        self.exits += a.exits
        if a.kicked or b.kicked:
            self.kicked.append(program.name)

    def add_finding(self, finding: Finding | str) -> None:
        """Add a finding, or the name of a program whose digests differ but not its traces."""
        if isinstance(finding, str):
            self.unsteady.append(finding)
        elif finding.rule is not None:
            self.explained[finding.rule.name] += 1
        else:
            self.unexplained.append(finding)

    @property
    def counts(self) -> str:
        """The counts in one line."""
        same = self.compared - self.explained.total() - len(self.unexplained) - len(self.unsteady)
        return (
            f"{self.compared} programs, {self.exits} exits: {same} the same, "
            f"{self.explained.total()} explained, {len(self.unexplained)} unexplained, "
            f"{len(self.unsteady)} unsteady, {len(self.kicked)} stopped from outside"
        )

    def __str__(self) -> str:
        lines = [f"{self.sides[0]}, and {self.sides[1]}"] if self.sides else []
        lines.append(self.counts)
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
    """Compare programs. Yields the report after every batch, always the same object."""
    report = report or Report()
    for batch in _batches(programs):
        briefs = list(zip(batch, a.brief(batch), b.brief(batch), strict=True))
        for program, x, y in briefs:
            report.count(program, x, y)
        differ = [program for program, x, y in briefs if x.digest != y.digest]
        for finding in judge(differ, a, b):
            report.add_finding(finding)
        yield report


def judge(programs: Sequence[Program], a: Side, b: Side) -> Iterator[Finding | str]:
    """The findings of programs played in full; the name of a program without a difference."""
    for program, x, y in zip(programs, a.full(programs), b.full(programs), strict=True):
        yield find(program, x, y) or program.name


def find(program: Program, a: TraceLine, b: TraceLine) -> Finding | None:
    """The difference of two full traces of a program with the rule that explains it, or None.

    Raises:
        ProgramError: one of them is only a digest.
    """
    if a.trace is None or b.trace is None:
        raise ProgramError(f"program {program.name}: its trace is only a digest")
    difference = compare(a.trace, b.trace)
    if difference is None:
        return None
    rule = explain(program, difference, a.trace, b.trace)
    return Finding(program, difference, a.trace, b.trace, rule)


def shrink(finding: Finding, a: Side, b: Side) -> Finding:
    """The same unexplained difference, in the smallest program found that shows it."""

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
