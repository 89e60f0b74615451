"""Every register layout of the package, by name."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from guestdbg.arm64.control import (
    CONTROL_REGISTERS,
    CPACR_EL1,
    DAIF,
    HCR_EL2,
    HPFAR_EL2,
    MAIR_EL1,
    MDCR_EL2,
    MDSCR_EL1,
    OSLAR_EL1,
    OSLSR_EL1,
    PAR_EL1,
    PSTATE,
    SCTLR_EL1,
    SPSR_EL1,
    SPSR_EL2,
    TCR_EL1,
    TTBR0_EL1,
    TTBR1_EL1,
)
from guestdbg.arm64.debug import DBGBCR, DBGBVR, DBGBVR_CONTEXT, DBGWCR, DBGWVR
from guestdbg.arm64.errors import UnknownName
from guestdbg.arm64.esr import ESR_EL1, ESR_EL2, ESR_EL3
from guestdbg.arm64.idregs import (
    CTR_EL0,
    DCZID_EL0,
    ID_AA64DFR0_EL1,
    ID_AA64ISAR0_EL1,
    ID_AA64MMFR0_EL1,
    ID_AA64PFR0_EL1,
    ID_REGISTERS,
    MIDR_EL1,
    MPIDR_EL1,
)

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Register

__all__ = [
    "CPACR_EL1",
    "CTR_EL0",
    "DAIF",
    "DBGBCR",
    "DBGBVR",
    "DBGBVR_CONTEXT",
    "DBGWCR",
    "DBGWVR",
    "DCZID_EL0",
    "ESR_EL1",
    "ESR_EL2",
    "ESR_EL3",
    "HCR_EL2",
    "HPFAR_EL2",
    "ID_AA64DFR0_EL1",
    "ID_AA64ISAR0_EL1",
    "ID_AA64MMFR0_EL1",
    "ID_AA64PFR0_EL1",
    "MAIR_EL1",
    "MDCR_EL2",
    "MDSCR_EL1",
    "MIDR_EL1",
    "MPIDR_EL1",
    "OSLAR_EL1",
    "OSLSR_EL1",
    "PAR_EL1",
    "PSTATE",
    "REGISTERS",
    "SCTLR_EL1",
    "SPSR_EL1",
    "SPSR_EL2",
    "TCR_EL1",
    "TTBR0_EL1",
    "TTBR1_EL1",
    "by_name",
]

#: Every layout, by its upper-case name. DBGBCR is for DBGBCR0_EL1 to DBGBCR15_EL1.
REGISTERS: MappingProxyType[str, Register] = MappingProxyType(
    {
        r.name: r
        for r in (
            ESR_EL1,
            ESR_EL2,
            ESR_EL3,
            DBGBCR,
            DBGBVR,
            DBGBVR_CONTEXT,
            DBGWCR,
            DBGWVR,
            *CONTROL_REGISTERS,
            *ID_REGISTERS,
        )
    }
)

_NUMBERED = re.compile(r"(DBG[BW][CV]R)(?:N|<N>|1[0-5]|[0-9])?(?:_EL1)?")
#: Other names that people, and KVM's structures, use.
_ALIASES = {
    "ESR": "ESR_EL2",
    "ESR_ELX": "ESR_EL2",
    "HSR": "ESR_EL2",
    "SPSR": "SPSR_EL1",
    "SPSR_ELX": "SPSR_EL1",
    "CPSR": "PSTATE",
    "DBG_BCR": "DBGBCR",
    "DBG_BVR": "DBGBVR",
    "DBG_WCR": "DBGWCR",
    "DBG_WVR": "DBGWVR",
}


def by_name(name: str) -> Register:
    """The layout of a register, by its name in any case.

    DBGBCR0_EL1 and dbgbcr both give DBGBCR; hsr (KVM's word) gives ESR_EL2; a name without its
    _ELx suffix is understood where only one register can be meant.
    Raises UnknownName, with near matches, for anything else.
    """
    upper = name.strip().upper()
    upper = _ALIASES.get(upper, upper)
    if upper in REGISTERS:
        return REGISTERS[upper]
    numbered = _NUMBERED.fullmatch(upper)
    if numbered is not None:
        return REGISTERS[numbered[1]]
    short = [
        r for full, r in REGISTERS.items() if re.fullmatch(rf"{re.escape(upper)}_EL[0-3]", full)
    ]
    if len(short) == 1:
        return short[0]
    raise UnknownName("register", name, [*REGISTERS, *_ALIASES])
