"""The state of a vCPU after reset, and what KVM_ARM_VCPU_INIT accepts (reset.c, arm.c)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm import constants as kvm
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.processor_features import (
    PTRAUTH_FEATURES,
    has_full_ptr_auth,
    has_ras,
)
from guestdbg.kvm.soft.register_fields import (
    CNTHCTL_EL1PCEN,
    CNTHCTL_EL1PCTEN,
    HCR_AMO,
    HCR_API,
    HCR_APK,
    HCR_BSU_IS,
    HCR_FB,
    HCR_FMO,
    HCR_IMO,
    HCR_PTW,
    HCR_RW,
    HCR_SWIO,
    HCR_TACR,
    HCR_TEA,
    HCR_TERR,
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
from guestdbg.kvm.soft.registers import timer
from guestdbg.kvm.soft.registers.id_regs import has_ptrauth
from guestdbg.kvm.soft.registers.sys_regs import UNUSED_RESET, VDISR
from guestdbg.kvm.soft.state import HOST_DEBUG_STATE, OWNER_FREE
from guestdbg.kvm.structures import DebugRegisters

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import LinuxVersion, VcpuState
    from guestdbg.kvm.structures import VcpuInit

#: EL1h, with D, A, I and F masked.
RESET_PSTATE: Final = PSTATE_EL1H | PSTATE_DAIF

#: As Linux sets it: stage 2 on; physical interrupts to EL2; traps of WFI, SMC, IMPLEMENTATION
#: DEFINED registers, ACTLR_EL1, the ID registers, cache maintenance by set and way; and of the
#: registers that control translation, until the guest's caches are on (TVM, sys_reg_traps.py).
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


def initial_hcr(vcpu: VcpuState) -> int:
    """HCR_EL2 of an initialised vCPU, by its features and the processor's (vcpu_reset_hcr)."""
    hcr = HCR_GUEST
    if has_ras(vcpu.cpu):
        hcr |= HCR_TEA | HCR_TERR
    if has_ptrauth(vcpu):
        hcr |= HCR_API | HCR_APK
    return hcr


_POWER_OFF: Final = 1 << kvm.KVM_ARM_VCPU_POWER_OFF
_KNOWN_FEATURES: Final = _POWER_OFF | (1 << kvm.KVM_ARM_VCPU_PSCI_0_2)
_ALL_FEATURES: Final = (1 << 7) - 1

_OSLAR = SYSREGS["OSLAR_EL1"].encoding


def check_init(vcpu: VcpuState, init: VcpuInit) -> None:
    """Check the arguments of KVM_ARM_VCPU_INIT.

    Raises:
        KvmError: EINVAL for another target, a feature that is not offered, or other features than
            before; ENOENT for a feature that does not exist.
    """
    call = "KVM_ARM_VCPU_INIT"
    linux = vcpu.vm.linux
    targets = [vcpu.vm.model.target]
    if linux.generic_target:
        targets.append(kvm.KVM_ARM_TARGET_GENERIC_V8)
    if init.target not in targets:
        raise KvmError(
            errno.EINVAL,
            call,
            f"target {init.target} is not this processor's, {targets[-1]} "
            "(KVM_ARM_PREFERRED_TARGET)",
        )
    if len(init.features) != 7:
        raise KvmError(errno.EINVAL, call, f"features has {len(init.features)} words instead of 7")
    features = init.features[0]
    if features & ~_ALL_FEATURES or any(init.features[1:]):
        raise KvmError(errno.ENOENT, call, f"features {init.features} has unknown bits")
    ptrauth = features & PTRAUTH_FEATURES
    if ptrauth and (ptrauth != PTRAUTH_FEATURES or not has_full_ptr_auth(vcpu.cpu)):
        raise KvmError(
            errno.EINVAL,
            call,
            f"features {features:#x}: PTRAUTH_ADDRESS (bit 5) and PTRAUTH_GENERIC (6) are offered "
            "together, where the processor has both (KVM_CAP_ARM_PTRAUTH_ADDRESS, _GENERIC)",
        )
    if features & ~(_KNOWN_FEATURES | PTRAUTH_FEATURES):
        raise KvmError(
            errno.EINVAL,
            call,
            f"features {features:#x}: only POWER_OFF (1), PSCI_0_2 (4) and pointer authentication "
            "(0x60) are offered",
        )
    earlier = [vcpu, *vcpu.vm.soft_vcpus] if linux.features_of_machine else [vcpu]
    for other in earlier:
        before = other.initialised_with
        if before is not None and _fixed_features(linux, before) != _fixed_features(linux, init):
            whose = "a vCPU" if other is vcpu else "a machine's vCPU"
            raise KvmError(
                errno.EINVAL,
                call,
                f"features {features:#x}: {whose} can only be initialised with the features of "
                f"before, {before.features[0]:#x}",
            )


def _fixed_features(linux: LinuxVersion, init: VcpuInit) -> int:
    """The features that another KVM_ARM_VCPU_INIT cannot change."""
    features = init.features[0]
    return features & ~_POWER_OFF if linux.features_of_machine else features


def reset_vcpu(vcpu: VcpuState) -> None:
    """The state after KVM_ARM_VCPU_INIT, and of a vCPU that PSCI CPU_ON starts.

    KVM_SET_GUEST_DEBUG stays in force: a vCPU that starts is debugged from its first instruction. A
    pending step stays pending, too, as in the kernel.
    """
    cpu = vcpu.cpu
    cpu.reset()
    timer.reset(vcpu)
    cpu.pstate = RESET_PSTATE
    cpu.cptr_el2 = 0
    cpu.cnthctl_el2 = CNTHCTL_EL1PCTEN | CNTHCTL_EL1PCEN
    cpu.cntvoff_el2 = vcpu.vm.cntvoff
    # The processor's own OS Lock is locked after a reset. The guest's is emulated, and unlocked.
    cpu.set_sysreg(_OSLAR, 0)
    if has_ras(cpu):
        cpu.set_sysreg(VDISR, 0)

    vcpu.vcpu_debug_state = DebugRegisters()
    vcpu.mdscr_el1 = 0
    vcpu.mdccint_el1 = 0
    vcpu.os_lock = False
    vcpu.unused_regs = dict(UNUSED_RESET)
    vcpu.dirty = False
    vcpu.debug_owner = OWNER_FREE
    vcpu.external_mdscr_el1 = 0
    vcpu.preserved_ss = 0
    vcpu.pc_adjustment = None
    vcpu.mmio = None
    vcpu.waiting = False

    # Entries write only what differs from what the hardware holds, so that must be known.
    cpu.mdcr_el2 = vcpu.mdcr_el2 = 0
    cpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = 0
    host = HOST_DEBUG_STATE
    cpu.load_debug(host.bcr, host.bvr, host.wcr, host.wvr)
    vcpu.hardware_debug_state = host
    update_lines(vcpu)


def update_lines(vcpu: VcpuState) -> None:
    """Give the interrupt lines to the processor, as virtual interrupts (HCR_EL2.VI and VF)."""
    hcr = vcpu.cpu.hcr_el2
    with_lines = hcr & ~(HCR_VI | HCR_VF) | vcpu.irq_lines
    if with_lines != hcr:
        vcpu.cpu.hcr_el2 = with_lines
