"""Which general-purpose registers and flags an A64 instruction reads (DDI 0487, C4.1).

Covered are X0 to X30, SP and NZCV, for the instructions up to Armv9.3 without SVE and SME. What
SIMD and floating-point instructions read of the V registers is not; what is general-purpose of
their operands is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.arm64.branches import branch
from guestdbg.arm64.loadstore import memory_operand

if TYPE_CHECKING:
    from guestdbg.arm64.loadstore import MemoryOperand

__all__ = ["RegisterRead", "read_by"]

_ZR = _SP = 31
_X, _W = 64, 32


class RegisterRead(NamedTuple):
    """A register that an instruction reads: ``x0`` to ``x30``, ``sp`` or ``nzcv``.

    ``bits``: how many of its low bits can matter: 64, or 32 where it is read as W0 to W30, or as
    many as a store stores; 4 of NZCV.
    """

    name: str
    bits: int


_NZCV = RegisterRead("nzcv", 4)
_Reads = list[RegisterRead]


def _x(number: int, bits: int = _X) -> _Reads:
    return [] if number == _ZR else [RegisterRead(f"x{number}", bits)]


def _x_sp(number: int, bits: int = _X) -> _Reads:
    return [RegisterRead("sp", bits)] if number == _SP else _x(number, bits)


@lru_cache(maxsize=65536)
def read_by(raw: int) -> tuple[RegisterRead, ...]:
    """The registers that an instruction reads, each once; none for an encoding that is not known.

    Those of HVC, SMC, SVC and HLT, which hand registers to somebody else, are none.
    """
    group = raw >> 25 & 15
    found: _Reads
    if group & 0b1110 == 0b1000:
        found = _immediate(raw)
    elif group & 0b1110 == 0b1010:
        found = _branch_or_system(raw)
    elif group & 0b0101 == 0b0100:
        found = _access(raw)
    elif group & 0b0111 == 0b0101:
        found = _register(raw)
    elif group & 0b0111 == 0b0111:
        found = _simd(raw)
    else:
        found = []
    widest: dict[str, int] = {}
    for name, bits in found:
        widest[name] = max(bits, widest.get(name, 0))
    return tuple(RegisterRead(*each) for each in widest.items())


def _width(raw: int) -> int:
    return _X if raw >> 31 else _W


def _rn(raw: int) -> int:
    return raw >> 5 & 31


def _rm(raw: int) -> int:
    return raw >> 16 & 31


def _immediate(raw: int) -> _Reads:
    kind, width = raw >> 23 & 7, _width(raw)
    if kind in (0, 1):  # ADR, ADRP
        return []
    if kind == 5:  # MOVN, MOVZ; MOVK keeps what it does not write
        return _x(raw & 31, width) if raw >> 29 & 3 == 3 else []
    if kind in (2, 3):  # ADD, SUB (immediate); ADDG, SUBG
        return _x_sp(_rn(raw), width)
    if kind == 7:  # EXTR
        return _x(_rn(raw), width) + _x(_rm(raw), width)
    found = _x(_rn(raw), width)
    if kind == 6 and raw >> 29 & 3 == 1:  # BFM
        found += _x(raw & 31, width)
    return found


def _branch_or_system(raw: int) -> _Reads:
    if raw & 0xFE000000 == 0x54000000:  # B.cond, BC.cond
        return [] if raw & 0xE == 0xE else [_NZCV]
    if raw & 0x7E000000 == 0x34000000:  # CBZ, CBNZ
        return _x(raw & 31, _width(raw))
    if raw & 0x7E000000 == 0x36000000:  # TBZ, TBNZ
        return _x(raw & 31)
    if raw & 0xFE000000 == 0xD6000000:
        return _by_register(raw)
    if raw & 0xFFC00000 == 0xD5000000:
        return _system(raw)
    return []


def _by_register(raw: int) -> _Reads:
    found = branch(raw)
    if found is None or raw >> 21 & 15 in (4, 5):  # ERET, DRPS: of ELR_EL1
        return _x_sp(31) if raw & 0x800 else []
    target = _rn(raw)
    if not raw & 0x800:
        return _x(target)
    if raw >> 24 & 1:  # BRAA and the like: the modifier
        return _x(target) + _x_sp(raw & 31)
    if raw >> 21 & 3 == 2:  # RETAA, RETAB
        return [*_x(30), *_x_sp(31)]
    return _x(target)


#: Hints that sign or authenticate a pointer: X17 with X16; X30 with zero, or with SP.
_HINTS = {
    7: ("x30",),
    **dict.fromkeys((8, 10, 12, 14), ("x17", "x16")),
    **dict.fromkeys((24, 26, 28, 30), ("x30",)),
    **dict.fromkeys((25, 27, 29, 31), ("x30", "sp")),
}


def _system(raw: int) -> _Reads:
    if raw & 0xFFFFF01F == 0xD503201F:
        return [RegisterRead(name, _X) for name in _HINTS.get(raw >> 5 & 127, ())]
    if raw & 0xFFFFF0FF in (0xD500401F, 0xD500403F, 0xD500405F):  # CFINV, XAFLAG, AXFLAG
        return [_NZCV]
    if raw & 0xFFFFFFE0 == 0xD53B4200:  # MRS of NZCV
        return [_NZCV]
    if raw >> 21 & 1 == 0 and raw >> 19 & 3 != 0:  # MSR (register), SYS
        return _x(raw & 31)
    return []


def _access(raw: int) -> _Reads:
    operand = memory_operand(raw)
    if operand is None:
        if raw >> 24 == 0xD9:  # tags
            return _x_sp(_rn(raw)) + _x_sp(raw & 31)
        if raw & 0x3F200C00 == 0x38200000 or raw & 0x3B000000 == 0x18000000:
            return []
        index = _x(_rm(raw)) if raw & 0x3B200C00 == 0x38200800 else []
        return _x_sp(_rn(raw)) + index  # PRFM
    found: _Reads = []
    if operand.base <= 31:
        found += _x_sp(operand.base)
    if operand.index is not None:
        found += _x(operand.index, _X if operand.extend & 1 else _W)
    elif operand.simd and operand.writeback and raw & 0x3E000000 == 0x0C000000:
        found += _x(_rm(raw))  # LD1 and the like, post-indexed; 31 is an immediate
    if not operand.simd:
        found += _stored(raw, operand)
    return found


def _stored(raw: int, operand: MemoryOperand) -> _Reads:
    if not operand.writes:
        return []
    bits = min(8 * (operand.element or operand.size), _X)
    registers = operand.registers
    if operand.reads and raw & 0x3F200C00 == 0x38200000:
        registers = registers[:1]  # LDADD and the like, SWP; the other one is loaded
    return [read for number in registers for read in _x(number, bits)]


def _register(raw: int) -> _Reads:
    width = _width(raw)
    rn, rm = _x(_rn(raw), width), _x(_rm(raw), width)
    if raw >> 24 & 31 in (0b01010, 0b01011):
        if raw >> 24 & 1 and raw >> 21 & 1:  # ADD, SUB (extended register)
            narrow = _X if raw >> 13 & 3 == 3 else _W
            return _x_sp(_rn(raw), width) + _x(_rm(raw), min(width, narrow))
        return rn + rm
    if raw >> 24 & 31 == 0b11011:  # three sources
        long = raw >> 21 & 7 in (1, 5)  # SMADDL and the like: two W registers
        both = _x(_rn(raw), _W) + _x(_rm(raw), _W) if long else rn + rm
        high = raw >> 21 & 7 in (2, 6)
        return both if high else both + _x(raw >> 10 & 31, width)
    kind = raw >> 21 & 7
    if raw >> 24 & 31 != 0b11010:
        return []
    if kind == 0:
        return _with_carry(raw, rn, rm)
    if kind == 2:  # CCMN, CCMP
        return [*rn, *([] if raw >> 11 & 1 else rm), *_condition(raw)]
    if kind == 4:  # CSEL and the like
        return [*rn, *rm, *_condition(raw)]
    if raw >> 30 & 1:  # one source; AUTIA and the like have a modifier in Rn
        if raw >> 16 & 31 == 1 and not raw >> 13 & 3:  # with a modifier: not XPACI, PACIZA
            return _x_sp(_rn(raw)) + _x(raw & 31)
        return _x(raw & 31) if raw >> 16 & 31 == 1 else rn
    return _two_sources(raw, rn, rm)


def _with_carry(raw: int, rn: _Reads, rm: _Reads) -> _Reads:
    if not raw & 0xFC00:  # ADC, SBC
        return [*rn, *rm, _NZCV]
    return [*rn, _NZCV]  # RMIF, SETF8, SETF16 keep flags


def _two_sources(raw: int, rn: _Reads, rm: _Reads) -> _Reads:
    if raw >> 10 & 63 == 0b001100 or raw >> 10 & 63 in (0, 4, 5):  # PACGA; SUBP, IRG, GMI
        return _x_sp(_rn(raw)) + _x_sp(_rm(raw))
    if raw >> 10 & 63 in range(0b010000, 0b011000):  # CRC32
        return _x(_rn(raw), _W) + rm
    return rn + rm


def _condition(raw: int) -> _Reads:
    return [] if raw >> 13 & 7 == 7 else [_NZCV]


def _simd(raw: int) -> _Reads:
    if raw & 0x5F200000 == 0x1E000000 and raw >> 16 & 7 in (2, 3):  # SCVTF, UCVTF (fixed point)
        return _x(_rn(raw), _width(raw))
    if raw & 0x5F20FC00 == 0x1E200000 and raw >> 16 & 7 in (2, 3, 7):  # (integers), FMOV
        return _x(_rn(raw), _width(raw))
    if raw & 0xBFE0FC00 in (0x0E000C00, 0x0E001C00):  # DUP, INS (general)
        return _x(_rn(raw))
    if raw & 0xFF200C00 in (0x1E200400, 0x1E200C00):  # FCCMP, FCSEL
        return _condition(raw)
    return []
