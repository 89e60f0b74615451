"""What KVM_CHECK_EXTENSION answers about debugging, and whether it agrees with the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.registers import by_name
from guestdbg.check import assembler as asm
from guestdbg.check.registry import case
from guestdbg.kvm.constants import (
    KVM_API_VERSION,
    KVM_CAP_GUEST_DEBUG_HW_BPS,
    KVM_CAP_GUEST_DEBUG_HW_WPS,
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_DFR0 = by_name("ID_AA64DFR0_EL1")


@case("capability.api-version", "The API is version 12, the only stable one.", "KVM API 4.1")
def _(rig: Rig) -> None:
    rig.expect("KVM_GET_API_VERSION", rig.kvm.api_version(), KVM_API_VERSION)


@case(
    "capability.set-guest-debug",
    "KVM_CAP_SET_GUEST_DEBUG is 1: guests can be debugged from userspace.",
    "KVM API 4.87",
)
def _(rig: Rig) -> None:
    rig.expect("KVM_CAP_SET_GUEST_DEBUG", rig.kvm.check_extension(KVM_CAP_SET_GUEST_DEBUG), 1)


@case(
    "capability.control-flags",
    "KVM_CAP_SET_GUEST_DEBUG2 is the mask of supported control flags: on arm64 ENABLE, SINGLESTEP, "
    "USE_SW_BP and USE_HW.",
    "KVM API 4.87 and 8 (KVM_CAP_SET_GUEST_DEBUG2)",
    since=(5, 13),
)
def _(rig: Rig) -> None:
    mask = rig.kvm.check_extension(KVM_CAP_SET_GUEST_DEBUG2)
    flags = (
        KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW
    )
    rig.expect("the supported flags", mask, flags)


@case(
    "capability.breakpoints",
    "KVM_CAP_GUEST_DEBUG_HW_BPS is the number of breakpoint registers, 2 to 16.",
    "KVM API 4.87; Arm ARM ID_AA64DFR0_EL1.BRPs",
)
def _(rig: Rig) -> None:
    rig.expect_one_of("KVM_CAP_GUEST_DEBUG_HW_BPS", rig.breakpoints, range(2, 17))


@case(
    "capability.watchpoints",
    "KVM_CAP_GUEST_DEBUG_HW_WPS is the number of watchpoint registers, 2 to 16.",
    "KVM API 4.87; Arm ARM ID_AA64DFR0_EL1.WRPs",
)
def _(rig: Rig) -> None:
    rig.expect_one_of("KVM_CAP_GUEST_DEBUG_HW_WPS", rig.watchpoints, range(2, 17))


@case(
    "capability.breakpoints-as-the-id-register",
    "The guest's ID_AA64DFR0_EL1.BRPs gives the same number of breakpoints as the capability.",
    "Arm ARM ID_AA64DFR0_EL1; KVM API 4.87",
)
def _(rig: Rig) -> None:
    brps = _DFR0.get(rig.reg("ID_AA64DFR0_EL1"), "BRPs")
    rig.expect("BRPs + 1", brps + 1, rig.breakpoints)


@case(
    "capability.watchpoints-as-the-id-register",
    "The guest's ID_AA64DFR0_EL1.WRPs gives the same number of watchpoints as the capability.",
    "Arm ARM ID_AA64DFR0_EL1; KVM API 4.87",
)
def _(rig: Rig) -> None:
    wrps = _DFR0.get(rig.reg("ID_AA64DFR0_EL1"), "WRPs")
    rig.expect("WRPs + 1", wrps + 1, rig.watchpoints)


@case(
    "capability.context-breakpoints",
    "There are no more context-aware breakpoints than breakpoints.",
    "Arm ARM ID_AA64DFR0_EL1.CTX_CMPs",
)
def _(rig: Rig) -> None:
    count = _DFR0.get(rig.reg("ID_AA64DFR0_EL1"), "CTX_CMPs") + 1
    rig.expect_one_of("CTX_CMPs + 1", count, range(1, rig.breakpoints + 1))


@case(
    "capability.the-same-for-a-machine",
    "The capabilities of debugging are the same for the system and for a machine.",
    "KVM API 4.4 (KVM_CAP_CHECK_EXTENSION_VM)",
)
def _(rig: Rig) -> None:
    for cap in (
        KVM_CAP_SET_GUEST_DEBUG,
        KVM_CAP_GUEST_DEBUG_HW_BPS,
        KVM_CAP_GUEST_DEBUG_HW_WPS,
        KVM_CAP_SET_GUEST_DEBUG2,
    ):
        of_vm = rig.machine.vm.check_extension(cap)
        rig.expect(f"capability {cap} of the machine", of_vm, rig.kvm.check_extension(cap))


@case(
    "capability.the-guest-reads-the-same",
    "One-reg access and the guest read the same ID_AA64DFR0_EL1.",
    "KVM API 4.68 (KVM_SET_ONE_REG)",
)
def _(rig: Rig) -> None:
    rig.code(asm.mrs(2, "ID_AA64DFR0_EL1"), rig.finish(2))
    rig.done(value=rig.reg("ID_AA64DFR0_EL1"))
