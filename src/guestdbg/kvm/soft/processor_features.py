"""Extensions of the processor that change what KVM does (cpufeature.c), by its ID registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm import constants as kvm

if TYPE_CHECKING:
    from guestdbg.cpu.processor import Processor

_ID_AA64ISAR1: Final = SYSREGS["ID_AA64ISAR1_EL1"].encoding
_ID_AA64PFR0: Final = SYSREGS["ID_AA64PFR0_EL1"].encoding

#: Of ID_AA64ISAR1_EL1: pointer authentication of addresses (APA, API), and of data (GPA, GPI).
_ADDRESS_AUTH: Final = 0xFF << 4
_GENERIC_AUTH: Final = 0xFF << 24
#: The two features, which a vCPU has together or not at all.
PTRAUTH_FEATURES: Final = (
    1 << kvm.KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1 << kvm.KVM_ARM_VCPU_PTRAUTH_GENERIC
)


def has_full_ptr_auth(cpu: Processor) -> bool:
    """system_has_full_ptr_auth()"""
    isar1 = cpu.get_sysreg(_ID_AA64ISAR1)
    return bool(isar1 & _ADDRESS_AUTH and isar1 & _GENERIC_AUTH)


def has_ras(cpu: Processor) -> bool:
    """ARM64_HAS_RAS_EXTN"""
    return bool(cpu.get_sysreg(_ID_AA64PFR0) >> 28 & 15)
