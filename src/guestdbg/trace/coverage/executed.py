"""Instructions that were executed, and how often: runs of addresses with the same count."""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from guestdbg.hexadecimal_repr import hexadecimal

__all__ = ["Block", "Executed", "Run", "blocks_of", "edges_of"]

_INSTRUCTION = 4
_WORDS = struct.Struct("=3Q")
_EL, _BRANCH = 1, 2


class Block(NamedTuple):
    """Instructions that were executed one after the other; ``branch``: the last one branches."""

    address: int
    instructions: int
    branch: bool


@hexadecimal("start", "end")
@dataclass(frozen=True, slots=True)
class Run:
    """The instructions from ``start`` up to ``end`` (exclusive) were executed ``count`` times."""

    start: int
    end: int
    count: int


class Executed:
    """Which instructions were executed, and how often.

    It is iterated over as ``Run``s, in the order of their addresses. ``address in executed`` says
    whether an instruction was executed, ``executed[address]`` how often (0: it was not), and
    ``len(executed)`` how many different ones were. Without counts an executed instruction has 1.
    """

    def __init__(self, runs: Iterable[Run] = ()) -> None:
        self._runs = tuple(runs)
        self._starts = [run.start for run in self._runs]
        self._instructions = sum(run.end - run.start for run in self._runs) // _INSTRUCTION

    @classmethod
    def of_blocks(cls, blocks: Iterable[tuple[Block, int]], *, counted: bool) -> Executed:
        """What was executed, if these blocks were, so many times each."""
        changes: Counter[int] = Counter()
        for block, count in blocks:
            changes[block.address] += count
            changes[block.address + _INSTRUCTION * block.instructions] -= count
        return cls(_runs(changes, counted=counted))

    def __len__(self) -> int:
        return self._instructions

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __contains__(self, address: int) -> bool:
        return self[address] > 0

    def __getitem__(self, address: int) -> int:
        place = bisect_right(self._starts, address) - 1
        if place < 0 or address >= self._runs[place].end or address % _INSTRUCTION:
            return 0
        return self._runs[place].count

    def between(self, start: int, end: int) -> Iterator[Run]:
        """What was executed from ``start`` up to ``end`` (exclusive)."""
        first = max(0, bisect_right(self._starts, start) - 1)
        for place in range(first, len(self._runs)):
            run = self._runs[place]
            if run.start >= end:
                break
            if run.end > start:
                yield Run(max(run.start, start), min(run.end, end), run.count)

    def counts(self) -> dict[int, int]:
        """The count of each executed instruction by its address."""
        return {
            address: run.count
            for run in self._runs
            for address in range(run.start, run.end, _INSTRUCTION)
        }

    @property
    def total(self) -> int:
        """The sum of all counts: instructions retired, where they were counted."""
        return sum((run.end - run.start) // _INSTRUCTION * run.count for run in self._runs)

    def __repr__(self) -> str:
        return f"<Executed: {len(self)} instructions>"


def _runs(changes: Counter[int], *, counted: bool) -> Iterator[Run]:
    """Adjacent instructions with the same count are one run."""
    start = count = 0
    for address in sorted(changes):
        after = count + changes[address]
        if (after if counted else after > 0) == (count if counted else count > 0):
            count = after
            continue
        if count:
            yield Run(start, address, count if counted else 1)
        start, count = address, after


def blocks_of(data: bytes) -> Iterator[tuple[int, Block, int]]:
    """(EL, block, count) of ``CoverageData.blocks``."""
    for word, instructions, count in _WORDS.iter_unpack(data):
        address = word & ~(_EL | _BRANCH)
        yield word & _EL, Block(address, instructions, bool(word & _BRANCH)), count


def edges_of(data: bytes) -> Iterator[tuple[int, tuple[int, int], int]]:
    """(EL, (address of the branch, its target), count) of ``CoverageData.edges``."""
    for word, target, count in _WORDS.iter_unpack(data):
        yield word & _EL, (word & ~_EL, target), count
