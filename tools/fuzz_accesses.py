"""Random loads and stores: every form, at an address that is given, with what each one accesses.

A form is encoded from the bits of its class in the manual (DDI 0487, C4.1.88), not from the tables
of the product: what it accesses is a second opinion on the product's decoder.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FORMS", "LINE", "READ", "WRITE", "Encoded"]

READ, WRITE = 1, 2
LINE = 64
#: Data is loaded into, and stored from, x0 to x7 and v0 to v7.
DATA_REGISTERS = 8
INDEX = 24  # the register of an offset or increment
STATUS = 9  # of store-exclusives


@dataclass(frozen=True)
class Encoded:
    """One instruction without its base register.

    Attributes:
        raw: the word; the number of the base register is added at bit ``base_at``.
        size, bits: how many bytes it accesses, and how (READ, WRITE).
        offset: of the accessed bytes from the base register.
        writeback: what is added to the base register afterwards.
        aligned: the alignment without which the access faults.
        index: the value that the register INDEX needs; None: it is not used.
        hits: whether watchpoints notice the access.
        block: it accesses the aligned block of so many bytes that its address is in.
    """

    raw: int
    size: int
    bits: int
    offset: int = 0
    writeback: int = 0
    aligned: int = 1
    index: int | None = None
    hits: bool = True
    block: int = 1
    base_at: int = 5


Make = Callable[[random.Random], Encoded]

# ---- one register -----------------------------------------------------------------------------

#: Integer transfers: (size field, opc, bytes, bits).
_INTEGER = [
    (size, opc, 1 << size, WRITE if opc == 0 else READ)
    for size in range(4)
    for opc in range(4)
    if not (size == 3 and opc >= 2) and not (size == 2 and opc == 3)
]
#: SIMD and floating point: B, H, S, D by their size field, Q by opc.
_VECTOR = [(size, opc, 1 << size, (WRITE, READ)[opc]) for size in range(4) for opc in range(2)]
_VECTOR += [(0, 2, 16, WRITE), (0, 3, 16, READ)]


def _data(rng: random.Random) -> int:
    return rng.randrange(DATA_REGISTERS)


def _transfer(rng: random.Random, vector: bool) -> tuple[int, int, int]:
    """The bits that all forms of one register have, the bytes, and the access."""
    size, opc, length, bits = rng.choice(_VECTOR if vector else _INTEGER)
    return size << 30 | vector << 26 | opc << 22 | _data(rng), length, bits


def _unsigned(vector: bool) -> Make:
    def make(rng: random.Random) -> Encoded:
        raw, length, bits = _transfer(rng, vector)
        n = rng.randrange(64)
        return Encoded(0x39000000 | raw | n << 10, length, bits, n * length)

    return make


def _nine_bits(mode: int, vector: bool) -> Make:
    """Unscaled (0), post-index (1), unprivileged (2), pre-index (3)."""

    def make(rng: random.Random) -> Encoded:
        raw, length, bits = _transfer(rng, vector)
        n = rng.randint(-256, 255)
        raw |= 0x38000000 | (n & 0x1FF) << 12 | mode << 10
        offset, writeback = {0: (n, 0), 1: (0, n), 2: (n, 0), 3: (n, n)}[mode]
        return Encoded(raw, length, bits, offset, writeback)

    return make


def _register(vector: bool) -> Make:
    def make(rng: random.Random) -> Encoded:
        raw, length, bits = _transfer(rng, vector)
        option, scaled = rng.choice((2, 3, 6, 7)), rng.randrange(2)
        value = rng.randint(-100, 100) if option in (6, 7) else rng.randrange(100)
        offset = value * (length if scaled else 1)
        raw |= 0x38200800 | INDEX << 16 | option << 13 | scaled << 12
        # UXTW and SXTW ignore the upper half of the index register.
        index = value & (1 << 64) - 1
        if option in (2, 6) and rng.random() < 0.5:
            index = value & (1 << 32) - 1
        return Encoded(raw, length, bits, offset, index=index)

    return make


# ---- pairs ------------------------------------------------------------------------------------


def _pair(mode: int, vector: bool) -> Make:
    """Non-temporal (0), post-index (1), offset (2), pre-index (3)."""

    def make(rng: random.Random) -> Encoded:
        load = rng.randrange(2)
        if vector:
            opc = rng.randrange(3)
            length = 4 << opc
        else:
            opc = rng.choice((0, 1, 2) if load and mode else (0, 2))
            length = 8 if opc == 2 else 4
        first = _data(rng)
        second = (first + 1 + rng.randrange(DATA_REGISTERS - 1)) % DATA_REGISTERS
        n = rng.randint(-64, 63)
        raw = 0x28000000 | opc << 30 | vector << 26 | mode << 23 | load << 22
        raw |= (n & 0x7F) << 15 | second << 10 | first
        n *= length
        offset, writeback = {0: (n, 0), 1: (0, n), 2: (n, 0), 3: (n, n)}[mode]
        return Encoded(raw, 2 * length, READ if load else WRITE, offset, writeback)

    return make


# ---- ordered accesses and atomics -------------------------------------------------------------


def _ordered(rng: random.Random) -> Encoded:
    """LDAR and STLR."""
    size, load = rng.randrange(4), rng.randrange(2)
    raw = 0x089FFC00 | size << 30 | load << 22 | _data(rng)
    return Encoded(raw, 1 << size, READ if load else WRITE, aligned=1 << size)


def _ordered_pc(rng: random.Random) -> Encoded:
    """LDAPR."""
    size = rng.randrange(4)
    return Encoded(0x38BFC000 | size << 30 | _data(rng), 1 << size, READ, aligned=1 << size)


def _authenticated(rng: random.Random) -> Encoded:
    """LDRAA and LDRAB. Their keys are off, so that the address is that of the base register."""
    n, writeback = rng.randint(-512, 511), rng.randrange(2)
    raw = 0xF8200400 | rng.randrange(2) << 23 | (n & 0x200) << 13 | (n & 0x1FF) << 12
    raw |= writeback << 11 | _data(rng)
    return Encoded(raw, 8, READ, 8 * n, 8 * n if writeback else 0)


def _order(rng: random.Random) -> int:
    """The bits A and R of an atomic."""
    return rng.randrange(2) << 23 | rng.randrange(2) << 22


def _atomic(rng: random.Random) -> Encoded:
    """LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN, and ST... with XZR."""
    size = rng.randrange(4)
    rt = rng.choice((_data(rng), 31))
    raw = 0x38200000 | size << 30 | _order(rng) | _data(rng) << 16 | rng.randrange(8) << 12 | rt
    return Encoded(raw, 1 << size, READ | WRITE, aligned=1 << size)


def _swap(rng: random.Random) -> Encoded:
    size = rng.randrange(4)
    raw = 0x38208000 | size << 30 | _order(rng) | _data(rng) << 16 | _data(rng)
    return Encoded(raw, 1 << size, READ | WRITE, aligned=1 << size)


def _compare_and_swap(rng: random.Random) -> Encoded:
    size = rng.randrange(4)
    raw = 0x08A07C00 | size << 30 | rng.randrange(2) << 22 | rng.randrange(2) << 15
    return Encoded(raw | _data(rng) << 16 | _data(rng), 1 << size, READ | WRITE, aligned=1 << size)


def _compare_and_swap_pair(rng: random.Random) -> Encoded:
    wide = rng.randrange(2)
    raw = 0x08207C00 | wide << 30 | rng.randrange(2) << 22 | rng.randrange(2) << 15
    raw |= (_data(rng) & ~1) << 16 | _data(rng) & ~1
    size = 16 if wide else 8
    return Encoded(raw, size, READ | WRITE, aligned=size)


def _lone_exclusive(rng: random.Random) -> Encoded:
    """A load-exclusive without a store; the program has CLREX after it."""
    size, pair = rng.randrange(4), rng.randrange(2)
    if pair:
        size = size | 2
        rt = rng.randrange(0, DATA_REGISTERS, 2)
        raw = 0x087F0000 | size << 30 | rng.randrange(2) << 15 | rt + 1 << 10 | rt
        length = 2 << size
    else:
        raw = 0x085F7C00 | size << 30 | rng.randrange(2) << 15 | _data(rng)
        length = 1 << size
    return Encoded(raw, length, READ, aligned=length)


# ---- structures -------------------------------------------------------------------------------

#: Registers of LD1 to ST4 by their opcode.
_MULTIPLE = {0: 4, 2: 4, 4: 3, 6: 3, 7: 1, 8: 2, 10: 2}


def _after(rng: random.Random, raw: int, size: int, post: bool) -> tuple[int, int, int | None]:
    """The word of the post-indexed form, what it adds, and the index register's value."""
    if not post:
        return raw, 0, None
    if rng.random() < 0.5:
        return raw | 1 << 23 | 31 << 16, size, None
    step = rng.randrange(200)
    return raw | 1 << 23 | INDEX << 16, step, step


def _structures(post: bool) -> Make:
    def make(rng: random.Random) -> Encoded:
        opcode, load, q = rng.choice(list(_MULTIPLE)), rng.randrange(2), rng.randrange(2)
        element = rng.randrange(4)
        if element == 3 and not q and opcode in (0, 4, 8):
            element = 2  # reserved
        raw = 0x0C000000 | q << 30 | load << 22 | opcode << 12 | element << 10
        raw |= rng.randrange(DATA_REGISTERS)
        size = _MULTIPLE[opcode] * (16 if q else 8)
        raw, writeback, index = _after(rng, raw, size, post)
        return Encoded(raw, size, READ if load else WRITE, 0, writeback, index=index)

    return make


def _one_structure(post: bool) -> Make:
    def make(rng: random.Random) -> Encoded:
        registers, load, log2 = rng.randint(1, 4), rng.randrange(2), rng.randrange(4)
        replicate = load and rng.random() < 0.3
        opcode = (registers - 1) >> 1
        lane = rng.getrandbits(4) >> log2  # Q, S and size, as far as they number the lane
        if replicate:
            opcode |= 6
            fields = rng.randrange(2) << 30 | log2 << 10
        else:
            opcode |= min(log2, 2) << 1
            at = lane << log2  # Q:S:size as four bits
            fields = (at >> 3) << 30 | (at >> 2 & 1) << 12 | (at & 3) << 10
            if log2 == 3:
                fields = (lane & 1) << 30 | 1 << 10
        raw = 0x0D000000 | load << 22 | (registers - 1 & 1) << 21 | opcode << 13 | fields
        raw |= rng.randrange(DATA_REGISTERS)
        size = registers << log2
        raw, writeback, index = _after(rng, raw, size, post)
        return Encoded(raw, size, READ if load else WRITE, 0, writeback, index=index)

    return make


# ---- the others -------------------------------------------------------------------------------


def _zero(rng: random.Random) -> Encoded:
    return Encoded(0xD50B7420, LINE, WRITE, block=LINE, base_at=0)


def _maintenance(rng: random.Random) -> Encoded:
    """DC CVAC, CVAU and CIVAC."""
    crm, op2 = rng.choice(((10, 1), (11, 1), (14, 1)))
    raw = 0xD50B7000 | crm << 8 | op2 << 5
    return Encoded(raw, LINE, READ, block=LINE, base_at=0, hits=False)


def _prefetch(rng: random.Random) -> Encoded:
    raw = rng.choice((0xF9800000, 0xF8800000)) | rng.randrange(32)
    return Encoded(raw, 8, READ, hits=False)


#: The forms by name. A literal load is encoded by the program, which knows where its pool is.
FORMS: dict[str, Make] = {
    "immediate": _unsigned(False),
    "unscaled": _nine_bits(0, False),
    "post-index": _nine_bits(1, False),
    "unprivileged": _nine_bits(2, False),
    "pre-index": _nine_bits(3, False),
    "register offset": _register(False),
    "vector immediate": _unsigned(True),
    "vector unscaled": _nine_bits(0, True),
    "vector post-index": _nine_bits(1, True),
    "vector pre-index": _nine_bits(3, True),
    "vector register offset": _register(True),
    "pair": _pair(2, False),
    "pair post-index": _pair(1, False),
    "pair pre-index": _pair(3, False),
    "pair non-temporal": _pair(0, False),
    "vector pair": _pair(2, True),
    "vector pair post-index": _pair(1, True),
    "vector pair pre-index": _pair(3, True),
    "vector pair non-temporal": _pair(0, True),
    "ordered": _ordered,
    "ordered RCpc": _ordered_pc,
    "authenticated": _authenticated,
    "atomic": _atomic,
    "swap": _swap,
    "compare and swap": _compare_and_swap,
    "compare and swap pair": _compare_and_swap_pair,
    "load-exclusive": _lone_exclusive,
    "structures": _structures(False),
    "structures post-index": _structures(True),
    "one structure": _one_structure(False),
    "one structure post-index": _one_structure(True),
    "zero": _zero,
    "maintenance": _maintenance,
    "prefetch": _prefetch,
}
