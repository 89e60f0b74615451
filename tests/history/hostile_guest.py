"""Random guests that live from what a TLB may keep: they change their tables and never say so.

Each vCPU repeats a random sequence: stores to descriptors of pages that hold data and code, also of
the page that is executing; accesses and calls through them; other tables with the same ASID; no
barriers, and hardly a TLBI. What they compute depends on which translation each access was by.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from guestdbg.check import assembler as asm

RAM = 0x4000_0000
CODE = RAM + 0x8_0000
VECTORS = RAM + 0xC_0000
TABLES = RAM + 0x10_0000  # L1, L2 and L3 of the first tables, then those of the second
WINDOW = RAM + 0x20_0000  # 2 MiB that L3 translates
PAGES = RAM + 0x40_0000  # of data, and from 16 on of code
PAGE = 4096

_LEAF = 0x403 | 3 << 8  # valid, AF, shared, EL1 only
_LINEAR = 0x401 | 3 << 8
_TABLES = (TABLES, TABLES + 0x8000)
_DATA, _CALLED = 8, 4  # pages of each kind in the window


def _ubfx(rd: int, rn: int, low: int, width: int) -> int:
    return 0xD340_0000 | low << 16 | (low + width - 1) << 10 | rn << 5 | rd


def _add_shifted(rd: int, rn: int, rm: int, shift: int) -> int:
    return 0x8B00_0000 | rm << 16 | shift << 10 | rn << 5 | rd


def _table(which: int, level: int) -> int:
    return _TABLES[which] + (level - 1) * PAGE


def tables() -> Iterator[tuple[int, bytes]]:
    """(address, contents) of what is in memory at the start, besides code."""
    for which in range(2):
        yield _table(which, 1) + 8, struct.pack("<Q", _table(which, 2) | 3)
        second = [RAM | _LINEAR, _table(which, 3) | 3, PAGES | _LINEAR, PAGES + 0x20_0000 | _LINEAR]
        yield _table(which, 2), struct.pack("<4Q", *second)
        pages = [PAGES + n * PAGE | _LEAF for n in range(_DATA)]
        pages += [PAGES + (16 + n) * PAGE | _LEAF for n in range(_CALLED)]
        yield _table(which, 3), struct.pack(f"<{len(pages)}Q", *pages)
    for n in range(8):
        yield PAGES + n * PAGE, struct.pack("<4Q", *(0x1111 * (n + 1) * k for k in range(1, 5)))
        called = [asm.str_(1, 2), asm.add(10, 10, n + 1), asm.str_(7, 2), asm.add(10, 10, 16 + n)]
        called += [_add_shifted(10, 10, 10, n), asm.RET]
        yield PAGES + (16 + n) * PAGE, struct.pack("<6I", *called)
    # An exception: add its class, and go on after the instruction; after a call, at its caller.
    at_el1 = asm.flat(
        asm.mrs(13, "ESR_EL1"), _ubfx(13, 13, 26, 6), asm.add_reg(10, 10, 13),
        asm.sub(13, 13, 0x21), asm.mrs(14, "ELR_EL1"), asm.add(14, 14, 4),
        asm.cmp(13, 0), asm.csel(14, 30, 14, 0), asm.msr("ELR_EL1", 14), asm.ERET,
    )  # fmt: skip
    yield VECTORS + 0x200, struct.pack(f"<{len(at_el1)}I", *at_el1)


def _setup() -> list[int]:
    tcr = 25 | 25 << 16 | 1 << 23 | 2 << 32  # 39 bits, 4 KiB; no upper half
    return asm.flat(
        asm.mov(9, 0x1234_5678_9ABC), asm.add_reg(9, 9, 0),
        asm.mov(1, VECTORS), asm.msr("VBAR_EL1", 1),
        asm.mov(1, 0xFF), asm.msr("MAIR_EL1", 1),
        asm.mov(1, tcr), asm.msr("TCR_EL1", 1),
        asm.mov(20, _table(0, 1)), asm.mov(21, _table(1, 1)), asm.msr("TTBR0_EL1", 20),
        asm.mov(1, 0x30D0_0801), asm.ISB, asm.msr("SCTLR_EL1", 1), asm.ISB,
        asm.mov(22, _table(0, 3)), asm.mov(23, _table(1, 3)), asm.mov(24, WINDOW),
        asm.mov(25, PAGES | _LEAF), asm.mov(26, PAGES + 16 * PAGE | _LEAF),
        asm.mov(11, 6364136223846793005), asm.mov(12, 1442695040888963407), asm.mov(10, 0),
        asm.mov(0, 0xC400_0003), asm.mov(1, 1), asm.mov(2, CODE), asm.mov(3, 77), asm.hvc(),
    )  # fmt: skip


def _descriptor(rng: random.Random) -> list[int]:
    """Another page of data, or none, in the window."""
    low = rng.randrange(20, 40)
    return asm.flat(
        _ubfx(2, 9, low, 3), _add_shifted(2, rng.choice([22, 23]), 2, 3),
        _ubfx(1, 9, low + 5, 3), _add_shifted(1, 25, 1, 12),
        rng.choice([asm.str_(1, 2)] * 5 + [asm.str_(31, 2)]),
    )  # fmt: skip


def _access(rng: random.Random) -> list[int]:
    low = rng.randrange(16, 44)
    at = rng.choice([8, 16, 24, 0xFF8])
    return asm.flat(
        _ubfx(4, 9, low, 3), _add_shifted(4, 24, 4, 12),
        rng.choice([asm.ldr(3, 4, at), asm.str_(10, 4, at)]), asm.add_reg(10, 10, 3),
    )  # fmt: skip


def _call(rng: random.Random) -> list[int]:
    """A call into the window, whose code changes its own descriptor twice."""
    low = rng.randrange(16, 40)
    return asm.flat(
        _ubfx(6, 9, low, 2), asm.add(6, 6, _DATA), _add_shifted(4, 24, 6, 12),
        _add_shifted(2, rng.choice([22, 23]), 6, 3),
        _ubfx(1, 9, low + 3, 3), _add_shifted(1, 26, 1, 12),
        _ubfx(7, 9, low + 7, 3), _add_shifted(7, 26, 7, 12),
        asm.blr(4),
    )  # fmt: skip


def _switch(rng: random.Random) -> list[int]:
    return [asm.msr("TTBR0_EL1", rng.choice([20, 21]))]


def _invalidate(rng: random.Random) -> list[int]:
    return [0xD508_871F]  # TLBI VMALLE1


def _next(rng: random.Random) -> list[int]:
    return [asm.madd(9, 9, 11, 12)]


def program(seed: int) -> list[int]:
    """The code: endless."""
    rng = random.Random(seed)
    kinds = [_descriptor] * 5 + [_access] * 8 + [_call] * 4 + [_switch] * 2 + [_next] * 3
    words = _setup()
    start = len(words)
    for _ in range(rng.randrange(20, 80)):
        words += rng.choice(kinds)(rng)
        if rng.random() < 0.02:
            words += _invalidate(rng)
    words += _next(rng)
    return [*words, 0x1400_0000 | (start - len(words)) & 0x3FF_FFFF]


def image(seed: int) -> tuple[bytes, int]:
    """A raw image, and where it is to be loaded."""
    contents = bytearray(PAGES + 32 * PAGE - CODE)
    words = program(seed)
    contents[: 4 * len(words)] = struct.pack(f"<{len(words)}I", *words)
    for address, data in tables():
        contents[address - CODE : address - CODE + len(data)] = data
    return bytes(contents), CODE
