"""Atomics (FEAT_LSE), structures of vectors, and operations on cache lines (C4.1.94, C5.3)."""

from guestdbg.check.assembler.fields import AssemblerError, register, unsigned

_ATOMICS = {
    name: number << 12
    for number, name in enumerate(
        ("ldadd", "ldclr", "ldeor", "ldset", "ldsmax", "ldsmin", "ldumax", "ldumin", "swp")
    )
}


def _log2(size: int) -> int:
    if size not in (1, 2, 4, 8):
        raise AssemblerError(f"{size} bytes: 1, 2, 4 or 8")
    return size.bit_length() - 1


def atomic(name: str, rs: int, rt: int, rn: int, *, size: int = 8) -> int:
    """LDADD, LDCLR … SWP Xs, Xt, [Xn], without ordering."""
    word = 0x38200000 | _log2(size) << 30 | _ATOMICS[name]
    return word | register(rs) << 16 | register(rn) << 5 | register(rt)


def cas(rs: int, rt: int, rn: int, *, size: int = 8) -> int:
    """CAS Xs, Xt, [Xn]."""
    word = 0x08A07C00 | _log2(size) << 30
    return word | register(rs) << 16 | register(rn) << 5 | register(rt)


def casp(rs: int, rt: int, rn: int, *, size: int = 8) -> int:
    """CASP Xs, Xs+1, Xt, Xt+1, [Xn]; ``size`` of one register: 4 or 8; both numbers even."""
    if rs & 1 or rt & 1:
        raise AssemblerError(f"CASP takes pairs that start at an even register, not {rs}, {rt}")
    word = 0x08207C00 | (size == 8) << 30
    return word | register(rs) << 16 | register(rn) << 5 | register(rt)


# Number of registers -> opcode: of LD1/ST1 (consecutive), and of LDn/STn (interleaved).
_ONE = {1: 0x7000, 2: 0xA000, 3: 0x6000, 4: 0x2000}
_MANY = {2: 0x8000, 3: 0x4000, 4: 0x0000}


def structure(name: str, rt: int, rn: int, *, registers: int = 1) -> int:
    """LD1, ST1 (of 1 to 4 registers), LD2, ST2 … ST4 {Vt.16B …}, [Xn]."""
    load, elements = name[:2] == "ld", int(name[2:])
    if elements == 1:
        opcode = _ONE[registers]
    elif registers in (1, elements):
        opcode = _MANY[elements]
    else:
        raise AssemblerError(f"{name} takes {elements} registers")
    return 0x4C000000 | load << 22 | opcode | register(rn) << 5 | register(rt)


_DC = {
    # name: op1, CRm, op2
    "ivac": (0, 6, 1),
    "isw": (0, 6, 2),
    "csw": (0, 10, 2),
    "cisw": (0, 14, 2),
    "cvac": (3, 10, 1),
    "cvau": (3, 11, 1),
    "civac": (3, 14, 1),
    "zva": (3, 4, 1),
}


def dc(name: str, rt: int) -> int:
    """DC name, Xt."""
    op1, crm, op2 = _DC[name]
    return 0xD5087000 | op1 << 16 | unsigned(crm, 4) << 8 | op2 << 5 | register(rt)


def dc_ivac(rt: int) -> int:
    """DC IVAC, Xt."""
    return dc("ivac", rt)


def dc_zva(rt: int) -> int:
    """DC ZVA, Xt."""
    return dc("zva", rt)
