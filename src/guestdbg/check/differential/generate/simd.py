"""SIMD and floating-point instructions of Armv8.0 on V0 to V7 (DDI 0487, C4.1.96).

Encodings that the architecture leaves unallocated are not made, nor those of later extensions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.differential.generate.source import SCRATCH

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item
    from guestdbg.check.differential.generate.source import Maker, Source

_FPCR, _FPSR = 0xD51B4400, 0xD53B4420  # MSR FPCR, X0; MRS X0, FPSR
#: The fields of FPCR: AHP, DN, FZ, RMode.
_FPCR_FIELDS = 0x07C00000
#: (U, opcode) of integer instructions with three registers of 8, 16 or 32 bits an element.
_INTEGER = tuple((u, opcode) for u in (0, 1) for opcode in range(0x10)) + (
    *((0, 0x10), (1, 0x10), (0, 0x11), (1, 0x11), (0, 0x12), (1, 0x12), (0, 0x13)),
    *((0, 0x14), (1, 0x14), (0, 0x15), (1, 0x15), (0, 0x17)),
)
_LOGIC = 3  # the opcode whose size selects AND, BIC, ORR, ...
#: (U, bit 23, opcode) of floating-point instructions with three registers.
_FLOAT = (
    *((0, 0, 0x18), (0, 0, 0x19), (0, 0, 0x1A), (0, 0, 0x1B), (0, 0, 0x1C), (0, 0, 0x1E)),
    *((0, 0, 0x1F), (0, 1, 0x18), (0, 1, 0x19), (0, 1, 0x1A), (0, 1, 0x1E), (0, 1, 0x1F)),
    *((1, 0, 0x18), (1, 0, 0x1A), (1, 0, 0x1B), (1, 0, 0x1C), (1, 0, 0x1D), (1, 0, 0x1E)),
    *((1, 0, 0x1F), (1, 1, 0x18), (1, 1, 0x1A), (1, 1, 0x1C), (1, 1, 0x1D), (1, 1, 0x1E)),
)
#: (U, opcode) of integer instructions with two registers; 8, 16 or 32 bits.
_TWO = (
    *((0, 2), (1, 2), (0, 3), (1, 3), (0, 6), (1, 6), (0, 7), (1, 7), (0, 8), (1, 8)),
    *((0, 9), (1, 9), (0, 0xA), (0, 0xB), (1, 0xB), (0, 0x12), (1, 0x12), (0, 0x14), (1, 0x14)),
)
#: (Bit 23, U, opcode) of floating-point instructions with two registers, in single precision.
_TWO_FLOAT = (
    *((0, 0, 0x1A), (0, 0, 0x1B), (0, 1, 0x1A), (0, 1, 0x1B)),
    *((1, 0, 0x1A), (1, 0, 0x1B), (1, 1, 0x1A), (1, 1, 0x1B)),
    *((0, 0, 0x1D), (0, 1, 0x1D), (1, 0, 0xC), (1, 0, 0xD), (1, 0, 0xE), (1, 0, 0xF)),
    *((1, 1, 0xC), (1, 1, 0xD), (1, 1, 0xF), (1, 0, 0x1D), (1, 1, 0x1D), (1, 1, 0x1F)),
)


def _v(s: Source) -> int:
    return s.below(8)


def _nd(s: Source) -> int:
    return _v(s) << 5 | _v(s)


def _mnd(s: Source) -> int:
    return _v(s) << 16 | _nd(s)


def _q(s: Source) -> int:
    return s.below(2) << 30


def _type(s: Source) -> int:
    """Single or double precision."""
    return s.below(2) << 22


def scalar_two(s: Source) -> list[Item]:
    return [0x1E200800 | _type(s) | s.below(9) << 12 | _mnd(s)]


def scalar_one(s: Source) -> list[Item]:
    opcode = s.choice((0, 1, 2, 3, 8, 9, 10, 11, 12, 14, 15))
    return [0x1E204000 | _type(s) | opcode << 15 | _nd(s)]


def scalar_convert(s: Source) -> list[Item]:
    """FCVT between half, single and double precision."""
    source, target = s.choice(((0, 1), (0, 3), (1, 0), (1, 3), (3, 0), (3, 1)))
    return [0x1E224000 | source << 22 | target << 15 | _nd(s)]


def scalar_three(s: Source) -> list[Item]:
    return [0x1F000000 | _type(s) | s.below(2) << 21 | s.below(2) << 15 | _v(s) << 10 | _mnd(s)]


def scalar_compare(s: Source) -> list[Item]:
    if s.chance(50):
        word = 0x1E200400 | s.below(16) << 12 | s.below(2) << 4 | s.bits(4)  # FCCMP, FCCMPE
        return [word | _type(s) | _v(s) << 16 | _v(s) << 5]
    return [0x1E202000 | _type(s) | _v(s) << 16 | _v(s) << 5 | s.below(4) << 3]


def scalar_select(s: Source) -> list[Item]:
    return [0x1E200C00 | _type(s) | s.below(16) << 12 | _mnd(s)]


def scalar_immediate(s: Source) -> list[Item]:
    return [0x1E201000 | _type(s) | s.bits(8) << 13 | _v(s)]


def general(s: Source) -> list[Item]:
    """Conversions and moves between V and X registers."""
    wide, ftype = s.below(2), s.below(2)
    base = 0x1E200000 | wide << 31 | ftype << 22
    kind = s.below(4)
    if kind == 0:  # SCVTF, UCVTF
        return [base | s.choice((2, 3)) << 16 | s.rn() << 5 | _v(s)]
    if kind == 1:  # FCVTxS, FCVTxU
        rmode, opcode = s.choice([(r, o) for r in range(4) for o in (0, 1)] + [(0, 4), (0, 5)])
        return [base | rmode << 19 | opcode << 16 | _v(s) << 5 | s.rd()]
    base = 0x1E200000 | wide << 31 | wide << 22
    if kind == 2:
        return [base | 7 << 16 | s.rn() << 5 | _v(s)]
    return [base | 6 << 16 | _v(s) << 5 | s.rd()]


def fixed_point(s: Source) -> list[Item]:
    wide = s.below(2)
    scale = s.below(64) if wide else 32 + s.below(32)
    base = 0x1E000000 | wide << 31 | _type(s) | scale << 10
    if s.chance(50):
        return [base | s.choice((2, 3)) << 16 | s.rn() << 5 | _v(s)]
    return [base | 3 << 19 | s.below(2) << 16 | _v(s) << 5 | s.rd()]


def three_integer(s: Source) -> list[Item]:
    u, opcode = s.choice(_INTEGER)
    size = s.below(4) if opcode == _LOGIC else s.below(3)
    return [0x0E200400 | _q(s) | u << 29 | size << 22 | opcode << 11 | _mnd(s)]


def three_float(s: Source) -> list[Item]:
    u, high, opcode = s.choice(_FLOAT)
    double = s.below(2)
    q = 1 if double else s.below(2)
    word = 0x0E200400 | q << 30 | u << 29 | high << 23 | double << 22 | opcode << 11
    return [word | _mnd(s)]


def three_long(s: Source) -> list[Item]:
    opcode = s.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12))
    return [0x0E200000 | _q(s) | s.below(2) << 29 | s.below(3) << 22 | opcode << 12 | _mnd(s)]


def two_integer(s: Source) -> list[Item]:
    u, opcode = s.choice(_TWO)
    return [0x0E200800 | _q(s) | u << 29 | s.below(3) << 22 | opcode << 12 | _nd(s)]


def two_float(s: Source) -> list[Item]:
    high, u, opcode = s.choice(_TWO_FLOAT)
    return [0x0E200800 | _q(s) | u << 29 | high << 23 | opcode << 12 | _nd(s)]


def across(s: Source) -> list[Item]:
    word = 0x4E300800 | s.below(2) << 29 | s.below(3) << 22
    return [word | s.choice((3, 0xA, 0x1A)) << 12 | _nd(s)]


def copy(s: Source) -> list[Item]:
    size = s.below(4)
    imm5 = (s.below(16 >> size) << 1 | 1) << size
    kind = s.below(5)
    if kind == 0:
        return [0x4E000400 | imm5 << 16 | _nd(s)]  # DUP (element)
    if kind == 1:
        return [0x4E000C00 | 1 << size + 16 | s.rn() << 5 | _v(s)]  # DUP (general)
    if kind == 2:
        return [0x4E001C00 | imm5 << 16 | s.rn() << 5 | _v(s)]  # INS (general)
    if kind == 3:
        imm4 = s.below(16 >> size) << size
        return [0x6E000400 | imm5 << 16 | imm4 << 11 | _nd(s)]  # INS (element)
    return [0x0E003C00 | (size == 3) << 30 | imm5 << 16 | _v(s) << 5 | s.rd()]  # UMOV


def permute(s: Source) -> list[Item]:
    kind = s.below(3)
    if kind == 0:
        return [0x6E000000 | s.bits(4) << 11 | _mnd(s)]  # EXT
    if kind == 1:
        return [0x4E000000 | s.below(4) << 13 | s.below(2) << 12 | _mnd(s)]  # TBL, TBX
    opcode = s.choice((1, 2, 3, 5, 6, 7))
    return [0x4E000800 | s.below(4) << 22 | opcode << 12 | _mnd(s)]


def shift(s: Source) -> list[Item]:
    wide = s.chance(60)  # all sizes; otherwise those that narrow or widen
    opcode = s.choice((0, 2, 4, 6, 0xA, 0xE) if wide else (0x10, 0x11, 0x12, 0x13, 0x14))
    amount = 8 + s.below(120 if wide else 56)
    return [0x4F000400 | s.below(2) << 29 & -(opcode != 0xA) | amount << 16 | opcode << 11 | _nd(s)]


def immediate(s: Source) -> list[Item]:
    word = 0x4F000400 | s.below(2) << 29 | s.below(16) << 12
    return [word | s.bits(3) << 16 | s.bits(5) << 5 | _v(s)]


def control(s: Source) -> list[Item]:
    """Write FPCR, or read the flags that have accumulated."""
    if s.chance(50):
        return [_FPSR | s.rd()]
    return [asm.mov(SCRATCH, s.bits(32) & _FPCR_FIELDS), _FPCR | SCRATCH]


MAKERS: tuple[tuple[Maker, int], ...] = (
    (scalar_two, 4),
    (scalar_one, 3),
    (scalar_convert, 2),
    (scalar_three, 3),
    (scalar_compare, 3),
    (scalar_select, 1),
    (scalar_immediate, 1),
    (general, 4),
    (fixed_point, 1),
    (three_integer, 4),
    (three_float, 4),
    (three_long, 2),
    (two_integer, 3),
    (two_float, 2),
    (across, 1),
    (copy, 3),
    (permute, 2),
    (shift, 2),
    (immediate, 2),
    (control, 2),
)
