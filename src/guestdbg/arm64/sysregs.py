"""AArch64 system registers and system instructions: name <-> (op0, op1, CRn, CRm, op2).

Source: Arm Architecture Reference Manual (DDI 0487), chapters C5 (system instruction class
encoding space) and D23 (AArch64 System register descriptions). The 16-bit packing of an
encoding is the one KVM uses in KVM_REG_ARM64_SYSREG register ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Literal, NamedTuple

from guestdbg.arm64.errors import ArchitectureError, UnknownName

Access = Literal["RW", "RO", "WO"]


def encode16(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """Pack an encoding into 16 bits: op0<<14 | op1<<11 | CRn<<7 | CRm<<3 | op2, as KVM does.

    Raises ArchitectureError for a field that does not fit.
    """
    for what, value, limit in (
        ("op0", op0, 4),
        ("op1", op1, 8),
        ("CRn", crn, 16),
        ("CRm", crm, 16),
        ("op2", op2, 8),
    ):
        if not 0 <= value < limit:
            raise ArchitectureError(f"{what} is {value}: it must lie between 0 and {limit - 1}")
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


def decode16(encoding: int) -> tuple[int, int, int, int, int]:
    """The (op0, op1, CRn, CRm, op2) of a 16-bit packed encoding; the inverse of encode16()."""
    if not 0 <= encoding <= 0xFFFF:
        raise ArchitectureError(f"{encoding:#x} is not a 16-bit system register encoding")
    return (
        encoding >> 14,
        encoding >> 11 & 7,
        encoding >> 7 & 15,
        encoding >> 3 & 15,
        encoding & 7,
    )


class SysReg(NamedTuple):
    """One system register. `access` is what MRS/MSR permit at the lowest EL that reaches it."""

    name: str
    op0: int
    op1: int
    crn: int
    crm: int
    op2: int
    access: Access = "RW"

    @property
    def encoding(self) -> int:
        """The 16-bit packed encoding (see encode16)."""
        return encode16(self.op0, self.op1, self.crn, self.crm, self.op2)

    @property
    def lowest_el(self) -> int:
        """The lowest Exception level the encoding space of `op1` belongs to (C5.1.2)."""
        return {3: 0, 0: 1, 1: 1, 2: 1, 4: 2, 5: 2}.get(self.op1, 3)

    @property
    def generic_name(self) -> str:
        """The name every assembler accepts: S<op0>_<op1>_C<n>_C<m>_<op2>."""
        return generic_name(self.op0, self.op1, self.crn, self.crm, self.op2)


def generic_name(op0: int, op1: int, crn: int, crm: int, op2: int) -> str:
    """S<op0>_<op1>_C<CRn>_C<CRm>_<op2>, the generic name of an encoding."""
    return f"S{op0}_{op1}_C{crn}_C{crm}_{op2}"


def _debug() -> Iterator[SysReg]:
    """The self-hosted debug registers, op0 = 2."""
    yield SysReg("OSDTRRX_EL1", 2, 0, 0, 0, 2)
    yield SysReg("MDCCINT_EL1", 2, 0, 0, 2, 0)
    yield SysReg("MDSCR_EL1", 2, 0, 0, 2, 2)
    yield SysReg("OSDTRTX_EL1", 2, 0, 0, 3, 2)
    yield SysReg("MDSELR_EL1", 2, 0, 0, 4, 2)
    yield SysReg("OSECCR_EL1", 2, 0, 0, 6, 2)
    for n in range(16):
        yield SysReg(f"DBGBVR{n}_EL1", 2, 0, 0, n, 4)
        yield SysReg(f"DBGBCR{n}_EL1", 2, 0, 0, n, 5)
        yield SysReg(f"DBGWVR{n}_EL1", 2, 0, 0, n, 6)
        yield SysReg(f"DBGWCR{n}_EL1", 2, 0, 0, n, 7)
    yield SysReg("MDRAR_EL1", 2, 0, 1, 0, 0, "RO")
    yield SysReg("OSLAR_EL1", 2, 0, 1, 0, 4, "WO")
    yield SysReg("OSLSR_EL1", 2, 0, 1, 1, 4, "RO")
    yield SysReg("OSDLR_EL1", 2, 0, 1, 3, 4)
    yield SysReg("DBGPRCR_EL1", 2, 0, 1, 4, 4)
    yield SysReg("DBGCLAIMSET_EL1", 2, 0, 7, 8, 6)
    yield SysReg("DBGCLAIMCLR_EL1", 2, 0, 7, 9, 6)
    yield SysReg("DBGAUTHSTATUS_EL1", 2, 0, 7, 14, 6, "RO")
    yield SysReg("MDCCSR_EL0", 2, 3, 0, 1, 0, "RO")
    yield SysReg("DBGDTR_EL0", 2, 3, 0, 4, 0)
    # One encoding, two registers: which of them is meant depends on the direction.
    yield SysReg("DBGDTRRX_EL0", 2, 3, 0, 5, 0, "RO")
    yield SysReg("DBGDTRTX_EL0", 2, 3, 0, 5, 0, "WO")
    yield SysReg("DBGVCR32_EL2", 2, 4, 0, 7, 0)


def _identification() -> Iterator[SysReg]:
    """The ID space, CRn = 0."""
    rows: tuple[tuple[str, int, int], ...] = (
        ("MIDR_EL1", 0, 0),
        ("MPIDR_EL1", 0, 5),
        ("REVIDR_EL1", 0, 6),
        ("ID_PFR0_EL1", 1, 0),
        ("ID_PFR1_EL1", 1, 1),
        ("ID_DFR0_EL1", 1, 2),
        ("ID_AFR0_EL1", 1, 3),
        ("ID_MMFR0_EL1", 1, 4),
        ("ID_MMFR1_EL1", 1, 5),
        ("ID_MMFR2_EL1", 1, 6),
        ("ID_MMFR3_EL1", 1, 7),
        ("ID_ISAR0_EL1", 2, 0),
        ("ID_ISAR1_EL1", 2, 1),
        ("ID_ISAR2_EL1", 2, 2),
        ("ID_ISAR3_EL1", 2, 3),
        ("ID_ISAR4_EL1", 2, 4),
        ("ID_ISAR5_EL1", 2, 5),
        ("ID_MMFR4_EL1", 2, 6),
        ("ID_ISAR6_EL1", 2, 7),
        ("MVFR0_EL1", 3, 0),
        ("MVFR1_EL1", 3, 1),
        ("MVFR2_EL1", 3, 2),
        ("ID_PFR2_EL1", 3, 4),
        ("ID_DFR1_EL1", 3, 5),
        ("ID_MMFR5_EL1", 3, 6),
        ("ID_AA64PFR0_EL1", 4, 0),
        ("ID_AA64PFR1_EL1", 4, 1),
        ("ID_AA64PFR2_EL1", 4, 2),
        ("ID_AA64ZFR0_EL1", 4, 4),
        ("ID_AA64SMFR0_EL1", 4, 5),
        ("ID_AA64FPFR0_EL1", 4, 7),
        ("ID_AA64DFR0_EL1", 5, 0),
        ("ID_AA64DFR1_EL1", 5, 1),
        ("ID_AA64DFR2_EL1", 5, 2),
        ("ID_AA64AFR0_EL1", 5, 4),
        ("ID_AA64AFR1_EL1", 5, 5),
        ("ID_AA64ISAR0_EL1", 6, 0),
        ("ID_AA64ISAR1_EL1", 6, 1),
        ("ID_AA64ISAR2_EL1", 6, 2),
        ("ID_AA64ISAR3_EL1", 6, 3),
        ("ID_AA64MMFR0_EL1", 7, 0),
        ("ID_AA64MMFR1_EL1", 7, 1),
        ("ID_AA64MMFR2_EL1", 7, 2),
        ("ID_AA64MMFR3_EL1", 7, 3),
        ("ID_AA64MMFR4_EL1", 7, 4),
    )
    for name, crm, op2 in rows:
        yield SysReg(name, 3, 0, 0, crm, op2, "RO")
    yield SysReg("CCSIDR_EL1", 3, 1, 0, 0, 0, "RO")
    yield SysReg("CLIDR_EL1", 3, 1, 0, 0, 1, "RO")
    yield SysReg("CCSIDR2_EL1", 3, 1, 0, 0, 2, "RO")
    yield SysReg("GMID_EL1", 3, 1, 0, 0, 4, "RO")
    yield SysReg("SMIDR_EL1", 3, 1, 0, 0, 6, "RO")
    yield SysReg("AIDR_EL1", 3, 1, 0, 0, 7, "RO")
    yield SysReg("CSSELR_EL1", 3, 2, 0, 0, 0)
    yield SysReg("CTR_EL0", 3, 3, 0, 0, 1, "RO")
    yield SysReg("DCZID_EL0", 3, 3, 0, 0, 7, "RO")


def _control() -> Iterator[SysReg]:
    """Control, translation, faults, state: what EL1 and EL0 run with."""
    yield SysReg("SCTLR_EL1", 3, 0, 1, 0, 0)
    yield SysReg("ACTLR_EL1", 3, 0, 1, 0, 1)
    yield SysReg("CPACR_EL1", 3, 0, 1, 0, 2)
    yield SysReg("SCTLR2_EL1", 3, 0, 1, 0, 3)
    yield SysReg("RGSR_EL1", 3, 0, 1, 0, 5)
    yield SysReg("GCR_EL1", 3, 0, 1, 0, 6)
    yield SysReg("ZCR_EL1", 3, 0, 1, 2, 0)
    yield SysReg("TRFCR_EL1", 3, 0, 1, 2, 1)
    yield SysReg("SMPRI_EL1", 3, 0, 1, 2, 4)
    yield SysReg("SMCR_EL1", 3, 0, 1, 2, 6)
    yield SysReg("TTBR0_EL1", 3, 0, 2, 0, 0)
    yield SysReg("TTBR1_EL1", 3, 0, 2, 0, 1)
    yield SysReg("TCR_EL1", 3, 0, 2, 0, 2)
    yield SysReg("TCR2_EL1", 3, 0, 2, 0, 3)
    for crm, op2, key in (
        (1, 0, "APIA"),
        (1, 2, "APIB"),
        (2, 0, "APDA"),
        (2, 2, "APDB"),
        (3, 0, "APGA"),
    ):
        yield SysReg(f"{key}KEYLO_EL1", 3, 0, 2, crm, op2)
        yield SysReg(f"{key}KEYHI_EL1", 3, 0, 2, crm, op2 + 1)
    yield SysReg("SPSR_EL1", 3, 0, 4, 0, 0)
    yield SysReg("ELR_EL1", 3, 0, 4, 0, 1)
    yield SysReg("SP_EL0", 3, 0, 4, 1, 0)
    yield SysReg("SPSEL", 3, 0, 4, 2, 0)
    yield SysReg("CURRENTEL", 3, 0, 4, 2, 2, "RO")
    yield SysReg("PAN", 3, 0, 4, 2, 3)
    yield SysReg("UAO", 3, 0, 4, 2, 4)
    yield SysReg("ALLINT", 3, 0, 4, 3, 0)
    yield SysReg("AFSR0_EL1", 3, 0, 5, 1, 0)
    yield SysReg("AFSR1_EL1", 3, 0, 5, 1, 1)
    yield SysReg("ESR_EL1", 3, 0, 5, 2, 0)
    yield SysReg("ERRIDR_EL1", 3, 0, 5, 3, 0, "RO")
    yield SysReg("ERRSELR_EL1", 3, 0, 5, 3, 1)
    yield SysReg("ERXFR_EL1", 3, 0, 5, 4, 0, "RO")
    yield SysReg("ERXCTLR_EL1", 3, 0, 5, 4, 1)
    yield SysReg("ERXSTATUS_EL1", 3, 0, 5, 4, 2)
    yield SysReg("ERXADDR_EL1", 3, 0, 5, 4, 3)
    yield SysReg("ERXPFGF_EL1", 3, 0, 5, 4, 4, "RO")
    yield SysReg("ERXPFGCTL_EL1", 3, 0, 5, 4, 5)
    yield SysReg("ERXPFGCDN_EL1", 3, 0, 5, 4, 6)
    for n in range(4):
        yield SysReg(f"ERXMISC{n}_EL1", 3, 0, 5, 5, n)
    yield SysReg("TFSR_EL1", 3, 0, 5, 6, 0)
    yield SysReg("TFSRE0_EL1", 3, 0, 5, 6, 1)
    yield SysReg("FAR_EL1", 3, 0, 6, 0, 0)
    yield SysReg("PAR_EL1", 3, 0, 7, 4, 0)
    yield SysReg("MAIR_EL1", 3, 0, 10, 2, 0)
    yield SysReg("PIRE0_EL1", 3, 0, 10, 2, 2)
    yield SysReg("PIR_EL1", 3, 0, 10, 2, 3)
    yield SysReg("AMAIR_EL1", 3, 0, 10, 3, 0)
    yield SysReg("LORSA_EL1", 3, 0, 10, 4, 0)
    yield SysReg("LOREA_EL1", 3, 0, 10, 4, 1)
    yield SysReg("LORN_EL1", 3, 0, 10, 4, 2)
    yield SysReg("LORC_EL1", 3, 0, 10, 4, 3)
    yield SysReg("MPAMIDR_EL1", 3, 0, 10, 4, 4, "RO")
    yield SysReg("LORID_EL1", 3, 0, 10, 4, 7, "RO")
    yield SysReg("MPAM1_EL1", 3, 0, 10, 5, 0)
    yield SysReg("MPAM0_EL1", 3, 0, 10, 5, 1)
    yield SysReg("VBAR_EL1", 3, 0, 12, 0, 0)
    yield SysReg("RVBAR_EL1", 3, 0, 12, 0, 1, "RO")
    yield SysReg("RMR_EL1", 3, 0, 12, 0, 2)
    yield SysReg("ISR_EL1", 3, 0, 12, 1, 0, "RO")
    yield SysReg("DISR_EL1", 3, 0, 12, 1, 1)
    yield SysReg("CONTEXTIDR_EL1", 3, 0, 13, 0, 1)
    yield SysReg("TPIDR_EL1", 3, 0, 13, 0, 4)
    yield SysReg("ACCDATA_EL1", 3, 0, 13, 0, 5)
    yield SysReg("SCXTNUM_EL1", 3, 0, 13, 0, 7)
    yield SysReg("RNDR", 3, 3, 2, 4, 0, "RO")
    yield SysReg("RNDRRS", 3, 3, 2, 4, 1, "RO")
    yield SysReg("NZCV", 3, 3, 4, 2, 0)
    yield SysReg("DAIF", 3, 3, 4, 2, 1)
    yield SysReg("SVCR", 3, 3, 4, 2, 2)
    yield SysReg("DIT", 3, 3, 4, 2, 5)
    yield SysReg("SSBS", 3, 3, 4, 2, 6)
    yield SysReg("TCO", 3, 3, 4, 2, 7)
    yield SysReg("FPCR", 3, 3, 4, 4, 0)
    yield SysReg("FPSR", 3, 3, 4, 4, 1)
    yield SysReg("FPMR", 3, 3, 4, 4, 2)
    yield SysReg("DSPSR_EL0", 3, 3, 4, 5, 0)
    yield SysReg("DLR_EL0", 3, 3, 4, 5, 1)
    yield SysReg("TPIDR_EL0", 3, 3, 13, 0, 2)
    yield SysReg("TPIDRRO_EL0", 3, 3, 13, 0, 3)
    yield SysReg("TPIDR2_EL0", 3, 3, 13, 0, 5)
    yield SysReg("SCXTNUM_EL0", 3, 3, 13, 0, 7)


def _gic() -> Iterator[SysReg]:
    """The GICv3 CPU interface (Arm IHI 0069, chapter 12)."""
    yield SysReg("ICC_PMR_EL1", 3, 0, 4, 6, 0)
    yield SysReg("ICC_IAR0_EL1", 3, 0, 12, 8, 0, "RO")
    yield SysReg("ICC_EOIR0_EL1", 3, 0, 12, 8, 1, "WO")
    yield SysReg("ICC_HPPIR0_EL1", 3, 0, 12, 8, 2, "RO")
    yield SysReg("ICC_BPR0_EL1", 3, 0, 12, 8, 3)
    for n in range(4):
        yield SysReg(f"ICC_AP0R{n}_EL1", 3, 0, 12, 8, 4 + n)
        yield SysReg(f"ICC_AP1R{n}_EL1", 3, 0, 12, 9, n)
    yield SysReg("ICC_NMIAR1_EL1", 3, 0, 12, 9, 5, "RO")
    yield SysReg("ICC_DIR_EL1", 3, 0, 12, 11, 1, "WO")
    yield SysReg("ICC_RPR_EL1", 3, 0, 12, 11, 3, "RO")
    yield SysReg("ICC_SGI1R_EL1", 3, 0, 12, 11, 5, "WO")
    yield SysReg("ICC_ASGI1R_EL1", 3, 0, 12, 11, 6, "WO")
    yield SysReg("ICC_SGI0R_EL1", 3, 0, 12, 11, 7, "WO")
    yield SysReg("ICC_IAR1_EL1", 3, 0, 12, 12, 0, "RO")
    yield SysReg("ICC_EOIR1_EL1", 3, 0, 12, 12, 1, "WO")
    yield SysReg("ICC_HPPIR1_EL1", 3, 0, 12, 12, 2, "RO")
    yield SysReg("ICC_BPR1_EL1", 3, 0, 12, 12, 3)
    yield SysReg("ICC_CTLR_EL1", 3, 0, 12, 12, 4)
    yield SysReg("ICC_SRE_EL1", 3, 0, 12, 12, 5)
    yield SysReg("ICC_IGRPEN0_EL1", 3, 0, 12, 12, 6)
    yield SysReg("ICC_IGRPEN1_EL1", 3, 0, 12, 12, 7)


def _timers() -> Iterator[SysReg]:
    """The Generic Timer, CRn = 14."""
    yield SysReg("CNTKCTL_EL1", 3, 0, 14, 1, 0)
    yield SysReg("CNTFRQ_EL0", 3, 3, 14, 0, 0)
    yield SysReg("CNTPCT_EL0", 3, 3, 14, 0, 1, "RO")
    yield SysReg("CNTVCT_EL0", 3, 3, 14, 0, 2, "RO")
    yield SysReg("CNTPCTSS_EL0", 3, 3, 14, 0, 5, "RO")
    yield SysReg("CNTVCTSS_EL0", 3, 3, 14, 0, 6, "RO")
    yield SysReg("CNTP_TVAL_EL0", 3, 3, 14, 2, 0)
    yield SysReg("CNTP_CTL_EL0", 3, 3, 14, 2, 1)
    yield SysReg("CNTP_CVAL_EL0", 3, 3, 14, 2, 2)
    yield SysReg("CNTV_TVAL_EL0", 3, 3, 14, 3, 0)
    yield SysReg("CNTV_CTL_EL0", 3, 3, 14, 3, 1)
    yield SysReg("CNTV_CVAL_EL0", 3, 3, 14, 3, 2)
    # The EL1 physical timer's secure twin; an EL1 guest sees it undefined.
    yield SysReg("CNTPS_TVAL_EL1", 3, 7, 14, 2, 0)
    yield SysReg("CNTPS_CTL_EL1", 3, 7, 14, 2, 1)
    yield SysReg("CNTPS_CVAL_EL1", 3, 7, 14, 2, 2)


def _performance() -> Iterator[SysReg]:
    """Performance monitors, statistical profiling, trace buffer, activity monitors."""
    yield SysReg("PMSCR_EL1", 3, 0, 9, 9, 0)
    yield SysReg("PMSNEVFR_EL1", 3, 0, 9, 9, 1)
    yield SysReg("PMSICR_EL1", 3, 0, 9, 9, 2)
    yield SysReg("PMSIRR_EL1", 3, 0, 9, 9, 3)
    yield SysReg("PMSFCR_EL1", 3, 0, 9, 9, 4)
    yield SysReg("PMSEVFR_EL1", 3, 0, 9, 9, 5)
    yield SysReg("PMSLATFR_EL1", 3, 0, 9, 9, 6)
    yield SysReg("PMSIDR_EL1", 3, 0, 9, 9, 7, "RO")
    yield SysReg("PMBLIMITR_EL1", 3, 0, 9, 10, 0)
    yield SysReg("PMBPTR_EL1", 3, 0, 9, 10, 1)
    yield SysReg("PMBSR_EL1", 3, 0, 9, 10, 3)
    yield SysReg("PMBIDR_EL1", 3, 0, 9, 10, 7, "RO")
    yield SysReg("TRBLIMITR_EL1", 3, 0, 9, 11, 0)
    yield SysReg("TRBPTR_EL1", 3, 0, 9, 11, 1)
    yield SysReg("TRBBASER_EL1", 3, 0, 9, 11, 2)
    yield SysReg("TRBSR_EL1", 3, 0, 9, 11, 3)
    yield SysReg("TRBMAR_EL1", 3, 0, 9, 11, 4)
    yield SysReg("TRBTRG_EL1", 3, 0, 9, 11, 6)
    yield SysReg("TRBIDR_EL1", 3, 0, 9, 11, 7, "RO")
    yield SysReg("PMINTENSET_EL1", 3, 0, 9, 14, 1)
    yield SysReg("PMINTENCLR_EL1", 3, 0, 9, 14, 2)
    yield SysReg("PMMIR_EL1", 3, 0, 9, 14, 6, "RO")
    yield SysReg("PMCR_EL0", 3, 3, 9, 12, 0)
    yield SysReg("PMCNTENSET_EL0", 3, 3, 9, 12, 1)
    yield SysReg("PMCNTENCLR_EL0", 3, 3, 9, 12, 2)
    yield SysReg("PMOVSCLR_EL0", 3, 3, 9, 12, 3)
    yield SysReg("PMSWINC_EL0", 3, 3, 9, 12, 4, "WO")
    yield SysReg("PMSELR_EL0", 3, 3, 9, 12, 5)
    yield SysReg("PMCEID0_EL0", 3, 3, 9, 12, 6, "RO")
    yield SysReg("PMCEID1_EL0", 3, 3, 9, 12, 7, "RO")
    yield SysReg("PMCCNTR_EL0", 3, 3, 9, 13, 0)
    yield SysReg("PMXEVTYPER_EL0", 3, 3, 9, 13, 1)
    yield SysReg("PMXEVCNTR_EL0", 3, 3, 9, 13, 2)
    yield SysReg("PMUSERENR_EL0", 3, 3, 9, 14, 0)
    yield SysReg("PMOVSSET_EL0", 3, 3, 9, 14, 3)
    for n in range(31):
        yield SysReg(f"PMEVCNTR{n}_EL0", 3, 3, 14, 8 + (n >> 3), n & 7)
        yield SysReg(f"PMEVTYPER{n}_EL0", 3, 3, 14, 12 + (n >> 3), n & 7)
    yield SysReg("PMCCFILTR_EL0", 3, 3, 14, 15, 7)
    yield SysReg("AMCR_EL0", 3, 3, 13, 2, 0)
    yield SysReg("AMCFGR_EL0", 3, 3, 13, 2, 1, "RO")
    yield SysReg("AMCGCR_EL0", 3, 3, 13, 2, 2, "RO")
    yield SysReg("AMUSERENR_EL0", 3, 3, 13, 2, 3)
    yield SysReg("AMCNTENCLR0_EL0", 3, 3, 13, 2, 4)
    yield SysReg("AMCNTENSET0_EL0", 3, 3, 13, 2, 5)
    yield SysReg("AMCG1IDR_EL0", 3, 3, 13, 2, 6, "RO")
    yield SysReg("AMCNTENCLR1_EL0", 3, 3, 13, 3, 0)
    yield SysReg("AMCNTENSET1_EL0", 3, 3, 13, 3, 1)
    for n in range(4):
        yield SysReg(f"AMEVCNTR0{n}_EL0", 3, 3, 13, 4, n)
        yield SysReg(f"AMEVTYPER0{n}_EL0", 3, 3, 13, 6, n, "RO")
    for n in range(16):
        yield SysReg(f"AMEVCNTR1{n}_EL0", 3, 3, 13, 12 + (n >> 3), n & 7)
        yield SysReg(f"AMEVTYPER1{n}_EL0", 3, 3, 13, 14 + (n >> 3), n & 7)


def _el2() -> Iterator[SysReg]:
    """The hypervisor's registers: undefined to an EL1 guest, but worth a name in a trap."""
    yield SysReg("VPIDR_EL2", 3, 4, 0, 0, 0)
    yield SysReg("VMPIDR_EL2", 3, 4, 0, 0, 5)
    yield SysReg("SCTLR_EL2", 3, 4, 1, 0, 0)
    yield SysReg("ACTLR_EL2", 3, 4, 1, 0, 1)
    yield SysReg("HCR_EL2", 3, 4, 1, 1, 0)
    yield SysReg("MDCR_EL2", 3, 4, 1, 1, 1)
    yield SysReg("CPTR_EL2", 3, 4, 1, 1, 2)
    yield SysReg("HSTR_EL2", 3, 4, 1, 1, 3)
    yield SysReg("HFGRTR_EL2", 3, 4, 1, 1, 4)
    yield SysReg("HFGWTR_EL2", 3, 4, 1, 1, 5)
    yield SysReg("HFGITR_EL2", 3, 4, 1, 1, 6)
    yield SysReg("HACR_EL2", 3, 4, 1, 1, 7)
    yield SysReg("ZCR_EL2", 3, 4, 1, 2, 0)
    yield SysReg("TRFCR_EL2", 3, 4, 1, 2, 1)
    yield SysReg("HCRX_EL2", 3, 4, 1, 2, 2)
    yield SysReg("TTBR0_EL2", 3, 4, 2, 0, 0)
    yield SysReg("TTBR1_EL2", 3, 4, 2, 0, 1)
    yield SysReg("TCR_EL2", 3, 4, 2, 0, 2)
    yield SysReg("VTTBR_EL2", 3, 4, 2, 1, 0)
    yield SysReg("VTCR_EL2", 3, 4, 2, 1, 2)
    yield SysReg("DACR32_EL2", 3, 4, 3, 0, 0)
    yield SysReg("HDFGRTR_EL2", 3, 4, 3, 1, 4)
    yield SysReg("HDFGWTR_EL2", 3, 4, 3, 1, 5)
    yield SysReg("HAFGRTR_EL2", 3, 4, 3, 1, 6)
    yield SysReg("SPSR_EL2", 3, 4, 4, 0, 0)
    yield SysReg("ELR_EL2", 3, 4, 4, 0, 1)
    yield SysReg("SP_EL1", 3, 4, 4, 1, 0)
    yield SysReg("SPSR_IRQ", 3, 4, 4, 3, 0)
    yield SysReg("SPSR_ABT", 3, 4, 4, 3, 1)
    yield SysReg("SPSR_UND", 3, 4, 4, 3, 2)
    yield SysReg("SPSR_FIQ", 3, 4, 4, 3, 3)
    yield SysReg("IFSR32_EL2", 3, 4, 5, 0, 1)
    yield SysReg("AFSR0_EL2", 3, 4, 5, 1, 0)
    yield SysReg("AFSR1_EL2", 3, 4, 5, 1, 1)
    yield SysReg("ESR_EL2", 3, 4, 5, 2, 0)
    yield SysReg("VSESR_EL2", 3, 4, 5, 2, 3)
    yield SysReg("FPEXC32_EL2", 3, 4, 5, 3, 0)
    yield SysReg("FAR_EL2", 3, 4, 6, 0, 0)
    yield SysReg("HPFAR_EL2", 3, 4, 6, 0, 4)
    yield SysReg("MAIR_EL2", 3, 4, 10, 2, 0)
    yield SysReg("AMAIR_EL2", 3, 4, 10, 3, 0)
    yield SysReg("VBAR_EL2", 3, 4, 12, 0, 0)
    yield SysReg("RMR_EL2", 3, 4, 12, 0, 2)
    yield SysReg("VDISR_EL2", 3, 4, 12, 1, 1)
    for n in range(4):
        yield SysReg(f"ICH_AP0R{n}_EL2", 3, 4, 12, 8, n)
        yield SysReg(f"ICH_AP1R{n}_EL2", 3, 4, 12, 9, n)
    yield SysReg("ICC_SRE_EL2", 3, 4, 12, 9, 5)
    yield SysReg("ICH_HCR_EL2", 3, 4, 12, 11, 0)
    yield SysReg("ICH_VTR_EL2", 3, 4, 12, 11, 1, "RO")
    yield SysReg("ICH_MISR_EL2", 3, 4, 12, 11, 2, "RO")
    yield SysReg("ICH_EISR_EL2", 3, 4, 12, 11, 3, "RO")
    yield SysReg("ICH_ELRSR_EL2", 3, 4, 12, 11, 5, "RO")
    yield SysReg("ICH_VMCR_EL2", 3, 4, 12, 11, 7)
    for n in range(16):
        yield SysReg(f"ICH_LR{n}_EL2", 3, 4, 12, 12 + (n >> 3), n & 7)
    yield SysReg("CONTEXTIDR_EL2", 3, 4, 13, 0, 1)
    yield SysReg("TPIDR_EL2", 3, 4, 13, 0, 2)
    yield SysReg("CNTVOFF_EL2", 3, 4, 14, 0, 3)
    yield SysReg("CNTHCTL_EL2", 3, 4, 14, 1, 0)
    yield SysReg("CNTHP_TVAL_EL2", 3, 4, 14, 2, 0)
    yield SysReg("CNTHP_CTL_EL2", 3, 4, 14, 2, 1)
    yield SysReg("CNTHP_CVAL_EL2", 3, 4, 14, 2, 2)
    yield SysReg("CNTHV_TVAL_EL2", 3, 4, 14, 3, 0)
    yield SysReg("CNTHV_CTL_EL2", 3, 4, 14, 3, 1)
    yield SysReg("CNTHV_CVAL_EL2", 3, 4, 14, 3, 2)


def _all() -> Iterator[SysReg]:
    for part in (_debug, _identification, _control, _gic, _timers, _performance, _el2):
        yield from part()


#: Every named register, by its upper-case name.
SYSREGS: MappingProxyType[str, SysReg] = MappingProxyType({r.name: r for r in _all()})

#: 16-bit encoding -> register, for MRS and for MSR; they differ only where the direction decides.
_READABLE = {r.encoding: r for r in SYSREGS.values() if r.access != "WO"}
_WRITABLE = {r.encoding: r for r in SYSREGS.values() if r.access != "RO"}
BY_ENCODING: MappingProxyType[int, SysReg] = MappingProxyType({**_WRITABLE, **_READABLE})

_GENERIC = re.compile(r"S([0-3])_([0-7])_C(1[0-5]|[0-9])_C(1[0-5]|[0-9])_([0-7])")


def by_name(name: str) -> SysReg:
    """The register called `name`, in any case; S3_0_C1_C0_0 forms are understood too.

    Raises UnknownName (with near matches) for anything else.
    """
    upper = name.upper()
    found = SYSREGS.get(upper)
    if found is not None:
        return found
    generic = _GENERIC.fullmatch(upper)
    if generic is None:
        raise UnknownName("system register", name, SYSREGS)
    op0, op1, crn, crm, op2 = (int(part) for part in generic.groups())
    known = BY_ENCODING.get(encode16(op0, op1, crn, crm, op2))
    return known or SysReg(upper, op0, op1, crn, crm, op2)


def by_encoding(encoding: int, *, write: bool = False) -> SysReg | None:
    """The register with this 16-bit encoding, or None where the table names none.

    `write` is the direction, which matters where one encoding is two registers
    (DBGDTRRX_EL0 is read, DBGDTRTX_EL0 written).
    """
    if write and encoding in _WRITABLE:
        return _WRITABLE[encoding]
    return BY_ENCODING.get(encoding)


def name_of(op0: int, op1: int, crn: int, crm: int, op2: int, *, write: bool = False) -> str:
    """The register's name, or its generic S<op0>_... name where it has none."""
    found = by_encoding(encode16(op0, op1, crn, crm, op2), write=write)
    return found.name if found else generic_name(op0, op1, crn, crm, op2)
