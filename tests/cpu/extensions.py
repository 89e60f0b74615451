"""Turns extensions of the architecture on, by the fields of the identification registers."""

from __future__ import annotations

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import Processor

#: FEAT_*: register, lowest bit of the field, its value.
FIELDS = {
    "FlagM": ("ID_AA64ISAR0_EL1", 52, 1),
    "DPB": ("ID_AA64ISAR1_EL1", 0, 1),
    "DPB2": ("ID_AA64ISAR1_EL1", 0, 2),
    "QARMA5": ("ID_AA64ISAR1_EL1", 4, 1),
    "PACIMP": ("ID_AA64ISAR1_EL1", 8, 1),
    "LRCPC": ("ID_AA64ISAR1_EL1", 20, 1),
    "PACGA_QARMA5": ("ID_AA64ISAR1_EL1", 24, 1),
    "PACGA_IMP": ("ID_AA64ISAR1_EL1", 28, 1),
    "SB": ("ID_AA64ISAR1_EL1", 36, 1),
    "RAS": ("ID_AA64PFR0_EL1", 28, 1),
    "DIT": ("ID_AA64PFR0_EL1", 48, 1),
    "BTI": ("ID_AA64PFR1_EL1", 0, 1),
    "SSBS": ("ID_AA64PFR1_EL1", 4, 1),
    "SSBS2": ("ID_AA64PFR1_EL1", 4, 2),
    "HPDS": ("ID_AA64MMFR1_EL1", 12, 1),
    "LOR": ("ID_AA64MMFR1_EL1", 16, 1),
    "PAN": ("ID_AA64MMFR1_EL1", 20, 1),
    "PAN2": ("ID_AA64MMFR1_EL1", 20, 2),
    "TTCNP": ("ID_AA64MMFR2_EL1", 0, 1),
    "UAO": ("ID_AA64MMFR2_EL1", 4, 1),
    "TTST": ("ID_AA64MMFR2_EL1", 28, 1),
}

#: All that the system side has, at its highest level.
SYSTEM = (
    "FlagM", "DPB2", "QARMA5", "LRCPC", "PACGA_QARMA5", "SB", "RAS", "DIT", "BTI", "SSBS2", "HPDS",
    "PAN2", "TTCNP", "UAO", "TTST",
)  # fmt: skip

HCR_API, HCR_APK = 1 << 41, 1 << 40


def give(cpu: Processor, *features: str) -> None:
    """The processor has these extensions from now on; others stay as they are."""
    for feature in features:
        register, low, value = FIELDS[feature]
        encoding = SYSREGS[register].encoding
        cpu.set_sysreg(encoding, cpu.get_sysreg(encoding) & ~(15 << low) | value << low)


def take(cpu: Processor, *features: str) -> None:
    """The processor does not have them."""
    for feature in features:
        register, low, _ = FIELDS[feature]
        encoding = SYSREGS[register].encoding
        cpu.set_sysreg(encoding, cpu.get_sysreg(encoding) & ~(15 << low))
