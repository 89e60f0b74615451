"""The opcodes of agent expressions.

An expression is a string of bytes: opcodes, some of which are followed by a big-endian operand.
Source: "Debugging with GDB", appendix F (the GDB agent expression mechanism).
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = ["OPCODE_INFO", "UNSUPPORTED", "Opcode", "OpcodeInfo"]


class Opcode(IntEnum):
    """The opcodes by the names in the manual."""

    FLOAT = 0x01
    ADD = 0x02
    SUB = 0x03
    MUL = 0x04
    DIV_SIGNED = 0x05
    DIV_UNSIGNED = 0x06
    REM_SIGNED = 0x07
    REM_UNSIGNED = 0x08
    LSH = 0x09
    RSH_SIGNED = 0x0A
    RSH_UNSIGNED = 0x0B
    TRACE = 0x0C
    TRACE_QUICK = 0x0D
    LOG_NOT = 0x0E
    BIT_AND = 0x0F
    BIT_OR = 0x10
    BIT_XOR = 0x11
    BIT_NOT = 0x12
    EQUAL = 0x13
    LESS_SIGNED = 0x14
    LESS_UNSIGNED = 0x15
    EXT = 0x16
    REF8 = 0x17
    REF16 = 0x18
    REF32 = 0x19
    REF64 = 0x1A
    REF_FLOAT = 0x1B
    REF_DOUBLE = 0x1C
    REF_LONG_DOUBLE = 0x1D
    L_TO_D = 0x1E
    D_TO_L = 0x1F
    IF_GOTO = 0x20
    GOTO = 0x21
    CONST8 = 0x22
    CONST16 = 0x23
    CONST32 = 0x24
    CONST64 = 0x25
    REG = 0x26
    END = 0x27
    DUP = 0x28
    POP = 0x29
    ZERO_EXT = 0x2A
    SWAP = 0x2B
    GETV = 0x2C
    SETV = 0x2D
    TRACEV = 0x2E
    TRACENZ = 0x2F
    TRACE16 = 0x30
    PICK = 0x32
    ROT = 0x33
    PRINTF = 0x34


class OpcodeInfo(NamedTuple):
    """Bytes of the operand, and how many values an opcode pops from and pushes onto the stack."""

    operand_size: int
    consumed: int
    produced: int


def _opcode_info() -> dict[Opcode, OpcodeInfo]:
    o = Opcode
    binary = [o.ADD, o.SUB, o.MUL, o.DIV_SIGNED, o.DIV_UNSIGNED, o.REM_SIGNED, o.REM_UNSIGNED]
    binary += [o.LSH, o.RSH_SIGNED, o.RSH_UNSIGNED, o.BIT_AND, o.BIT_OR, o.BIT_XOR]
    binary += [o.EQUAL, o.LESS_SIGNED, o.LESS_UNSIGNED]
    found = dict.fromkeys(binary, OpcodeInfo(0, 2, 1))
    found |= dict.fromkeys(
        (o.LOG_NOT, o.BIT_NOT, o.REF8, o.REF16, o.REF32, o.REF64), OpcodeInfo(0, 1, 1)
    )
    found |= dict.fromkeys((o.EXT, o.ZERO_EXT), OpcodeInfo(1, 1, 1))
    found |= {
        op: OpcodeInfo(size, 0, 1)
        for op, size in ((o.CONST8, 1), (o.CONST16, 2), (o.CONST32, 4), (o.CONST64, 8), (o.REG, 2))
    }
    found |= {
        o.IF_GOTO: OpcodeInfo(2, 1, 0),
        o.GOTO: OpcodeInfo(2, 0, 0),
        o.END: OpcodeInfo(0, 0, 0),
        o.DUP: OpcodeInfo(0, 1, 2),
        o.POP: OpcodeInfo(0, 1, 0),
        o.SWAP: OpcodeInfo(0, 2, 2),
        o.ROT: OpcodeInfo(0, 3, 3),
        o.PICK: OpcodeInfo(1, 0, 1),  # the stack must be deeper than the operand
        o.PRINTF: OpcodeInfo(3, 2, 0),  # also pops its arguments; the format string follows
    }
    return found


#: Of every supported opcode.
OPCODE_INFO: dict[Opcode, OpcodeInfo] = _opcode_info()

_FLOATS = "floating point, which the manual does not define and GDB does not send"
_TRACING = "part of tracepoints, which this server does not support"

_FLOAT_OPCODES = (
    Opcode.FLOAT,
    Opcode.REF_FLOAT,
    Opcode.REF_DOUBLE,
    Opcode.REF_LONG_DOUBLE,
    Opcode.L_TO_D,
    Opcode.D_TO_L,
)
_TRACING_OPCODES = (
    Opcode.TRACE,
    Opcode.TRACE_QUICK,
    Opcode.TRACE16,
    Opcode.TRACENZ,
    Opcode.TRACEV,
    Opcode.GETV,
    Opcode.SETV,
)

#: Why each of the other opcodes is not supported.
UNSUPPORTED: dict[Opcode, str] = {
    **dict.fromkeys(_FLOAT_OPCODES, _FLOATS),
    **dict.fromkeys(_TRACING_OPCODES, _TRACING),
}
