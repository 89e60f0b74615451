"""Operands of SIMD and FP instructions, drawn from where the results change.

A pool holds vectors of 128 bits whose elements are of one format. Drawing from a pool costs as
little as drawing random bits.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

POOL = 2048  # vectors of each kind
VECTOR_BITS = 128


@dataclass(frozen=True)
class Format:
    """A floating-point format: bits of the whole, of the exponent, of the fraction."""

    width: int
    exponent: int
    fraction: int

    @property
    def sign(self) -> int:
        return 1 << (self.width - 1)

    @property
    def bias(self) -> int:
        return (1 << (self.exponent - 1)) - 1

    @property
    def infinity(self) -> int:
        return ((1 << self.exponent) - 1) << self.fraction

    @property
    def quiet(self) -> int:
        return 1 << (self.fraction - 1)

    def power(self, n: int) -> int:
        """The bits of 2**n, within the normal numbers."""
        return max(1, min(2 * self.bias, n + self.bias)) << self.fraction


HALF, SINGLE, DOUBLE = Format(16, 5, 10), Format(32, 8, 23), Format(64, 11, 52)


def special(form: Format) -> list[int]:
    """Zeros, denormals, limits, infinities, NaNs, and the limits of conversions, positive."""
    smallest, one = 1 << form.fraction, form.power(0)
    values = [
        *(0, 1, 2, 3, smallest >> 1, smallest - 1, smallest, smallest + 1, 2 * smallest),
        *(form.infinity - 1, form.infinity, form.infinity | form.quiet, form.infinity | 1),
        *(form.infinity | form.quiet | 5, form.infinity | (form.quiet - 1), form.infinity | 0x55),
        *(form.infinity - (1 << form.fraction), one - 1, one, one + 1, one | form.quiet),
        form.power(form.fraction) + 1,
    ]
    for n in (-14, -1, 1, 2, 7, 8, 10, 15, 16, 23, 24, 31, 32, 52, 53, 62, 63, 64):
        power = form.power(n)
        values += [power - 1, power, power + 1, power | form.quiet]
    return values


def element(rng: random.Random, form: Format, specials: list[int]) -> int:
    """One element: half of them special."""
    sign = form.sign if rng.getrandbits(1) else 0
    kind = rng.randrange(10)
    if kind < 4:
        return rng.choice(specials) | sign
    if kind == 4:
        return rng.getrandbits(form.width)
    fraction = rng.getrandbits(form.fraction)
    if kind == 5:  # few bits: sums and products that are exact, or half way between two
        fraction &= ~((1 << rng.randrange(form.fraction)) - 1)
    elif kind == 6:
        fraction = rng.getrandbits(rng.randrange(1, 5))
    if kind < 8:
        exponent = form.bias + rng.randrange(-form.fraction - 2, form.fraction + 3)
    elif kind == 8:
        exponent = rng.choice((rng.randrange(form.fraction + 2), form.bias // 2))
    else:
        exponent = 2 * form.bias - rng.randrange(form.fraction + 2)
    exponent = max(0, min(2 * form.bias, exponent))
    return exponent << form.fraction | fraction | sign


def integer(rng: random.Random, width: int) -> int:
    """An integer near where arithmetic of this width changes, or of any size."""
    kind = rng.randrange(6)
    ones = (1 << width) - 1
    if kind < 2:
        return rng.getrandbits(width)
    if kind == 2:
        return rng.choice((0, 1, 2, ones, ones - 1, ones >> 1, (ones >> 1) + 1, ones >> 2))
    value = rng.getrandbits(rng.randrange(1, width + 1))
    if kind == 3:  # a bit and little else: ties of conversions
        value = (1 << rng.randrange(width)) + rng.randrange(-2, 3)
    return (value if rng.getrandbits(1) else -value) & ones


def _vector(width: int, draw: Callable[[], int]) -> bytes:
    lanes = [draw() for _ in range(VECTOR_BITS // width)]
    value = sum(lane << (n * width) for n, lane in enumerate(lanes))
    return value.to_bytes(16, "little")


class Operands:
    """Pools of vectors: of half, single and double precision, and of integers of each width."""

    def __init__(self, seed: str) -> None:
        rng = random.Random(seed)
        self.floats: dict[int, list[bytes]] = {}
        for form in (HALF, SINGLE, DOUBLE):
            values = special(form)

            def draw(form: Format = form, values: list[int] = values) -> int:
                return element(rng, form, values)

            self.floats[form.width] = [_vector(form.width, draw) for _ in range(POOL)]
        self.integers = {
            width: [_vector(width, lambda width=width: integer(rng, width)) for _ in range(POOL)]
            for width in (8, 16, 32, 64)
        }
        self.pools = [*self.floats.values(), *self.integers.values()]
        self.general = [integer(rng, 64).to_bytes(8, "little") for _ in range(POOL)]

    def vectors(self, rng: random.Random, count: int) -> list[bytes]:
        """So many vectors of one kind; often two are equal but for a sign or a last bit."""
        pool = self.pools[int(rng.random() * len(self.pools))]
        bits = rng.getrandbits(12 * count + 8)
        found = [pool[bits >> 12 * n & POOL - 1] for n in range(count)]
        related = bits >> 12 * count
        if count > 1 and related & 3 == 0:
            near = bytearray(found[0])
            near[15] ^= 0x80 if related & 4 else 0
            near[7] ^= 0x80 if related & 8 else 0
            near[0] ^= related >> 4 & 3
            found[1] = bytes(near)
        return found
