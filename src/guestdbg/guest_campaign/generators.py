"""Variations that need no program: random bytes, and mutations of samples."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.guest_campaign.changes import At, ConsoleInput, DiskData, Memory, Registers

if TYPE_CHECKING:
    from guestdbg.campaign import Case
    from guestdbg.guest_campaign.changes import Change

__all__ = ["Bytes", "Generated", "Part", "mutated"]

_INTERESTING = (0, 1, 0x7F, 0x80, 0xFF)


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes for a case.

    Attributes:
        least, most: how many random ones, where there are no samples.
        samples: contents that are mutated.
        mutations: how many times at most.
    """

    least: int = 1
    most: int = 64
    samples: tuple[bytes, ...] = ()
    mutations: int = 8

    def of(self, chance: random.Random) -> bytes:
        """The bytes that these random numbers give."""
        if not self.samples:
            return chance.randbytes(chance.randint(self.least, self.most))
        data = bytearray(chance.choice(self.samples))
        for _ in range(chance.randint(1, self.mutations)):
            mutated(data, chance)
        return bytes(data[: self.most])


def mutated(data: bytearray, chance: random.Random) -> None:
    """Change bytes in one of the usual ways: a bit, a byte, or a piece that goes or comes twice."""
    if not data:
        data.append(chance.randrange(256))
        return
    place = chance.randrange(len(data))
    kind = chance.randrange(5)
    if kind == 0:
        data[place] ^= 1 << chance.randrange(8)
    elif kind == 1:
        data[place] = chance.randrange(256)
    elif kind == 2:
        data[place] = chance.choice(_INTERESTING)
    else:
        piece = data[place : place + chance.randint(1, 8)]
        if kind == 3:
            del data[place : place + len(piece)]
        else:
            data[place:place] = piece


@dataclass(frozen=True, slots=True)
class Part:
    """One change of each case, with data of its own.

    Attributes:
        kind: ``"memory"``, ``"console"``, ``"disk"`` or ``"register"``.
        where: the location, the offset on the disk, or the register.
        data: its bytes; for a register 8 random ones are taken.
        length_at: see ``Memory``.
        drive: see ``DiskData``.
        at: when it is made, as ``At.when``, or from which range of instructions that is chosen;
            None: at the start.
        count: see ``At``.
    """

    kind: str
    where: int | str
    data: Bytes = Bytes()
    length_at: int | str | None = None
    drive: int = 0
    at: int | str | tuple[int, int] | None = None
    count: int = 1

    def of(self, chance: random.Random) -> Change:
        """The change that these random numbers give."""
        at = chance.randint(*self.at) if isinstance(self.at, tuple) else self.at
        change = self._change(chance)
        return change if at is None else At(at, change, self.count)

    def _change(self, chance: random.Random) -> Change:
        if self.kind == "register":
            return Registers({str(self.where): chance.getrandbits(64)})
        data = self.data.of(chance)
        if self.kind == "console":
            return ConsoleInput(data)
        if self.kind == "disk":
            assert isinstance(self.where, int)
            return DiskData(self.where, data, self.drive)
        return Memory(self.where, data, self.length_at)


class Generated:
    """The variation of each case from parts."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    def __call__(self, case: Case) -> Sequence[Change]:
        chance = case.random
        return [part.of(chance) for part in self.parts]
