"""The result of a comparison of many programs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.check.differential.findings import find
from guestdbg.check.differential.rules import RULES

if TYPE_CHECKING:
    from guestdbg.check.differential.findings import Finding
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.trace import TraceLine, Where

__all__ = ["Report", "Unexplained"]


class Unexplained(NamedTuple):
    """A difference that no rule explains.

    Attributes:
        name: of the program.
        signature: what differs.
        finding: a program with its traces, often a smaller one; of differences with the same
            signature only the first has it.
    """

    name: str
    signature: str
    finding: Finding | None


@dataclass
class Report:
    """The result of a comparison.

    Attributes:
        compared, exits: the number of programs, and of exits of the first side.
        explained: the number of findings by the name of the rule that explains them.
        unexplained: the differences that no rule explains.
        unsteady: programs whose digests differed, but whose full traces did not.
        kicked: programs that did not stop by themselves.
        sides: what the two sides are: kernel and processor.
    """

    compared: int = 0
    exits: int = 0
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[Unexplained] = field(default_factory=list)
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
            signature = finding.difference.signature
            self.unexplained.append(Unexplained(finding.program.name, signature, finding))

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
        lines += [f"  unexplained: {each.name}: {each.signature}" for each in self.unexplained]
        lines += [f"  unsteady: {name}" for name in self.unsteady]
        return "\n".join(lines)
