"""Instructions that compute: moves, arithmetic, logic, a little floating point (C4.1.92 to 97)."""

from guestdbg.check.assembler.fields import AssemblerError, r3, register, unsigned


def movz(rd: int, imm: int, shift: int = 0) -> int:
    """MOVZ Xd, #imm, LSL #shift."""
    return 0xD2800000 | _half(shift) << 21 | unsigned(imm, 16) << 5 | register(rd)


def movk(rd: int, imm: int, shift: int = 0) -> int:
    """MOVK Xd, #imm, LSL #shift."""
    return 0xF2800000 | _half(shift) << 21 | unsigned(imm, 16) << 5 | register(rd)


def _half(shift: int) -> int:
    if shift not in (0, 16, 32, 48):
        raise AssemblerError(f"shift {shift}: MOVZ and MOVK shift by 0, 16, 32 or 48")
    return shift // 16


def mov(rd: int, value: int) -> list[int]:
    """MOVZ and as many MOVK as the value needs."""
    unsigned(value, 64)
    words = [movz(rd, value & 0xFFFF)]
    words += [
        movk(rd, value >> shift & 0xFFFF, shift)
        for shift in (16, 32, 48)
        if value >> shift & 0xFFFF
    ]
    return words


def add(rd: int, rn: int, imm: int) -> int:
    """ADD Xd, Xn, #imm (register 31 is SP)."""
    return 0x91000000 | unsigned(imm, 12) << 10 | register(rn) << 5 | register(rd)


def sub(rd: int, rn: int, imm: int) -> int:
    """SUB Xd, Xn, #imm (register 31 is SP)."""
    return 0xD1000000 | unsigned(imm, 12) << 10 | register(rn) << 5 | register(rd)


def subs(rd: int, rn: int, imm: int) -> int:
    """SUBS Xd, Xn, #imm."""
    return 0xF1000000 | unsigned(imm, 12) << 10 | register(rn) << 5 | register(rd)


def cmp(rn: int, imm: int) -> int:
    """CMP Xn, #imm."""
    return subs(31, rn, imm)


def add_reg(rd: int, rn: int, rm: int) -> int:
    """ADD Xd, Xn, Xm."""
    return 0x8B000000 | r3(rd, rn, rm)


def subs_reg(rd: int, rn: int, rm: int) -> int:
    """SUBS Xd, Xn, Xm."""
    return 0xEB000000 | r3(rd, rn, rm)


def and_reg(rd: int, rn: int, rm: int) -> int:
    """AND Xd, Xn, Xm."""
    return 0x8A000000 | r3(rd, rn, rm)


def orr_reg(rd: int, rn: int, rm: int) -> int:
    """ORR Xd, Xn, Xm (with Xn = 31: MOV Xd, Xm)."""
    return 0xAA000000 | r3(rd, rn, rm)


def eor_reg(rd: int, rn: int, rm: int) -> int:
    """EOR Xd, Xn, Xm."""
    return 0xCA000000 | r3(rd, rn, rm)


def madd(rd: int, rn: int, rm: int, ra: int = 31) -> int:
    """MADD Xd, Xn, Xm, Xa (without Xa: MUL)."""
    return 0x9B000000 | r3(rd, rn, rm) | register(ra) << 10


def udiv(rd: int, rn: int, rm: int) -> int:
    """UDIV Xd, Xn, Xm."""
    return 0x9AC00800 | r3(rd, rn, rm)


def lslv(rd: int, rn: int, rm: int) -> int:
    """LSL Xd, Xn, Xm."""
    return 0x9AC02000 | r3(rd, rn, rm)


def csel(rd: int, rn: int, rm: int, condition: int) -> int:
    """CSEL Xd, Xn, Xm, condition (its number: asm.CONDITIONS)."""
    return 0x9A800000 | r3(rd, rn, rm) | unsigned(condition, 4, "condition") << 12


def adr(rd: int, offset: int) -> int:
    """ADR Xd, here + offset."""
    if not -(1 << 20) <= offset < 1 << 20:
        raise AssemblerError(f"ADR reaches 1 MiB either way, not {offset:#x}")
    return 0x10000000 | (offset & 3) << 29 | (offset >> 2 & 0x7FFFF) << 5 | register(rd)


def fmov_from_x(rd: int, rn: int) -> int:
    """FMOV Dd, Xn."""
    return 0x9E670000 | register(rn) << 5 | register(rd)


def fmov_to_x(rd: int, rn: int) -> int:
    """FMOV Xd, Dn."""
    return 0x9E660000 | register(rn) << 5 | register(rd)


def fadd(rd: int, rn: int, rm: int) -> int:
    """FADD Dd, Dn, Dm."""
    return 0x1E602800 | r3(rd, rn, rm)
