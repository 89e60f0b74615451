"""Which A64 instructions change the flow of control, and where to (DDI 0487, C4.1.93)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class BranchKind(Enum):
    """The kinds of branches, as a debugger that steps over them distinguishes them."""

    JUMP = "jump"
    CALL = "call"
    RETURN = "return"
    EXCEPTION_RETURN = "exception return"


@dataclass(frozen=True)
class Branch:
    """A branch. Its target is `offset` from its own address, or in register number `register`.

    `test` is the register that CBZ, CBNZ, TBZ or TBNZ tests.
    """

    kind: BranchKind
    offset: int | None = None
    register: int | None = None
    conditional: bool = False
    authenticated: bool = False
    test: int | None = None

    def target(self, pc: int, read_reg: Callable[[str], int]) -> int | None:
        """Where it goes when taken; None for an exception return, which goes to ELR_ELx.

        The PAC bits of an authenticated target are removed (for 48-bit addresses).
        """
        if self.offset is not None:
            return (pc + self.offset) & (1 << 64) - 1
        if self.register is None:
            return None
        value = read_reg(f"x{self.register}") if self.register != 31 else 0
        return without_pac(value) if self.authenticated else value


def without_pac(pointer: int, va_bits: int = 48) -> int:
    """A pointer without its authentication code or tag: copies of bit 55 from bit `va_bits` up.

    A guest with 52-bit addresses has a shorter code. Its pointers to addresses below 48 bits come
    out right too.
    """
    low = pointer & ((1 << va_bits) - 1)
    return low | ((1 << 64) - (1 << va_bits)) if pointer >> 55 & 1 else low


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def branch(raw: int) -> Branch | None:
    """Decode a branch; None for anything else (exception generation included)."""
    if raw & 0x7C000000 == 0x14000000:  # B, BL
        kind = BranchKind.CALL if raw >> 31 else BranchKind.JUMP
        return Branch(kind, offset=_signed(raw, 26) << 2)
    if raw & 0xFF000000 == 0x54000000:  # B.cond, BC.cond
        # Conditions AL and NV are always true.
        return Branch(BranchKind.JUMP, offset=_signed(raw >> 5, 19) << 2, conditional=raw & 15 < 14)
    if raw & 0x7E000000 == 0x34000000:  # CBZ, CBNZ
        return Branch(
            BranchKind.JUMP, offset=_signed(raw >> 5, 19) << 2, conditional=True, test=raw & 31
        )
    if raw & 0x7E000000 == 0x36000000:  # TBZ, TBNZ
        return Branch(
            BranchKind.JUMP, offset=_signed(raw >> 5, 14) << 2, conditional=True, test=raw & 31
        )
    if raw & 0xFE000000 == 0xD6000000:
        return _by_register(raw)
    return None


def _by_register(raw: int) -> Branch | None:
    """BR, BLR, RET, ERET and their pointer-authenticating forms."""
    opc, op2, op3 = raw >> 21 & 15, raw >> 16 & 31, raw >> 10 & 63
    rn, op4 = raw >> 5 & 31, raw & 31
    if op2 != 31:
        return None
    kinds = (BranchKind.JUMP, BranchKind.CALL, BranchKind.RETURN)
    if op3 == 0 and op4 == 0 and opc < 3:
        return Branch(kinds[opc], register=rn)
    if op3 == 0 and op4 == 0 and opc == 4 and rn == 31:
        return Branch(BranchKind.EXCEPTION_RETURN)
    if op3 in (2, 3):
        if opc < 2 and op4 == 31:  # BRAAZ, BRABZ, BLRAAZ, BLRABZ
            return Branch(kinds[opc], register=rn, authenticated=True)
        if opc == 2 and rn == 31 and op4 == 31:  # RETAA, RETAB
            return Branch(BranchKind.RETURN, register=30, authenticated=True)
        if opc == 4 and rn == 31 and op4 == 31:  # ERETAA, ERETAB
            return Branch(BranchKind.EXCEPTION_RETURN, authenticated=True)
        if opc in (8, 9):  # BRAA, BRAB, BLRAA, BLRAB
            return Branch(kinds[opc - 8], register=rn, authenticated=True)
    return None
