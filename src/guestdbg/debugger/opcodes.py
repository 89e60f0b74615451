"""The few instructions that a debugger must know by sight (DDI 0487, C4.1, encoding tables)."""

from __future__ import annotations

__all__ = [
    "branch_target",
    "is_call",
    "is_exclusive",
    "is_load_exclusive",
    "is_return",
    "is_store_exclusive",
]

_U64 = (1 << 64) - 1


def is_exclusive(raw: int) -> bool:
    """LDXR, STXR and their pairs, acquire and release forms (not the LSE ones beside them)."""
    # size 001000 o2 L o1: o2 = 0 and o1 = 0, or o1 = 1 with a size of words or doublewords.
    return raw & 0x3FA00000 == 0x08000000 or raw & 0xBFA00000 == 0x88200000


def is_load_exclusive(raw: int) -> bool:
    """LDXR, LDAXR, LDXP, LDAXP and the narrow ones."""
    return bool(raw >> 22 & 1) and is_exclusive(raw)


def is_store_exclusive(raw: int) -> bool:
    """STXR, STLXR, STXP, STLXP and the narrow ones."""
    return not raw >> 22 & 1 and is_exclusive(raw)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


def branch_target(raw: int, pc: int) -> int | None:
    """Where B, B.cond, CBZ, CBNZ, TBZ or TBNZ at ``pc`` branches to; None for anything else."""
    if raw >> 26 == 0b000101:
        offset = _signed(raw & 0x3FFFFFF, 26)
    elif raw >> 24 == 0b01010100 or raw >> 25 & 0x3F == 0b011010:
        offset = _signed(raw >> 5 & 0x7FFFF, 19)
    elif raw >> 25 & 0x3F == 0b011011:
        offset = _signed(raw >> 5 & 0x3FFF, 14)
    else:
        return None
    return pc + 4 * offset & _U64


def is_call(raw: int) -> bool:
    """BL, BLR, and BLRAA and its like."""
    return raw >> 26 == 0b100101 or raw & 0xFEFFF000 == 0xD63F0000


def is_return(raw: int) -> bool:
    """RET, RETAA, RETAB."""
    return raw & 0xFFFFFC1F == 0xD65F0000 or raw & 0xFFFFFBFF == 0xD65F0BFF
