"""Loads and stores of one register, pairs, exclusives, and ordered ones (C4.1.94)."""

from guestdbg.check.assembler.fields import AssemblerError, register, scaled, signed, unsigned

_SINGLE = {
    # name: (bits 31 to 22 of the unsigned-offset form, log2 of the size)
    "str": (0xF9000000, 3),
    "ldr": (0xF9400000, 3),
    "strw": (0xB9000000, 2),
    "ldrw": (0xB9400000, 2),
    "ldrsw": (0xB9800000, 2),
    "strh": (0x79000000, 1),
    "ldrh": (0x79400000, 1),
    "ldrsh": (0x79800000, 1),
    "ldrshw": (0x79C00000, 1),
    "strb": (0x39000000, 0),
    "ldrb": (0x39400000, 0),
    "ldrsb": (0x39800000, 0),
    "ldrsbw": (0x39C00000, 0),
    # SIMD and floating point: the register is a V register.
    "str_b": (0x3D000000, 0),
    "ldr_b": (0x3D400000, 0),
    "str_h": (0x7D000000, 1),
    "ldr_h": (0x7D400000, 1),
    "str_s": (0xBD000000, 2),
    "ldr_s": (0xBD400000, 2),
    "str_d": (0xFD000000, 3),
    "ldr_d": (0xFD400000, 3),
    "str_q": (0x3D800000, 4),
    "ldr_q": (0x3DC00000, 4),
}
# The other addressing modes have bit 24 clear, and these bits set.
_MODES = {"unscaled": 0x000, "post": 0x400, "unprivileged": 0x800, "pre": 0xC00}


def access(name: str, rt: int, rn: int, offset: int = 0, *, mode: str = "offset") -> int:
    """A load or store of one register.

    Args:
        name: ``str``, ``ldr``, with ``w``, ``h``, ``b`` for narrower ones, ``ldrsw`` … for those
            that extend the sign, ``str_q`` … for V registers.
        mode: ``offset`` (scaled, unsigned), ``unscaled`` (STUR), ``pre``, ``post``,
            ``unprivileged`` (STTR), or ``register``: then ``offset`` is the number of Xm.
    """
    word, scale = _SINGLE[name]
    common = register(rn) << 5 | register(rt)
    if mode == "offset":
        return word | unsigned(scaled(offset, scale), 12, "offset") << 10 | common
    word &= ~(1 << 24)
    if mode == "register":
        return word | 1 << 21 | register(offset) << 16 | 0x6800 | common
    return word | signed(offset, 9) << 12 | _MODES[mode] | common


_PAIRS = {
    # name: (word of the signed-offset form, log2 of one register's size)
    "stp": (0xA9000000, 3),
    "ldp": (0xA9400000, 3),
    "stpw": (0x29000000, 2),
    "ldpw": (0x29400000, 2),
    "ldpsw": (0x69400000, 2),
    "stp_s": (0x2D000000, 2),
    "ldp_s": (0x2D400000, 2),
    "stp_d": (0x6D000000, 3),
    "ldp_d": (0x6D400000, 3),
    "stp_q": (0xAD000000, 4),
    "ldp_q": (0xAD400000, 4),
    "stnp": (0xA8000000, 3),
    "ldnp": (0xA8400000, 3),
}
_PAIR_MODES = {"offset": 0, "post": -0x00800000, "pre": 0x00800000}


def pair(name: str, rt: int, rt2: int, rn: int, offset: int = 0, *, mode: str = "offset") -> int:
    """A load or store of two registers; ``mode``: ``offset``, ``pre``, ``post``."""
    word, scale = _PAIRS[name]
    if name.endswith("np") and mode != "offset":
        raise AssemblerError(f"{name} has no {mode}-indexed form")
    imm = signed(scaled(offset, scale), 7)
    return (
        word + _PAIR_MODES[mode]
        | imm << 15
        | register(rt2) << 10
        | register(rn) << 5
        | register(rt)
    )


def _size(size: int) -> int:
    if size not in (1, 2, 4, 8):
        raise AssemblerError(f"{size} bytes: 1, 2, 4 or 8")
    return (size.bit_length() - 1) << 30


def load_exclusive(rt: int, rn: int, *, size: int = 8, acquire: bool = False) -> int:
    """LDXR, LDAXR and the narrower ones."""
    return 0x085F7C00 | _size(size) | acquire << 15 | register(rn) << 5 | register(rt)


def store_exclusive(rs: int, rt: int, rn: int, *, size: int = 8, release: bool = False) -> int:
    """STXR, STLXR and the narrower ones; ``rs`` gets the status."""
    word = 0x08007C00 | _size(size) | release << 15
    return word | register(rs) << 16 | register(rn) << 5 | register(rt)


def load_pair_exclusive(rt: int, rt2: int, rn: int, *, size: int = 8) -> int:
    """LDXP; ``size`` of one register: 4 or 8."""
    return 0x887F0000 | (size == 8) << 30 | register(rt2) << 10 | register(rn) << 5 | register(rt)


def store_pair_exclusive(rs: int, rt: int, rt2: int, rn: int, *, size: int = 8) -> int:
    """STXP; ``size`` of one register: 4 or 8."""
    word = 0x88200000 | (size == 8) << 30 | register(rs) << 16
    return word | register(rt2) << 10 | register(rn) << 5 | register(rt)


def ordered_load(rt: int, rn: int, *, size: int = 8) -> int:
    """LDAR and the narrower ones."""
    return 0x08DFFC00 | _size(size) | register(rn) << 5 | register(rt)


def ordered_store(rt: int, rn: int, *, size: int = 8) -> int:
    """STLR and the narrower ones."""
    return 0x089FFC00 | _size(size) | register(rn) << 5 | register(rt)


def load_literal(rt: int, offset: int) -> int:
    """LDR Xt, here + offset."""
    return 0x58000000 | signed(scaled(offset, 2), 19) << 5 | register(rt)


def prefetch(rn: int, operation: int = 0) -> int:
    """PRFM operation, [Xn] (0: PLDL1KEEP, 16: PSTL1KEEP)."""
    return 0xF9800000 | register(rn) << 5 | unsigned(operation, 5, "operation")
