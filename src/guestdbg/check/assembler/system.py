"""Exceptions, hints, barriers, system registers (C4.1.95)."""

from guestdbg.arm64.sysregs import by_name
from guestdbg.check.assembler.fields import register, unsigned

NOP = 0xD503201F
YIELD = 0xD503203F
WFE = 0xD503205F
WFI = 0xD503207F
SEVL = 0xD50320BF
ISB = 0xD5033FDF
DSB = 0xD5033F9F
DMB = 0xD5033FBF
CLREX = 0xD5033F5F
ERET = 0xD69F03E0
RET = 0xD65F03C0


def hint(number: int) -> int:
    """HINT #number."""
    return 0xD503201F | unsigned(number, 7, "hint") << 5


def svc(imm: int = 0) -> int:
    """SVC #imm."""
    return 0xD4000001 | unsigned(imm, 16) << 5


def hvc(imm: int = 0) -> int:
    """HVC #imm."""
    return 0xD4000002 | unsigned(imm, 16) << 5


def smc(imm: int = 0) -> int:
    """SMC #imm."""
    return 0xD4000003 | unsigned(imm, 16) << 5


def brk(imm: int = 0) -> int:
    """BRK #imm."""
    return 0xD4200000 | unsigned(imm, 16) << 5


def hlt(imm: int = 0) -> int:
    """HLT #imm."""
    return 0xD4400000 | unsigned(imm, 16) << 5


def udf(imm: int = 0) -> int:
    """UDF #imm."""
    return unsigned(imm, 16)


def _system(name: str, rt: int, read: int) -> int:
    r = by_name(name)
    return (
        0xD5100000
        | read << 21
        | (r.op0 - 2) << 19
        | r.op1 << 16
        | r.crn << 12
        | r.crm << 8
        | r.op2 << 5
        | register(rt)
    )


def msr(name: str, rt: int) -> int:
    """MSR name, Xt."""
    return _system(name, rt, 0)


def mrs(rt: int, name: str) -> int:
    """MRS Xt, name."""
    return _system(name, rt, 1)


def daifset(imm: int) -> int:
    """MSR DAIFSet, #imm."""
    return 0xD50340DF | unsigned(imm, 4) << 8


def daifclr(imm: int) -> int:
    """MSR DAIFClr, #imm."""
    return 0xD50340FF | unsigned(imm, 4) << 8
