"""The random numbers, and what the parts of the generator share."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from guestdbg.check.assembler import Item
from guestdbg.check.differential import layout

T = TypeVar("T")

#: Registers that programs compute with, those that hold addresses, and those for loops and calls.
DATA = tuple(range(13))
BASES = tuple(range(16, 23))
SCRATCH, OUTER, INNER = 13, 14, 15

#: The address of MMIO accesses.
DEVICE = layout.NOWHERE + 0x100
#: The addresses that base registers hold: (address, weight). Accesses are near them.
PLACES: tuple[tuple[int, int], ...] = (
    (layout.DATA + 0x80, 10),
    (layout.DATA + 0xC0, 6),
    (layout.DATA + layout.PAGE, 4),  # with small offsets: accesses across the page boundary
    (layout.DATA + layout.PAGE + 0x20, 2),
    (layout.PRIVATE, 2),  # EL0 may access what is below it, but not this page
    (layout.READ_ONLY + 0x40, 2),
    (layout.STACK + 0x80, 2),
    (layout.UNMAPPED + 0x10, 1),
    (DEVICE, 2),
)


@dataclass
class Source:
    """A program's random numbers, and what is decided about it so far.

    Attributes:
        seed: of the program.
        mmu: whether the MMU is on.
        el: the Exception level at the place that is generated now.
        interrupts: whether the machine has an interrupt controller.
        reserved: RES0 bits are written to the guest's debug registers. Such a program does not read
            them, because what it would read is the processor's choice.
        bases: the last known address of each base register.
        labels: how many labels have been made.
    """

    seed: int
    mmu: bool = True
    el: int = 1
    reserved: bool = False
    interrupts: bool = False
    bases: dict[int, int] = field(default_factory=dict)
    labels: int = 0

    def __post_init__(self) -> None:
        # The seed is a string, so that neighbouring seeds give unrelated sequences.
        kind = " interrupts" if self.interrupts else ""
        self.random = random.Random(f"guestdbg differential{kind} {self.seed}")

    def chance(self, percent: float) -> bool:
        """True with this probability, in percent."""
        return self.random.random() * 100 < percent

    def below(self, n: int) -> int:
        """A random number from 0 to n - 1."""
        return self.random.randrange(n)

    def bits(self, n: int) -> int:
        """n random bits."""
        return self.random.getrandbits(n)

    def choice(self, items: Sequence[T]) -> T:
        """A random item."""
        return items[self.random.randrange(len(items))]

    def weighted(self, items: Sequence[tuple[T, int]]) -> T:
        """A random item of (item, weight) pairs, by weight."""
        at = self.random.randrange(sum(weight for _, weight in items))
        for item, weight in items:
            if at < weight:
                return item
            at -= weight
        raise AssertionError

    def number(self) -> int:
        """A 64-bit value, often a small one or near a power of two."""
        kind = self.below(6)
        if kind == 0:
            return self.below(256)
        if kind == 1:
            return (1 << 64) - 1 - self.below(256)
        if kind == 2:
            return (1 << self.below(64)) - self.below(2)
        if kind == 3:
            return self.bits(32)
        return self.bits(64)

    def rd(self) -> int:
        """A register to write to."""
        return self.choice(DATA)

    def rn(self) -> int:
        """A register to read; sometimes XZR."""
        return 31 if self.chance(5) else self.choice(DATA)

    def base(self) -> int:
        """A register that holds an address."""
        return self.choice(BASES)

    def name(self) -> str:
        """A new label."""
        self.labels += 1
        return f"L{self.labels}"


#: A function that makes a few instructions.
Maker = Callable[[Source], list[Item]]
