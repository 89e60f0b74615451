"""Every A64 load and store: how it is encoded, and what it accesses.

The base is x1, data registers are x2 and x3 (v2 to v5), the status register of a store-exclusive
is x4, an offset register x6 (zero). Encodings are from the manual's tables, chapter C4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .system_support import sys

Kind = Literal[
    "read", "write", "atomic", "store-exclusive", "failed-compare", "zero", "clean", "none"
]

BASE, DATA1, DATA2, STATUS, COMPARE, OFFSET, OTHER = 1, 2, 3, 4, 8, 6, 10


@dataclass(frozen=True)
class Form:
    name: str
    word: int
    kind: Kind
    size: int  # bytes accessed from the address on
    bias: int = 0  # the address is x1 + bias
    align: int = 1  # what the address must be a multiple of, whatever the memory
    unprivileged: bool = False
    literal: bool = False  # the address is the PC + bias
    el1_only: bool = False
    lse: bool = False  # LSE, or another of the later extensions that a rig has with it


def _kind(load: bool) -> Kind:
    return "read" if load else "write"


def _singles() -> Iterator[Form]:
    for vector in (False, True):
        for size in range(5 if vector else 4):
            for opc in (0, 1) if vector else range(4):
                code, field = (0, opc | 2) if size == 4 else (size, opc)
                if not vector and size == 3 and opc > 1:
                    continue  # PRFM, and unallocated
                if not vector and size == 2 and opc == 3:
                    continue
                load = bool(opc)
                name = f"{'ldr' if load else 'str'} {'v' if vector else 'x'} {1 << size} opc {opc}"
                base = code << 30 | vector << 26 | field << 22 | BASE << 5 | DATA1
                n = 1 << size
                yield Form(f"{name} imm", base | 0x39000000 | 3 << 10, _kind(load), n, 3 * n)
                yield Form(f"{name} unscaled", base | 0x38000000 | 0x1FB << 12, _kind(load), n, -5)
                yield Form(f"{name} pre", base | 0x38000C00 | 7 << 12, _kind(load), n, 7)
                yield Form(f"{name} post", base | 0x38000400 | 0x100 << 12, _kind(load), n)
                for extend, option in (("lsl", 3), ("uxtw", 2), ("sxtw", 6)):
                    word = base | 0x38200800 | option << 13 | OFFSET << 16
                    yield Form(f"{name} reg {extend}", word, _kind(load), n)
                    yield Form(f"{name} reg {extend} scaled", word | 1 << 12, _kind(load), n)
                if not vector:
                    yield Form(
                        f"{name} unprivileged",
                        base | 0x38000800 | 1 << 12,
                        _kind(load),
                        n,
                        1,
                        unprivileged=True,
                    )


def _literals() -> Iterator[Form]:
    for opc, vector, size in ((0, 0, 4), (1, 0, 8), (2, 0, 4), (0, 1, 4), (1, 1, 8), (2, 1, 16)):
        word = opc << 30 | 0x18000000 | vector << 26 | DATA1
        yield Form(f"ldr literal {opc} {vector}", word, "read", size, literal=True, align=4)


def _pairs() -> Iterator[Form]:
    for vector, opc, load, mode in (
        (v, o, ld, m) for v in (0, 1) for o in (0, 1, 2) for ld in (0, 1) for m in range(4)
    ):
        if not vector and opc == 1 and (not load or mode == 0):
            continue  # LDPSW loads, and has no no-allocate form
        size = 4 << opc if vector else (4, 4, 8)[opc]
        word = opc << 30 | 0x28000000 | vector << 26 | mode << 23 | load << 22 | 2 << 15
        word |= DATA2 << 10 | BASE << 5 | DATA1
        bias = 0 if mode == 1 else 2 * size
        yield Form(f"pair v{vector} opc{opc} mode{mode}", word, _kind(bool(load)), 2 * size, bias)


def _synchronised() -> Iterator[Form]:
    for size in range(4):
        n = 1 << size
        top = size << 30 | BASE << 5 | DATA1
        for acquire in (0, 1):
            o0 = acquire << 15
            yield Form(f"ldxr {n} {o0}", top | 0x085F7C00 | o0, "read", n, align=n)
            yield Form(
                f"stxr {n} {o0}",
                top | 0x08007C00 | STATUS << 16 | o0,
                "store-exclusive",
                n,
                align=n,
            )
            if size >= 2:
                pair = top | DATA2 << 10 | o0
                yield Form(f"ldxp {n} {o0}", pair | 0x087F0000, "read", 2 * n, align=2 * n)
                yield Form(
                    f"stxp {n} {o0}",
                    pair | 0x08200000 | STATUS << 16,
                    "store-exclusive",
                    2 * n,
                    align=2 * n,
                )
        yield Form(f"ldar {n}", top | 0x08DFFC00, "read", n, align=n)
        yield Form(f"stlr {n}", top | 0x089FFC00, "write", n, align=n)
        yield Form(f"ldlar {n}", top | 0x08DF7C00, "read", n, align=n, lse=True)
        yield Form(f"stllr {n}", top | 0x089F7C00, "write", n, align=n, lse=True)
        yield Form(f"ldapr {n}", top | 0x38BFC000, "read", n, align=n, lse=True)


def _authenticated() -> Iterator[Form]:
    """The keys are disabled: the address is used as it is."""
    for key in (0, 1):
        word = 0xF8200400 | key << 23 | 2 << 12 | BASE << 5 | DATA1
        yield Form(f"ldra {key}", word, "read", 8, 16, lse=True)
        yield Form(f"ldra {key} pre", word | 1 << 11, "read", 8, 16, lse=True)


def _atomics() -> Iterator[Form]:
    for size in range(4):
        n = 1 << size
        for order in range(4):
            top = size << 30 | BASE << 5 | DATA1
            for opc in range(9):
                word = top | 0x38200000 | order << 22 | DATA2 << 16
                word |= 1 << 15 if opc == 8 else opc << 12
                yield Form(f"atomic {n} {order} {opc}", word, "atomic", n, align=n, lse=True)
            # x8 holds what the memory holds (zero), x10 does not
            cas = top | 0x08A07C00 | (order >> 1) << 22 | (order & 1) << 15
            yield Form(f"cas {n} {order}", cas | COMPARE << 16, "atomic", n, align=n, lse=True)
            yield Form(
                f"cas {n} {order} differs",
                cas | OTHER << 16,
                "failed-compare",
                n,
                align=n,
                lse=True,
            )
            if size < 2:
                pair = size << 30 | BASE << 5 | DATA1 | 0x08207C00
                pair |= (order >> 1) << 22 | (order & 1) << 15
                yield Form(
                    f"casp {n} {order}", pair | COMPARE << 16, "atomic", 8 << size,
                    align=8 << size, lse=True,
                )  # fmt: skip


def _structures() -> Iterator[Form]:
    for load in (0, 1):
        for q in (0, 1):
            for opcode, registers in ((7, 1), (10, 2), (6, 3), (2, 4), (8, 2), (4, 3), (0, 4)):
                for size in range(4):
                    if not q and size == 3 and opcode in (8, 4, 0):
                        continue
                    word = q << 30 | 0x0C000000 | load << 22 | opcode << 12 | size << 10
                    word |= BASE << 5 | DATA1
                    n = registers * (8 << q)
                    name = f"structures l{load} q{q} op{opcode} size{size}"
                    yield Form(name, word, _kind(bool(load)), n)
                    yield Form(name + " post", word | 0x009F0000, _kind(bool(load)), n)
        for registers in range(1, 5):
            r, low = (registers - 1) & 1, (registers - 1) >> 1
            for size, opcode, bits in ((0, 0, 0), (1, 2, 0), (2, 4, 0), (3, 4, 1)):
                word = 0x0D000000 | load << 22 | r << 21 | (opcode | low) << 13 | bits << 10
                word |= BASE << 5 | DATA1
                n = registers << size
                name = f"structure l{load} of {registers} size{size}"
                yield Form(name, word, _kind(bool(load)), n)
                yield Form(name + " upper", word | 1 << 30, _kind(bool(load)), n)
                yield Form(name + " post", word | 0x00800000 | OFFSET << 16, _kind(bool(load)), n)
                if load:
                    word = 0x4D40C000 | r << 21 | low << 13 | size << 10 | BASE << 5 | DATA1
                    name = f"replicate {registers} size{size}"
                    yield Form(name, word, "read", n)
                    yield Form(name + " post", word | 0x00800000 | OFFSET << 16, "read", n)


def _system() -> Iterator[Form]:
    yield Form("dc zva", sys(3, 7, 4, 1, BASE), "zero", 64)
    yield Form("dc ivac", sys(0, 7, 6, 1, BASE), "clean", 64, el1_only=True)
    for name, op1, crm in (("civac", 3, 14), ("cvac", 3, 10), ("cvau", 3, 11)):
        yield Form(f"dc {name}", sys(op1, 7, crm, 1, BASE), "none", 64)
    yield Form("ic ivau", sys(3, 7, 5, 1, BASE), "none", 64)
    for hint in range(32):
        yield Form(f"prfm {hint}", 0xF9800000 | BASE << 5 | hint, "none", 8)
        yield Form(f"prfum {hint}", 0xF8800000 | BASE << 5 | hint, "none", 8)
    yield Form("prfm reg", 0xF8A06800 | OFFSET << 16 | BASE << 5, "none", 8)
    yield Form("prfm literal", 0xD8000000, "none", 8, literal=True, align=4)
    yield Form("add", 0x91000000 | BASE << 5 | DATA1, "none", 8)


def forms() -> list[Form]:
    return [
        *_singles(),
        *_literals(),
        *_pairs(),
        *_synchronised(),
        *_atomics(),
        *_authenticated(),
        *_structures(),
        *_system(),
    ]
