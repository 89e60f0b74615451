"""KVM_CHECK_EXTENSION, and the limits that it reports (arm.c, reset.c)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.soft.processor_features import has_full_ptr_auth, has_ras

if TYPE_CHECKING:
    from guestdbg.cpu.processor import Processor

MAX_VCPUS: Final = 64
MAX_MEMSLOTS: Final = 64
MIN_IPA_BITS: Final = 32
DEFAULT_IPA_BITS: Final = 40

_ID_AA64DFR0 = SYSREGS["ID_AA64DFR0_EL1"].encoding
_ID_AA64PFR0 = SYSREGS["ID_AA64PFR0_EL1"].encoding
_ID_AA64MMFR0 = SYSREGS["ID_AA64MMFR0_EL1"].encoding
_MIDR = SYSREGS["MIDR_EL1"].encoding

#: MIDR_EL1.Implementer and PartNum of the processors that have a target of their own.
_TARGETS: Final = {
    (0x41, 0xD0F): kvm.KVM_ARM_TARGET_AEM_V8,
    (0x41, 0xD00): kvm.KVM_ARM_TARGET_FOUNDATION_V8,
    (0x41, 0xD03): kvm.KVM_ARM_TARGET_CORTEX_A53,
    (0x41, 0xD07): kvm.KVM_ARM_TARGET_CORTEX_A57,
    (0x50, 0x000): kvm.KVM_ARM_TARGET_XGENE_POTENZA,
}

_PA_RANGES: Final = (32, 36, 40, 42, 44, 48)

#: Capabilities whose value does not depend on the processor.
_ALWAYS: Final = {
    kvm.KVM_CAP_IRQCHIP: 1,
    kvm.KVM_CAP_USER_MEMORY: 1,
    kvm.KVM_CAP_NR_VCPUS: MAX_VCPUS,
    kvm.KVM_CAP_MAX_VCPUS: MAX_VCPUS,
    kvm.KVM_CAP_MAX_VCPU_ID: MAX_VCPUS,
    kvm.KVM_CAP_NR_MEMSLOTS: MAX_MEMSLOTS,
    kvm.KVM_CAP_MP_STATE: 1,
    kvm.KVM_CAP_SYNC_MMU: 1,
    kvm.KVM_CAP_DESTROY_MEMORY_REGION_WORKS: 1,
    kvm.KVM_CAP_JOIN_MEMORY_REGIONS_WORKS: 1,
    kvm.KVM_CAP_SET_GUEST_DEBUG: 1,
    kvm.KVM_CAP_SET_GUEST_DEBUG2: kvm.KVM_GUESTDBG_VALID_MASK,
    kvm.KVM_CAP_VCPU_EVENTS: 1,
    kvm.KVM_CAP_ONE_REG: 1,
    kvm.KVM_CAP_READONLY_MEM: 1,
    kvm.KVM_CAP_ARM_PSCI: 1,
    kvm.KVM_CAP_ARM_PSCI_0_2: 1,
    kvm.KVM_CAP_DEVICE_CTRL: 1,
    kvm.KVM_CAP_ENABLE_CAP_VM: 1,
    kvm.KVM_CAP_CHECK_EXTENSION_VM: 1,
    kvm.KVM_CAP_VCPU_ATTRIBUTES: 1,
    kvm.KVM_CAP_IMMEDIATE_EXIT: 1,
    kvm.KVM_CAP_ARM_IRQ_LINE_LAYOUT_2: 1,
    kvm.KVM_CAP_ARM_NISV_TO_USER: 1,
    kvm.KVM_CAP_ARM_INJECT_EXT_DABT: 1,
}


def ipa_limit(cpu: Processor) -> int:
    """Width in bits of the processor's physical addresses (ID_AA64MMFR0_EL1.PARange)."""
    pa_range = cpu.get_sysreg(_ID_AA64MMFR0) & 15
    return _PA_RANGES[min(pa_range, len(_PA_RANGES) - 1)]


def target(cpu: Processor) -> int:
    """The target of KVM_ARM_VCPU_INIT that is this processor's (guest.c: kvm_target_cpu)."""
    midr = cpu.get_sysreg(_MIDR)
    return _TARGETS.get((midr >> 24, midr >> 4 & 0xFFF), kvm.KVM_ARM_TARGET_GENERIC_V8)


def check_extension(cpu: Processor, cap: int) -> int:
    """KVM_CHECK_EXTENSION, for machines with processors like ``cpu``.

    The numbers of debug registers come from one processor. KVM assumes that they are the same on
    all; here they are.
    """
    if cap == kvm.KVM_CAP_GUEST_DEBUG_HW_BPS:
        return (cpu.get_sysreg(_ID_AA64DFR0) >> 12 & 15) + 1
    if cap == kvm.KVM_CAP_GUEST_DEBUG_HW_WPS:
        return (cpu.get_sysreg(_ID_AA64DFR0) >> 20 & 15) + 1
    if cap == kvm.KVM_CAP_ARM_EL1_32BIT:
        # ID_AA64PFR0_EL1.EL1 is 2 if EL1 can use AArch32 too.
        return int(cpu.get_sysreg(_ID_AA64PFR0) >> 4 & 15 == 2)
    if cap in (kvm.KVM_CAP_ARM_PTRAUTH_ADDRESS, kvm.KVM_CAP_ARM_PTRAUTH_GENERIC):
        return int(has_full_ptr_auth(cpu))
    if cap == kvm.KVM_CAP_ARM_INJECT_SERROR_ESR:
        return int(has_ras(cpu))
    if cap == kvm.KVM_CAP_ARM_VM_IPA_SIZE:
        return ipa_limit(cpu)
    return _ALWAYS.get(cap, 0)
