"""What a case is: a seed, and the actions that follow from it.

Each action has a random generator of its own, made of the seed and its number: so any of them can
be left out without a change to the others, which is how a failure is made small.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection

Action = Callable[[random.Random], None]


class Failure(Exception):
    """Something happened that must never happen; the text says what."""


class Case(ABC):
    """One case. Subclasses make their machine in __init__ and list what can be done to it."""

    kind: str

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = self.generator("machine")
        #: How often what was done: actions by their names, and what they led to.
        self.did: Counter[str] = Counter()

    def generator(self, what: str | int) -> random.Random:
        return random.Random(f"{self.kind}/{self.seed}/{what}")

    @abstractmethod
    def actions(self) -> list[tuple[int, Action]]:
        """What can be done, and how often relative to the others."""

    @property
    @abstractmethod
    def instructions(self) -> int:
        """Retired by all processors since the beginning."""

    def check(self) -> None:  # noqa: B027 - not every machine has something to check
        """Raises if anything is not as it must be; after each action."""

    def close(self) -> None:  # noqa: B027
        """Take everything down."""

    def run(
        self,
        count: int,
        leave_out: Collection[int] = (),
        tell: Callable[[str], None] | None = None,
    ) -> int:
        """Do the first `count` actions; returns the instructions that were executed.

        Raises Failure, or whatever exception came out that should not have.
        """
        table = self.actions()
        choices = [action for _, action in table]
        weights = [weight for weight, _ in table]
        try:
            for number in range(count):
                rng = self.generator(number)
                (action,) = rng.choices(choices, weights)
                if number in leave_out:
                    continue
                if tell:
                    tell(f"{number}: {action.__name__}")
                self.did[action.__name__] += 1
                action(rng)
                self.check()
            return self.instructions
        finally:
            self.close()
