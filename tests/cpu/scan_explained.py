"""Where guestdbg's decoder and LLVM's differ, and why that is right. Each entry has an example on
which they differ as it says; a difference without an entry is a bug in one of the two."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Explained:
    """accepted: guestdbg accepts what LLVM does not; else the reverse. when(raw, LLVM's text)."""

    name: str
    reason: str
    accepted: bool
    mask: int
    value: int
    example: int
    when: Callable[[int, str], bool] = lambda raw, text: True

    def covers(self, raw: int, text: str) -> bool:
        return raw & self.mask == self.value and self.when(raw, text)


def _rd(raw: int) -> int:
    return raw & 31


def _rn(raw: int) -> int:
    return raw >> 5 & 31


def _rt2(raw: int) -> int:
    return raw >> 10 & 31


def _rm(raw: int) -> int:
    return raw >> 16 & 31


def _should_be_one(raw: int, text: str) -> bool:
    """Rs or Rt2 of an exclusive or ordered access that has no such register is not 11111."""
    ordered, load, pair = raw >> 23 & 1, raw >> 22 & 1, raw >> 21 & 1
    if ordered and pair:
        return False  # CAS has all its registers
    return (not pair and _rt2(raw) != 31) or (bool(ordered or load) and _rm(raw) != 31)


def _same_exclusive(raw: int, text: str) -> bool:
    """The status register is also data or address, or both loaded registers are one."""
    if raw >> 23 & 1:
        return False
    if raw >> 22 & 1:
        return bool(raw >> 21 & 1) and _rd(raw) == _rt2(raw)
    others = (_rd(raw), _rn(raw)) + ((_rt2(raw),) if raw >> 21 & 1 else ())
    return _rm(raw) in others


def _same_pair(raw: int, text: str) -> bool:
    """Both registers of a load are one, or the base is written back and also data."""
    load, write_back = raw >> 22 & 1, raw >> 23 & 1
    if load and _rd(raw) == _rt2(raw):
        return True
    return _base_is_data(raw) if write_back and not raw >> 26 & 1 else False


def _base_is_data(raw: int) -> bool:
    return _rn(raw) != 31 and _rn(raw) in (_rd(raw), _rt2(raw))


# Registers that LLVM names whatever the features are.
_ABSENT = {
    "trace unit": r"TRC.*|TRFCR.*",
    "trace buffer": r"TRB.*",
    "statistical profiling": r"PMB.*|PMS(CR|DSFR|EVFR|FCR|ICR|IDR|IRR|LATFR)_.*",
    "EL2 and EL3": r".*_EL(2|3|12|02)|SP_EL1|SPSR_(irq|abt|und|fiq)|CNTPS_.*",
    "GIC CPU interface (ID_AA64PFR0_EL1.GIC is 0)": r"IC[CHV]_.*",
    "RAS": r"(ERX|ERR|DISR|VDISR).*",
    "later performance monitors": (
        r"PMMIR_EL1|PM(CCNTSVR|ECR|EVCNTSVR\d+|IAR|ICNTSVR|SSCR|UACR)_EL1|PM(ICFILTR|ICNTR|ZR)_EL0"
    ),
    "system performance monitors": r"SPM.*",
    "guarded control stacks": r"GCS.*",
    "permission indirection and overlays, second registers": (
        r"PIRE?0?_EL1|POR_EL[01]|S2POR_EL1|(AMAIR2|MAIR2|SCTLR2|TCR2|PFAR)_EL1"
    ),
    "later debug": r"MDSELR_EL1|MDSTEPOP_EL1|PM",
    "8-bit floating point": r"FPMR",
    "reset, of the highest EL only": r"RVBAR_EL1|RMR_EL1",
    "T32EE": r"TEE(CR32|HBR32)_EL1",
    "Debug state, which is never entered": r"DSPSR_EL0|DLR_EL0",
}
_ABSENT_NAME = re.compile("|".join(_ABSENT.values()))
_LATER = re.compile(r"at s1e1a, \w+|msr PM, #\d|sm(start|stop)( sm| za)?")  # LLVM 16 and newer
GENERIC = re.compile(r"S\d_\d_C\d+_C\d+_\d|sysl? ", re.IGNORECASE)


def register_name(text: str) -> str:
    """Of LLVM's MRS or MSR; empty for one without a name, and for another instruction."""
    found = re.fullmatch(r"(?:mrs \w+, (\w+)|msr (\w+), \w+)", text)
    if found is None or GENERIC.search(text):
        return ""
    return found[1] or found[2]


def is_absent(name: str) -> bool:
    """A register of something that this processor does not have."""
    return _ABSENT_NAME.fullmatch(name) is not None


_EXCLUSIVE = (0x3F00_0000, 0x0800_0000)
_SYSTEM = (0xFFC0_0000, 0xD500_0000)

EXPLAINED = (
    Explained(
        "UDF",
        "permanently undefined: LLVM has a name for it",
        False,
        0xFFFF_0000,
        0,
        0x0000_1234,
    ),
    Explained(
        "generic system instructions",
        "LLVM writes any SYS, SYSL, MRS and MSR by its numbers, also with op0 0, which has none",
        False,
        *_SYSTEM,
        0xD538_4540,
        lambda raw, text: GENERIC.search(text) is not None,
    ),
    Explained(
        "absent system registers",
        "UNDEFINED at EL0 and EL1 of a processor that has only these, and none of: "
        + ", ".join(_ABSENT),
        False,
        *_SYSTEM,
        0xD53C_1000,  # MRS X0, SCTLR_EL2
        lambda raw, text: is_absent(register_name(text)) or _LATER.fullmatch(text) is not None,
    ),
    Explained(
        "SYS of EL2 and EL3",
        "op1 4, 6: AT and TLBI that are UNDEFINED at EL1",
        False,
        0xFFFD_0000,
        0xD50C_0000,
        0xD50C_871F,  # TLBI ALLE2
        lambda raw, text: raw & 0xFFFF_0000 in (0xD50C_0000, 0xD50E_0000),
    ),
    Explained(
        "should be one",
        "CONSTRAINED UNPREDICTABLE: as if the field of a register that there is not were 11111",
        True,
        *_EXCLUSIVE,
        0x0840_0134,
        _should_be_one,
    ),
    Explained(
        "exclusives with one register for two things",
        "CONSTRAINED UNPREDICTABLE: executed in the order of the pseudocode",
        True,
        *_EXCLUSIVE,
        0x887F_0000,  # LDXP W0, W0, [X0]
        _same_exclusive,
    ),
    Explained(
        "pairs with one register for two things",
        "CONSTRAINED UNPREDICTABLE: executed in the order of the pseudocode",
        True,
        0x3A00_0000,
        0x2800_0000,
        0xA940_0000,  # LDP X0, X0, [X0]
        _same_pair,
    ),
    Explained(
        "write-back to the register that is loaded or stored",
        "CONSTRAINED UNPREDICTABLE: executed in the order of the pseudocode. LLVM also takes the "
        "unprivileged ones (bits 11, 10: 10), which write nothing back, for such",
        True,
        0x3F20_0000,
        0x3800_0000,
        0x3840_2BDE,
        lambda raw, text: raw >> 10 & 3 != 0 and _rn(raw) == _rd(raw) != 31,
    ),
    Explained(
        "write-back of LDRAA and LDRAB to the register that is loaded",
        "CONSTRAINED UNPREDICTABLE: executed in the order of the pseudocode",
        True,
        0xFF20_0C00,
        0xF820_0C00,
        0xF821_9DCE,
        lambda raw, text: _rn(raw) == _rd(raw) != 31,
    ),
)


def explain(raw: int, text: str, accepted: bool) -> Explained | None:
    for it in EXPLAINED:
        if it.accepted == accepted and it.covers(raw, text):
            return it
    return None
