"""Makes a program that differs as small as possible, while it still differs in the same way.

Instructions are replaced by NOPs, so that addresses stay the same; actions of the host are left
out; registers become zero. Many candidates are judged at a time, because a round trip to the lab
costs more than playing a program.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from guestdbg.check.assembler import NOP
from guestdbg.check.differential.compare import Difference
from guestdbg.check.differential.program import Debug, Program

if TYPE_CHECKING:
    from guestdbg.check.differential.program import Action

#: Judges programs: the difference of each, or None.
Judge = Callable[[Sequence[Program]], Sequence[Difference | None]]

Reduction = Callable[[Program], Program]

_CHUNKS = (32, 16, 8, 4, 2, 1)


class Shrinker:
    """Shrinks programs with one judge."""

    def __init__(self, judge: Judge, *, rounds: int = 3) -> None:
        self._judge = judge
        self._rounds = rounds
        self._made = 0
        #: The number of programs that have been judged.
        self.judged = 0

    def shrink(self, program: Program, difference: Difference) -> Program:
        """The smallest program found. ``difference``: that of ``program``."""
        signature = difference.signature
        program = self._named(replace(program, exits=difference.moment + 1))
        if not self._same([program], signature):
            program = self._named(replace(program, exits=40))
        for _ in range(self._rounds):
            before = program
            for size in _CHUNKS:
                program = self._reduce(program, signature, _nops(program, size))
            for reductions in (_fewer_actions, _fewer_registers, _zeroed):
                program = self._reduce(program, signature, reductions(program))
            if replace(before, variant="") == replace(program, variant=""):
                break
        return program

    def _reduce(self, program: Program, signature: str, some: Iterable[Reduction]) -> Program:
        """Apply as many reductions as possible that keep the difference.

        Of the reductions that keep it alone, try all together, then the first half, the first
        quarter, and so on.
        """
        reductions = list(some)
        verdicts = self._same([r(program) for r in reductions], signature)
        good = [r for r, same in zip(reductions, verdicts, strict=True) if same]
        made = [_all(program, good[: len(good) >> n]) for n in range(len(good).bit_length())]
        verdicts = self._same(made, signature)
        return next((p for p, same in zip(made, verdicts, strict=True) if same), program)

    def _same(self, programs: Sequence[Program], signature: str) -> list[bool]:
        if not programs:
            return []
        named = [self._named(p) for p in programs]
        self.judged += len(named)
        return [d is not None and d.signature == signature for d in self._judge(named)]

    def _named(self, program: Program) -> Program:
        self._made += 1
        return replace(program, variant=f"shrunk{self._made}")


def _all(program: Program, reductions: Sequence[Reduction]) -> Program:
    for reduction in reductions:
        program = reduction(program)
    return program


def _nops(program: Program, size: int) -> Iterator[Reduction]:
    end = len(program.code) - 4  # the ending stays
    for start in range(0, end, size):
        stop = min(start + size, end)
        if any(word != NOP for word in program.code[start:stop]):

            def reduction(p: Program, start: int = start, stop: int = stop) -> Program:
                return replace(p, code=(*p.code[:start], *[NOP] * (stop - start), *p.code[stop:]))

            yield reduction


def _without(program: Program, removed: Action) -> Program:
    script = [(at, tuple(a for a in actions if a is not removed)) for at, actions in program.script]
    return replace(program, script=tuple((at, actions) for at, actions in script if actions))


def _fewer_actions(program: Program) -> Iterator[Reduction]:
    for action in program.all_actions():
        yield functools.partial(_without, removed=action)


def _exchange(program: Program, old: Action, new: Action) -> Program:
    return replace(
        program,
        script=tuple(
            (at, tuple(new if a is old else a for a in actions)) for at, actions in program.script
        ),
    )


def _fewer_registers(program: Program) -> Iterator[Reduction]:
    """Remove single registers of Debug actions. Each looks its action up, so that they compose."""
    for action in program.all_actions():
        if not isinstance(action, Debug):
            continue
        for kind in ("breakpoints", "watchpoints"):
            for pair in getattr(action, kind):

                def reduction(
                    p: Program, kind: str = kind, pair: tuple[int, int, int] = pair
                ) -> Program:
                    for old in p.all_actions():
                        if isinstance(old, Debug) and pair in getattr(old, kind):
                            kept = tuple(x for x in getattr(old, kind) if x != pair)
                            return _exchange(
                                p,
                                old,
                                replace(old, breakpoints=kept)
                                if kind == "breakpoints"
                                else replace(old, watchpoints=kept),
                            )
                    return p

                yield reduction


def _zero(program: Program, n: int) -> Program:
    return replace(program, x=(*program.x[:n], 0, *program.x[n + 1 :]))


def _zeroed(program: Program) -> Iterator[Reduction]:
    for n, value in enumerate(program.x):
        if value and n not in (25, 26):
            yield functools.partial(_zero, n=n)
    if program.sysregs:
        yield lambda p: replace(p, sysregs=())
