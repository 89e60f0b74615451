"""Loads and stores of every sort, near the addresses that are watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.differential import layout
from guestdbg.check.differential.generate.source import DEVICE, PLACES, SCRATCH

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item
    from guestdbg.check.differential.generate.source import Maker, Source

_SINGLES = (
    *(("str", 3), ("ldr", 3), ("strw", 2), ("ldrw", 2), ("ldrsw", 2), ("strh", 1), ("ldrh", 1)),
    *(("ldrsh", 1), ("ldrshw", 1), ("strb", 0), ("ldrb", 0), ("ldrsb", 0), ("ldrsbw", 0)),
)
_VECTORS = (
    *(("str_b", 0), ("ldr_b", 0), ("str_h", 1), ("ldr_h", 1), ("str_s", 2), ("ldr_s", 2)),
    *(("str_d", 3), ("ldr_d", 3), ("str_q", 4), ("ldr_q", 4)),
)
_PAIRS = (
    *(("stp", 3), ("ldp", 3), ("stpw", 2), ("ldpw", 2), ("ldpsw", 2), ("stnp", 3), ("ldnp", 3)),
    *(("stp_d", 3), ("ldp_d", 3), ("stp_q", 4), ("ldp_q", 4), ("stp_s", 2), ("ldp_s", 2)),
)


def point(s: Source) -> list[Item]:
    """Set a base register again: it drifts with every write-back."""
    n = s.base()
    address = s.weighted(PLACES)
    s.bases[n] = address
    return [asm.mov(n, address)]


def _regular(s: Source) -> int:
    """A base register in memory. Only accesses with a valid syndrome (ISS.ISV) may use a device."""
    for _ in range(8):
        n = s.base()
        if s.bases.get(n) != DEVICE:
            return n
    return s.base()


def _offset(s: Source, n: int, log2: int, low: int, high: int) -> int:
    """A byte offset: usually a multiple of the size, and always while the MMU is off."""
    offset = s.random.randint(low, high)
    if s.bases.get(n) == DEVICE or not s.mmu or s.chance(88):
        offset &= -1 << log2
    return offset


def single(s: Source) -> list[Item]:
    name, log2 = s.choice(_SINGLES)
    rt = s.rn() if name.startswith("st") else s.rd()
    return [_single(s, name, log2, rt)]


def vector(s: Source) -> list[Item]:
    name, log2 = s.choice(_VECTORS)
    return [_single(s, name, log2, s.below(8))]


def _single(s: Source, name: str, log2: int, rt: int) -> int:
    mode = s.weighted(
        (("offset", 5), ("unscaled", 4), ("pre", 2), ("post", 2), ("unprivileged", 1))
    )
    if mode == "unprivileged" and "_" in name:
        mode = "unscaled"
    if mode == "offset":
        return asm.access(name, rt, s.base(), (s.below(48) >> log2) << log2)
    if mode in ("pre", "post"):
        n = _regular(s)
        # With the MMU off, the base must stay aligned.
        return asm.access(name, rt, n, _offset(s, n, log2 if s.mmu else 4, -24, 24), mode=mode)
    n = s.base()
    return asm.access(name, rt, n, _offset(s, n, log2, -32, 48), mode=mode)


def register_offset(s: Source) -> list[Item]:
    name, log2 = s.choice(_SINGLES)
    rt = s.rn() if name.startswith("st") else s.rd()
    n = s.base()
    words: list[Item] = [asm.mov(SCRATCH, _offset(s, n, log2, 0, 40))]
    word = asm.access(name, rt, n, SCRATCH, mode="register")
    if s.chance(30):
        word = word & ~(7 << 13) | s.choice((2, 3, 6, 7)) << 13
    return [*words, word]


def pair(s: Source) -> list[Item]:
    name, log2 = s.choice(_PAIRS)
    if "_" in name:
        rt = s.below(8)
        rt2 = (rt + 1 + s.below(6)) % 8
    else:
        rt = s.rd()
        rt2 = (rt + 1 + s.below(11)) % 13
    modes = ("offset",) if name.endswith("np") else ("offset", "offset", "pre", "post")
    offset = (s.random.randint(-24, 40) >> log2) << (log2 if s.mmu else 4)
    mode = s.choice(modes)
    return [asm.pair(name, rt, rt2, _regular(s), offset, mode=mode)]


def unaligned_pair(s: Source) -> list[Item]:
    """An unaligned pair, which only Normal memory permits."""
    if not s.mmu:
        return pair(s)
    n = _regular(s)
    return [asm.add(SCRATCH, n, s.below(16)), asm.stp(s.rd(), s.rd(), SCRATCH, 0)]


def exclusive(s: Source) -> list[Item]:
    """A load-exclusive and a store-exclusive, sometimes with an instruction in between."""
    size = s.choice((1, 2, 4, 8))
    n = _regular(s)
    aim: list[Item] = []
    if s.chance(90):
        # An aligned and accessible address: whether a store-exclusive without the monitor faults is
        # IMPLEMENTATION DEFINED.
        n = SCRATCH
        aim = [asm.mov(n, s.choice((layout.DATA + 0x80, layout.DATA + 0xC0, layout.STACK + 0x80)))]
    status, rt, other = s.random.sample(range(13), 3)
    between: list[Item] = []
    if s.chance(30):
        between = [asm.add(rt, rt, 1)]
    elif s.chance(10):
        between = [asm.CLREX]
    if s.chance(25) and size >= 4:
        third = next(r for r in range(13) if r not in (status, rt, other))
        return [
            *aim,
            asm.load_pair_exclusive(rt, third, n, size=size),
            *between,
            asm.store_pair_exclusive(status, rt, third, n, size=size),
        ]
    return [
        *aim,
        asm.load_exclusive(rt, n, size=size, acquire=s.chance(30)),
        *between,
        asm.store_exclusive(status, other, n, size=size, release=s.chance(30)),
    ]


def ordered(s: Source) -> list[Item]:
    make = s.choice((asm.ordered_load, asm.ordered_store))
    return [make(s.rd(), _regular(s), size=s.choice((1, 2, 4, 8)))]


def literal(s: Source) -> list[Item]:
    word = asm.load_literal(s.rd(), s.random.randint(-8, 16) * 4)
    # With the MMU off, 8 bytes would have to be aligned, so load 4 (LDR Wt).
    return [word if s.mmu else word & ~(1 << 30)]


def structure(s: Source) -> list[Item]:
    name = s.choice(("ld1", "st1", "ld2", "st2", "ld3", "st3", "ld4", "st4"))
    registers = s.choice((1, 2, 3, 4)) if name[2] == "1" else int(name[2])
    return [asm.structure(name, s.below(5), _regular(s), registers=registers)]


def cache(s: Source) -> list[Item]:
    """Cache maintenance at accessible addresses only: in QEMU it does nothing and never faults."""
    if s.chance(30):
        return [asm.prefetch(s.base(), s.choice((0, 16)))]
    if s.mmu and s.chance(40):
        return [asm.dc_zva(_regular(s))]
    words = asm.mov(SCRATCH, layout.DATA + s.below(256))
    return [words, asm.dc(s.choice(("cvac", "cvau", "civac")), SCRATCH)]


def invalidate(s: Source) -> list[Item]:
    """DC IVAC may discard stored data, so it is used only where nothing is stored."""
    return [asm.mov(SCRATCH, layout.STACK + 0xE00), asm.dc_ivac(SCRATCH)]


def wild(s: Source) -> list[Item]:
    """An access with a register that may hold any value as the address."""
    aligned = 0x927CEC00 | s.choice(range(13)) << 5 | SCRATCH  # AND Xd, Xn, #~15
    return [aligned, s.choice((asm.ldr, asm.str_))(s.rd(), SCRATCH)]


MAKERS: tuple[tuple[Maker, int], ...] = (
    (point, 8),
    (single, 16),
    (vector, 5),
    (register_offset, 5),
    (pair, 6),
    (unaligned_pair, 1),
    (exclusive, 4),
    (ordered, 2),
    (literal, 2),
    (structure, 2),
    (cache, 2),
    (invalidate, 1),
)
