"""A case: one run of many, which is known by its number."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass

__all__ = ["Case"]


@dataclass(frozen=True, slots=True)
class Case:
    """A case of a campaign.

    What is random in it comes from its seed, so that it is the same in every process, in every
    order, and when it is run again.

    Attributes:
        number: from 0.
        seed: of 64 bits, computed from the campaign's seed and the number.
    """

    number: int
    seed: int

    @classmethod
    def of(cls, campaign_seed: int, number: int) -> Case:
        """The case with this number."""
        data = b"%d %d" % (campaign_seed, number)
        digest = hashlib.blake2b(data, digest_size=8, person=b"guestdbg-case").digest()
        return cls(number, int.from_bytes(digest, "little"))

    @property
    def random(self) -> random.Random:
        """A new generator of random numbers, which begins with the seed."""
        return random.Random(self.seed)
