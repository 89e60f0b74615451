"""Random guest code and random values, biased towards edge cases."""

from __future__ import annotations

import random
import struct

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import encodings

MASK64 = (1 << 64) - 1
NOP = 0xD503201F
ERET = 0xD69F03E0

_ROWS = [(mask, value) for _, mask, value in encodings()]
_SYSTEM = [r.encoding for r in SYSREGS.values()]

#: A vector that returns after the instruction that raised it: ELR_EL1 = ELR_EL1 + 4 & ~3.
RESUME = [0xD538403C, 0x9100139C, 0x927EF79C, 0xD518403C, ERET]


def value(rng: random.Random, near: list[int]) -> int:
    """64 bits: an address near one of `near`, small, large, a few bits set, or anything."""
    choice = rng.random()
    if choice < 0.55 and near:
        base = rng.choice(near)
        return (
            base + rng.choice([0, 0, 8, -1, -8, rng.randint(-80, 80), rng.getrandbits(12)]) & MASK64
        )
    if choice < 0.65:
        return rng.choice([0, 1, MASK64, 1 << 63, 1 << 55, 1 << 47, 0xFFF, 0x1000, 1 << 32])
    if choice < 0.8:
        return rng.getrandbits(rng.choice([4, 8, 12, 16, 32, 48]))
    if choice < 0.9:
        return 1 << rng.randrange(64) | 1 << rng.randrange(64) | 1 << rng.randrange(64)
    return rng.getrandbits(64)


def _system(rng: random.Random) -> int:
    """MSR and MRS of known registers; SYS; PSTATE fields; hints, barriers; exceptions."""
    choice = rng.random()
    rt = rng.getrandbits(5)
    if choice < 0.35:
        return 0xD5100000 | rng.choice(_SYSTEM) << 5 & 0x1FFFE0 | rt
    if choice < 0.55:
        return 0xD5300000 | rng.choice(_SYSTEM) << 5 & 0x1FFFE0 | rt
    if choice < 0.7:  # AT, DC, IC, TLBI
        op1, crn, crm, op2 = rng.choice(
            [(0, 8, 7, 0), (0, 8, 3, 1), (0, 7, 8, 0), (0, 7, 6, 1), (3, 7, 4, 1), (3, 7, 5, 1)]
        )
        op2 = rng.choice([op2, op2, rng.getrandbits(3)])
        return 0xD5080000 | op1 << 16 | crn << 12 | crm << 8 | op2 << 5 | rt
    if choice < 0.8:
        return 0xD500401F | rng.choice([0, 3]) << 16 | rng.getrandbits(7) << 5
    if choice < 0.9:
        return 0xD503201F | rng.getrandbits(7) << 5 | rng.getrandbits(1) << 12
    if choice < 0.96:
        return 0xD4000000 | rng.getrandbits(3) << 21 | rng.getrandbits(16) << 5 | rng.getrandbits(2)
    return ERET


def _access(rng: random.Random) -> int:
    """Loads and stores whose base register is likely to be an address."""
    rn, rt = rng.randrange(12), rng.getrandbits(5)
    word = rng.choice(
        [
            0x39000000 | rng.getrandbits(2) << 22 | rng.getrandbits(6) << 10,  # immediate
            0x38000000 | rng.getrandbits(2) << 22 | rng.getrandbits(11) << 10,  # others
            0x38200800 | rng.getrandbits(2) << 22 | rng.getrandbits(9) << 12,  # register
            0x3C000000 | rng.getrandbits(2) << 22 | rng.getrandbits(11) << 10,  # SIMD and FP
            0x28000000 | rng.getrandbits(3) << 22 | rng.getrandbits(12) << 10,  # pairs
            0x2C000000 | rng.getrandbits(3) << 22 | rng.getrandbits(12) << 10,
            0x08000000 | rng.getrandbits(14) << 10,  # exclusive, ordered, CAS
            0x0C000000 | rng.getrandbits(1) << 30 | rng.getrandbits(14) << 10,  # structures
            0x38200000 | rng.getrandbits(2) << 22 | rng.getrandbits(9) << 12,  # atomics
        ]
    )
    return word | rng.getrandbits(2) << 30 | rn << 5 | rt


def accesses(rng: random.Random, count: int) -> bytes:
    """Loads and stores of every kind near x0 to x11, and a branch back to the first."""
    words = [_access(rng) for _ in range(count - 1)]
    words.append(0x14000000 | (1 - count) & 0x3FFFFFF)
    return struct.pack(f"<{count}I", *words)


def _branch(rng: random.Random) -> int:
    near = rng.randint(-12, 24)
    return rng.choice(
        [
            0x14000000 | near & 0x3FFFFFF,
            0x54000000 | (near & 0x7FFFF) << 5 | rng.getrandbits(4),
            0x34000000 | rng.getrandbits(1) << 24 | (near & 0x7FFFF) << 5 | rng.getrandbits(5),
            0x36000000 | rng.getrandbits(1) << 24 | (near & 0x3FFF) << 5 | rng.getrandbits(5),
            0x94000000 | near & 0x3FFFFFF,
            0xD65F03C0,
            0xD61F0000 | rng.randrange(12) << 5,
        ]
    )


def word(rng: random.Random) -> int:
    """One instruction, or an unallocated encoding."""
    choice = rng.random()
    if choice < 0.15:
        return rng.getrandbits(32)
    if choice < 0.55:
        mask, fixed = rng.choice(_ROWS)
        return fixed | rng.getrandbits(32) & ~mask & 0xFFFFFFFF
    if choice < 0.8:
        return _access(rng)
    if choice < 0.92:
        return _branch(rng)
    return _system(rng)


def code(rng: random.Random, count: int) -> bytes:
    return struct.pack(f"<{count}I", *(word(rng) for _ in range(count)))


def vectors(rng: random.Random) -> bytes:
    """2 KiB of exception vectors: most return, some are random code."""
    out = bytearray()
    for _ in range(16):
        choice = rng.random()
        if choice < 0.85:
            out += struct.pack("<5I", *RESUME)
        elif choice < 0.9:
            out += struct.pack("<5I", *[ERET] * 5)
        else:
            out += code(rng, 5)
        out += bytes(0x80 - 20)
    return bytes(out)


def descriptor(rng: random.Random, tables: list[int], pages: list[int]) -> int:
    """A translation table entry: a table, a block or page that probably exists, or random bits."""
    choice = rng.random()
    if choice < 0.4:
        return rng.choice(tables) & ~0xFFF | 3 | (rng.getrandbits(5) << 59 if choice < 0.05 else 0)
    if choice < 0.9:
        attributes = 1 << 10 | rng.getrandbits(2) << 6 | rng.getrandbits(3) << 2
        if rng.random() < 0.2:
            attributes |= rng.getrandbits(3) << 52 | rng.getrandbits(4) << 8
        kind = 3 if rng.random() < 0.6 else 1
        return rng.choice(pages) & ~0xFFF | attributes | kind
    return rng.getrandbits(64)
