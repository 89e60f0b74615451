"""The two KVMs that are compared, and what is found: digests, then traces where they differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from guestdbg.check.differential.compare import compare
from guestdbg.check.differential.program import ProgramError, dumps, loads
from guestdbg.check.differential.rules import explain
from guestdbg.check.differential.shrink import Shrinker
from guestdbg.check.differential.trace import TraceLine, from_json, to_json

if TYPE_CHECKING:
    from guestdbg.check.differential.compare import Difference
    from guestdbg.check.differential.play import Player
    from guestdbg.check.differential.program import Program
    from guestdbg.check.differential.rules import Rule
    from guestdbg.check.differential.trace import Trace

__all__ = ["Finding", "LocalSide", "Side", "find", "judge", "shrink"]


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

    def dumps(self) -> bytes:
        """It in JSON."""
        return json.dumps([dumps(self.program), to_json(self.a), to_json(self.b)]).encode()

    @staticmethod
    def loads(data: bytes) -> Finding | None:
        """It again. None: there is no difference."""
        program, a, b = json.loads(data)
        return find(loads(program), from_json(a), from_json(b))


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
