"""A64 instruction words, assembled by hand: what the guests of these tests are made of."""

from guestdbg.arm64.sysregs import SYSREGS

NOP = 0xD503201F
WFE = 0xD503205F
WFI = 0xD503207F
ISB = 0xD5033FDF
ERET = 0xD69F03E0
RET = 0xD65F03C0


def mov(rd: int, value: int) -> list[int]:
    """MOVZ and as many MOVK as the value needs."""
    words = [0xD2800000 | (value & 0xFFFF) << 5 | rd]
    for shift in (1, 2, 3):
        part = value >> 16 * shift & 0xFFFF
        if part:
            words.append(0xF2800000 | shift << 21 | part << 5 | rd)
    return words


def add(rd: int, rn: int, imm: int) -> int:
    return 0x91000000 | imm << 10 | rn << 5 | rd


def b(offset: int) -> int:
    """B to `offset` bytes from here."""
    return 0x14000000 | (offset >> 2 & 0x3FFFFFF)


def br(rn: int) -> int:
    return 0xD61F0000 | rn << 5


def hvc(imm: int = 0) -> int:
    return 0xD4000002 | imm << 5


def smc(imm: int = 0) -> int:
    return 0xD4000003 | imm << 5


def svc(imm: int = 0) -> int:
    return 0xD4000001 | imm << 5


def brk(imm: int = 0) -> int:
    return 0xD4200000 | imm << 5


def _system(name: str, rt: int, read: int) -> int:
    r = SYSREGS[name]
    return (
        0xD5100000
        | read << 21
        | (r.op0 - 2) << 19
        | r.op1 << 16
        | r.crn << 12
        | r.crm << 8
        | r.op2 << 5
        | rt
    )


def msr(name: str, rt: int) -> int:
    return _system(name, rt, 0)


def mrs(rt: int, name: str) -> int:
    return _system(name, rt, 1)


def daifclr(imm: int) -> int:
    return 0xD50340FF | imm << 8


_ACCESS = {
    # name: (word with unsigned scaled offset, log2 of the size)
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
}


def access(name: str, rt: int, rn: int, offset: int = 0) -> int:
    word, scale = _ACCESS[name]
    return word | (offset >> scale) << 10 | rn << 5 | rt


def str_(rt: int, rn: int, offset: int = 0) -> int:
    return access("str", rt, rn, offset)


def ldr(rt: int, rn: int, offset: int = 0) -> int:
    return access("ldr", rt, rn, offset)


def stp(rt: int, rt2: int, rn: int) -> int:
    return 0xA9000000 | rt2 << 10 | rn << 5 | rt


def ldp(rt: int, rt2: int, rn: int) -> int:
    return 0xA9400000 | rt2 << 10 | rn << 5 | rt


def dc_ivac(rt: int) -> int:
    return 0xD5087620 | rt


def flat(*parts: int | list[int]) -> list[int]:
    """Words and lists of words as one list."""
    words: list[int] = []
    for part in parts:
        words.extend(part if isinstance(part, list) else [part])
    return words
