"""Instructions that compute, with every operand and flag (DDI 0487, C4.1.92 to C4.1.96)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item
    from guestdbg.check.differential.generate.source import Maker, Source


def _r(s: Source) -> int:
    return s.rn() << 16 | s.rn() << 5 | s.rd()


def _sf(s: Source) -> int:
    return 0 if s.chance(35) else 1 << 31


def add_sub_immediate(s: Source) -> list[Item]:
    word = 0x11000000 | _sf(s) | s.below(4) << 29 | s.below(2) << 22 | s.bits(12) << 10
    return [word | s.choice(range(13)) << 5 | s.rd()]


def add_sub_shifted(s: Source) -> list[Item]:
    sf = _sf(s)
    amount = s.below(64 if sf else 32)
    return [0x0B000000 | sf | s.below(4) << 29 | s.below(3) << 22 | amount << 10 | _r(s)]


def add_sub_extended(s: Source) -> list[Item]:
    word = 0x0B200000 | _sf(s) | s.below(4) << 29 | s.below(8) << 13 | s.below(5) << 10
    return [word | s.rn() << 16 | s.choice(range(13)) << 5 | s.rd()]


def logical_shifted(s: Source) -> list[Item]:
    sf = _sf(s)
    word = 0x0A000000 | sf | s.below(4) << 29 | s.below(4) << 22 | s.below(2) << 21
    return [word | s.below(64 if sf else 32) << 10 | _r(s)]


def logical_immediate(s: Source) -> list[Item]:
    sf = _sf(s)
    size = s.choice((2, 4, 8, 16, 32, 64) if sf else (2, 4, 8, 16, 32))
    imms = ~(2 * size - 1) & 0x3F | s.below(size - 1)
    word = 0x12000000 | sf | s.below(4) << 29 | (size == 64) << 22
    return [word | s.below(size) << 16 | imms << 10 | s.rn() << 5 | s.rd()]


def move_wide(s: Source) -> list[Item]:
    sf = _sf(s)
    word = 0x12800000 | sf | s.choice((0, 2, 3)) << 29 | s.below(4 if sf else 2) << 21
    return [word | s.bits(16) << 5 | s.rd()]


def bitfield(s: Source) -> list[Item]:
    sf = _sf(s)
    width = 64 if sf else 32
    word = 0x13000000 | sf | bool(sf) << 22 | s.below(3) << 29
    return [word | s.below(width) << 16 | s.below(width) << 10 | s.rn() << 5 | s.rd()]


def extract(s: Source) -> list[Item]:
    sf = _sf(s)
    return [0x13800000 | sf | bool(sf) << 22 | s.below(64 if sf else 32) << 10 | _r(s)]


def select(s: Source) -> list[Item]:
    word = 0x1A800000 | _sf(s) | s.below(2) << 30 | s.below(16) << 12 | s.below(2) << 10
    return [word | _r(s)]


def conditional_compare(s: Source) -> list[Item]:
    word = 0x3A400000 | _sf(s) | s.below(2) << 30 | s.below(16) << 12 | s.below(2) << 11
    return [word | s.bits(5) << 16 | s.rn() << 5 | s.bits(4)]


def one_source(s: Source) -> list[Item]:
    sf = _sf(s)
    opcode = s.choice((0, 1, 2, 3, 4, 5) if sf else (0, 1, 2, 4, 5))
    return [0x5AC00000 | sf | opcode << 10 | s.rn() << 5 | s.rd()]


def two_source(s: Source) -> list[Item]:
    return [0x1AC00000 | _sf(s) | s.choice((2, 3, 8, 9, 10, 11)) << 10 | _r(s)]


def multiply(s: Source) -> list[Item]:
    if s.chance(60):
        return [0x1B000000 | _sf(s) | s.below(2) << 15 | s.rn() << 10 | _r(s)]
    if s.chance(50):
        return [s.choice((0x9B407C00, 0x9BC07C00)) | _r(s)]
    return [s.choice((0x9B200000, 0x9BA00000)) | s.below(2) << 15 | s.rn() << 10 | _r(s)]


def with_carry(s: Source) -> list[Item]:
    return [0x1A000000 | _sf(s) | s.below(4) << 29 | _r(s)]


def address(s: Source) -> list[Item]:
    return [0x10000000 | s.below(2) << 31 | s.bits(2) << 29 | s.bits(8) << 5 | s.rd()]


MAKERS: tuple[tuple[Maker, int], ...] = (
    (add_sub_immediate, 6),
    (add_sub_shifted, 6),
    (add_sub_extended, 3),
    (logical_shifted, 4),
    (logical_immediate, 3),
    (move_wide, 3),
    (bitfield, 3),
    (extract, 1),
    (select, 3),
    (conditional_compare, 3),
    (one_source, 2),
    (two_source, 3),
    (multiply, 2),
    (with_carry, 2),
    (address, 1),
)
