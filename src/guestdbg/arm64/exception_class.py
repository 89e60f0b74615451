"""ESR_ELx.EC: why an exception was taken (D23.2.37).

This module imports nothing else of the package: the code that runs at every stop uses its plain
ints, which compare and hash faster than the members of ``EC``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

__all__ = [
    "BKPT32",
    "BREAKPT",
    "BRK64",
    "DEBUG_CLASSES",
    "DEBUG_CLASS_NAMES",
    "EC",
    "EC_MASK",
    "EC_SHIFT",
    "SOFTSTP",
    "WATCHPT",
    "either_el",
    "exception_class",
]


class EC(IntEnum):
    """ESR_ELx.EC, named as the kernel's ESR_ELx_EC_* constants are."""

    UNKNOWN = 0x00
    WFX = 0x01
    CP15_32 = 0x03
    CP15_64 = 0x04
    CP14_MR = 0x05
    CP14_LS = 0x06
    FP_ASIMD = 0x07
    CP10_ID = 0x08
    PAC = 0x09
    OTHER = 0x0A
    CP14_64 = 0x0C
    BTI = 0x0D
    ILL = 0x0E
    SVC32 = 0x11
    HVC32 = 0x12
    SMC32 = 0x13
    SYS128 = 0x14
    SVC64 = 0x15
    HVC64 = 0x16
    SMC64 = 0x17
    SYS64 = 0x18
    SVE = 0x19
    ERET = 0x1A
    TSTART = 0x1B
    FPAC = 0x1C
    SME = 0x1D
    GPC = 0x1E
    IMP_DEF = 0x1F
    IABT_LOW = 0x20
    IABT_CUR = 0x21
    PC_ALIGN = 0x22
    DABT_LOW = 0x24
    DABT_CUR = 0x25
    SP_ALIGN = 0x26
    MOPS = 0x27
    FP_EXC32 = 0x28
    FP_EXC64 = 0x2C
    GCS = 0x2D
    SERROR = 0x2F
    BREAKPT_LOW = 0x30
    BREAKPT_CUR = 0x31
    SOFTSTP_LOW = 0x32
    SOFTSTP_CUR = 0x33
    WATCHPT_LOW = 0x34
    WATCHPT_CUR = 0x35
    BKPT32 = 0x38
    VECTOR32 = 0x3A
    BRK64 = 0x3C
    PROFILING = 0x3D


#: Where EC lies in ESR_ELx, and its width as a mask.
EC_SHIFT: Final = 26
EC_MASK: Final = 0x3F

# The classes of debug exceptions, as plain ints. Breakpoint, software step and watchpoint have two
# classes each: the even one when the exception comes from a lower Exception level, the odd one when
# it is taken without a change of level. These are the even ones: compare them with either_el(ec).
BREAKPT: Final = int(EC.BREAKPT_LOW)
SOFTSTP: Final = int(EC.SOFTSTP_LOW)
WATCHPT: Final = int(EC.WATCHPT_LOW)
BKPT32: Final = int(EC.BKPT32)
BRK64: Final = int(EC.BRK64)

#: The classes of debug exceptions that reach a hypervisor from its guest.
DEBUG_CLASSES = frozenset({EC.BREAKPT_LOW, EC.SOFTSTP_LOW, EC.WATCHPT_LOW, EC.BKPT32, EC.BRK64})

#: What the debug exceptions are called in messages, by class.
DEBUG_CLASS_NAMES: Final[dict[int, str]] = {
    EC.BREAKPT_LOW: "breakpoint",
    EC.BREAKPT_CUR: "breakpoint",
    EC.SOFTSTP_LOW: "software step",
    EC.SOFTSTP_CUR: "software step",
    EC.WATCHPT_LOW: "watchpoint",
    EC.WATCHPT_CUR: "watchpoint",
    EC.BKPT32: "BKPT (AArch32)",
    EC.BRK64: "BRK",
}


def exception_class(esr: int) -> int:
    """The EC field of an ESR_ELx value."""
    return esr >> EC_SHIFT & EC_MASK


def either_el(ec: int) -> int:
    """The class without the bit that says whether the Exception level changed.

    Only for classes that come in such pairs: breakpoint, software step, watchpoint and the aborts.
    """
    return ec & ~1
