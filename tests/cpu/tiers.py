"""The tiers that the tests of the processor use: conftest.py."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from guestdbg.cpu import tier

#: The interpreter; each block is translated when it is first entered; after a random number of
#: entries; the processors are in turn of these three kinds.
NEVER, ALWAYS, RANDOM, MIXED = "never", "always", "random", "mixed"

SEED = int(os.environ.get("GUESTDBG_TIER_SEED", "20261130"), 0)


def use(kind: str, name: str = "") -> str | None:
    """Processors made from now on are so; why there are no stencils, or None.

    name: with SEED, what numbers of entries at random follow from.
    """
    if kind == NEVER:
        return tier.use("interpreter")
    if kind == ALWAYS:
        return tier.use("stencils", 1)
    seed = zlib.crc32(f"{SEED} {name}".encode()) + 1
    return tier.use("stencils", seed=seed, mixed=kind == MIXED)


@contextmanager
def processors(kind: str, name: str = "") -> Iterator[None]:
    """Processors made inside are so, where there are stencils."""
    before = tier.chosen()
    use(kind, name)
    try:
        yield
    finally:
        tier.use_again(before)
