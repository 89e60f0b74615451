"""What a vCPU is after reset, and what the provider can do (reset.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.cpu.processor import Processor
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.bits import (
    CNTHCTL_EL1PCEN,
    CNTHCTL_EL1PCTEN,
    HCR_AMO,
    HCR_BSU_IS,
    HCR_FB,
    HCR_FMO,
    HCR_IMO,
    HCR_PTW,
    HCR_RW,
    HCR_SWIO,
    HCR_TACR,
    HCR_TID3,
    HCR_TIDCP,
    HCR_TSC,
    HCR_TSW,
    HCR_TVM,
    HCR_TWI,
    HCR_VF,
    HCR_VI,
    HCR_VM,
    PSTATE_DAIF,
    PSTATE_EL1H,
)
from guestdbg.kvm.soft.debug.switch import HOST_REGISTERS
from guestdbg.kvm.soft.registers.sys_regs import UNUSED_RESET
from guestdbg.kvm.structures import DebugRegisters, VcpuInit

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vcpu import SoftVcpu

#: EL1h, everything masked.
RESET_PSTATE: Final = PSTATE_EL1H | PSTATE_DAIF

#: Stage 2 on, physical interrupts to EL2; traps of WFI, SMC, IMPLEMENTATION DEFINED registers,
#: ACTLR_EL1, the ID registers and caches by set and way, as Linux has them; and of the registers
#: that translation rests on, until the guest has its caches on (TVM, sys_regs.py).
HCR_GUEST: Final = (
    HCR_VM
    | HCR_SWIO
    | HCR_PTW
    | HCR_FMO
    | HCR_IMO
    | HCR_AMO
    | HCR_FB
    | HCR_BSU_IS
    | HCR_TWI
    | HCR_TSC
    | HCR_TIDCP
    | HCR_TACR
    | HCR_TID3
    | HCR_TSW
    | HCR_TVM
    | HCR_RW
)

MAX_VCPUS: Final = 64
MAX_MEMSLOTS: Final = 64
MIN_IPA_BITS: Final = 32
DEFAULT_IPA_BITS: Final = 40

_KNOWN_FEATURES: Final = (1 << kvm.KVM_ARM_VCPU_POWER_OFF) | (1 << kvm.KVM_ARM_VCPU_PSCI_0_2)
_ALL_FEATURES: Final = (1 << 7) - 1

_ID_AA64DFR0 = SYSREGS["ID_AA64DFR0_EL1"].encoding
_ID_AA64PFR0 = SYSREGS["ID_AA64PFR0_EL1"].encoding
_ID_AA64MMFR0 = SYSREGS["ID_AA64MMFR0_EL1"].encoding
_OSLAR = SYSREGS["OSLAR_EL1"].encoding

_PA_RANGES: Final = (32, 36, 40, 42, 44, 48)

_ALWAYS: Final = {
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
    kvm.KVM_CAP_ENABLE_CAP_VM: 1,
    kvm.KVM_CAP_CHECK_EXTENSION_VM: 1,
    kvm.KVM_CAP_IMMEDIATE_EXIT: 1,
    kvm.KVM_CAP_ARM_IRQ_LINE_LAYOUT_2: 1,
    kvm.KVM_CAP_ARM_NISV_TO_USER: 1,
    kvm.KVM_CAP_ARM_INJECT_EXT_DABT: 1,
}


def ipa_limit(cpu: Processor) -> int:
    """Width in bits of the physical addresses that the processor can put out."""
    pa_range = cpu.get_sysreg(_ID_AA64MMFR0) & 15
    return _PA_RANGES[min(pa_range, len(_PA_RANGES) - 1)]


def check_extension(cpu: Processor, cap: int) -> int:
    """KVM_CHECK_EXTENSION, for machines made of processors like ``cpu``.

    The numbers of debug registers are taken from one processor and hold for all: they are assumed
    to be uniform, and here they are.
    """
    if cap == kvm.KVM_CAP_GUEST_DEBUG_HW_BPS:
        return (cpu.get_sysreg(_ID_AA64DFR0) >> 12 & 15) + 1
    if cap == kvm.KVM_CAP_GUEST_DEBUG_HW_WPS:
        return (cpu.get_sysreg(_ID_AA64DFR0) >> 20 & 15) + 1
    if cap == kvm.KVM_CAP_ARM_EL1_32BIT:
        # ID_AA64PFR0_EL1.EL1 = 2: EL1 can be AArch32 too.
        return int(cpu.get_sysreg(_ID_AA64PFR0) >> 4 & 15 == 2)
    if cap == kvm.KVM_CAP_ARM_VM_IPA_SIZE:
        return ipa_limit(cpu)
    return _ALWAYS.get(cap, 0)


def check_init(init: VcpuInit, preferred: VcpuInit, before: VcpuInit | None) -> None:
    """Raise KvmError where KVM_ARM_VCPU_INIT is asked for what there is not.

    ``preferred`` is the processor's own; ``before`` what the vCPU was initialised with the last
    time.
    """
    call = "KVM_ARM_VCPU_INIT"
    if init.target != preferred.target:
        raise KvmError(
            errno.EINVAL,
            call,
            f"target {init.target} is not this processor's, {preferred.target} "
            "(KVM_ARM_PREFERRED_TARGET)",
        )
    if len(init.features) != 7:
        raise KvmError(errno.EINVAL, call, f"features has {len(init.features)} words instead of 7")
    features = init.features[0]
    if features & ~_ALL_FEATURES or any(init.features[1:]):
        raise KvmError(errno.ENOENT, call, f"features {init.features} has unknown bits")
    if features & ~_KNOWN_FEATURES:
        raise KvmError(
            errno.EINVAL,
            call,
            f"features {features:#x}: of these only POWER_OFF (1) and PSCI_0_2 (4) are offered",
        )
    if before is not None and before.features != init.features:
        raise KvmError(
            errno.EINVAL, call, "a vCPU is initialised again with the features it had before"
        )


def reset_vcpu(vcpu: SoftVcpu) -> None:
    """The state of KVM_ARM_VCPU_INIT, and of a vCPU that PSCI brings up.

    What userspace asked for with KVM_SET_GUEST_DEBUG stays in force: a vCPU that comes up is
    debugged from its first instruction.
    """
    cpu = vcpu.cpu
    cpu.reset()
    cpu.pstate = RESET_PSTATE
    cpu.cptr_el2 = 0
    cpu.cnthctl_el2 = CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN
    cpu.cntvoff_el2 = vcpu.vm.cntvoff
    # The processor's own OS Lock is locked at a reset. The guest's is emulated and open.
    cpu.set_sysreg(_OSLAR, 0)

    vcpu.guest_regs = DebugRegisters()
    vcpu.mdscr_el1 = 0
    vcpu.mdccint_el1 = 0
    vcpu.os_lock = False
    vcpu.unused_regs = dict(UNUSED_RESET)
    vcpu.dirty = False
    vcpu.active_pending = False
    vcpu.preserved_ss = 0
    vcpu.pending = None
    vcpu.mmio = None

    # What the hardware holds must be known, or what is not changed could not be left alone.
    cpu.mdcr_el2 = vcpu.mdcr_el2 = 0
    cpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = 0
    host = HOST_REGISTERS
    cpu.load_debug(host.bcr, host.bvr, host.wcr, host.wvr)
    vcpu.hardware_regs = host
    update_lines(vcpu)


def update_lines(vcpu: SoftVcpu) -> None:
    """Bring the interrupt lines to the processor, as virtual interrupts."""
    hcr = vcpu.cpu.hcr_el2
    wanted = hcr & ~(HCR_VI | HCR_VF) | vcpu.irq_lines
    if wanted != hcr:
        vcpu.cpu.hcr_el2 = wanted
