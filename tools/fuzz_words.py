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


def _computed(rng: random.Random) -> int:
    """Data processing on X8 to X19, so that addresses in X0 to X7 stay."""
    rd, rn, rm = (rng.randrange(8, 20) for _ in range(3))
    word = rng.choice(
        [
            0x11000000 | rng.getrandbits(12) << 10,  # ADD, ADDS, SUB, SUBS
            0x0B000000 | rng.getrandbits(5) << 10,
            0x0A000000 | rng.getrandbits(2) << 29 | rng.getrandbits(5) << 10,
            0x1A800000 | rng.getrandbits(4) << 12,  # CSEL
            0x1B000000 | rng.randrange(8, 20) << 10,  # MADD
            0x1AC00800 | rng.getrandbits(1) << 10,  # UDIV, SDIV
            0x92400000 & 0x7FFFFFFF | rng.getrandbits(5) << 10,
            0x52800000 | rng.getrandbits(16) << 5,  # MOVZ
            0x0E208400 | rng.getrandbits(2) << 22,  # ADD of vectors
            0x1E602800,  # FADD
        ]
    )
    if word & 0x1F000000 in (0x11000000, 0x0B000000):
        word |= rng.getrandbits(2) << 29
    if word >> 24 & 0x1F not in (0x0E, 0x1E):
        word |= rng.getrandbits(1) << 31
    if word & 0xFF800000 in (0x52800000, 0xD2800000):
        return word | rd
    return word | rm << 16 & (0 if word & 0x1F000000 == 0x11000000 else ~0) | rn << 5 | rd


def loops(rng: random.Random, count: int) -> bytes:
    """Functions of loops in each other that call other functions, in two pages.

    Loops count in X20 to X22. Most accesses are near X0 to X7; some of these are in the code.
    """
    words: list[int] = []
    starts: list[int] = []
    while len(words) < count - 110:
        starts.append(len(words))
        loop: list[tuple[int, int]] = []
        for _ in range(rng.randint(8, 30)):
            choice = rng.random()
            if choice < 0.12 and len(loop) < 3:
                register = 20 + len(loop)
                words.append(0xD2800000 | rng.choice([1, 2, 3, 40, 100]) << 5 | register)
                loop.append((len(words), register))
            elif choice < 0.2 and loop:
                start, register = loop.pop()
                words.append(rng.choice([0xF1000400, 0xD1000400]) | register << 5 | register)
                distance = start - len(words) & 0x7FFFF
                if words[-1] >> 29 & 1:
                    words.append(0x54000001 | distance << 5)  # B.NE
                else:
                    words.append(0xB5000000 | distance << 5 | register)  # CBNZ
            elif choice < 0.5:
                # [Xn, #imm] and pairs: the register stays
                access = rng.choice([0x39000000, 0x3D000000, 0x29000000])
                access |= rng.getrandbits(2) << 22 | rng.getrandbits(2) << 30
                access |= rng.getrandbits(4) << 10 | rng.randrange(8) << 5
                words.append(access | rng.randrange(8, 20))
            elif choice < 0.55:
                words.append(0x58000000 | rng.getrandbits(6) << 5 | rng.randrange(8, 20))  # literal
            elif choice < 0.6 and len(starts) > 1:
                words.append(0xAA1E03F7)  # MOV X23, X30: one level of calls returns
                target = rng.choice(starts[:-1]) - len(words)
                words.append(0x94000000 | target & 0x3FFFFFF)
                words.append(0xAA1703FE)
            elif choice < 0.65:
                words.append(0x14000001 if rng.random() < 0.5 else 0x54000020 | rng.getrandbits(4))
            elif choice < 0.7:
                words.append(0xEB00001F | rng.randrange(8, 20) << 16 | rng.randrange(8, 20) << 5)
                words.append(0x54000040 | rng.getrandbits(4))
                words.append(NOP)
            elif choice < 0.72:
                words.append(word(rng))
            else:
                words.append(_computed(rng))
        for start, register in reversed(loop):
            words.append(0xF1000400 | register << 5 | register)
            words.append(0x54000001 | (start - len(words) & 0x7FFFF) << 5)
        if rng.random() < 0.5:
            words.append(0xD65F03C0)  # RET
        else:
            words.append(0x14000000 | rng.randint(-len(words), count - len(words)) & 0x3FFFFFF)
    words += [NOP] * (count - len(words) - 1)
    words.append(0x14000000 | (1 - count) & 0x3FFFFFF)
    return struct.pack(f"<{count}I", *words)


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
