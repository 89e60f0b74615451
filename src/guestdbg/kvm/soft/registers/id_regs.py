"""The identification registers that a guest sees (sys_regs.c: __kvm_read_sanitised_id_reg).

KVM traps their reads (HCR_EL2.TID3) and shows the processor's values without what it does not
virtualise. Writes by one-reg access are in sys_regs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.idregs import (
    ID_AA64DFR0_EL1,
    ID_AA64ISAR1_EL1,
    ID_AA64ISAR2_EL1,
    ID_AA64MMFR2_EL1,
    ID_AA64PFR0_EL1,
    ID_AA64PFR1_EL1,
)
from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_ARM_VCPU_PTRAUTH_ADDRESS, KVM_ARM_VCPU_PTRAUTH_GENERIC
from guestdbg.kvm.soft.vgic.arm_vgic import VGIC_V3

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Register
    from guestdbg.kvm.soft.state import VcpuState

_MIDR: Final = SYSREGS["MIDR_EL1"].encoding
_PFR0: Final = SYSREGS["ID_AA64PFR0_EL1"].encoding
_DFR0: Final = SYSREGS["ID_AA64DFR0_EL1"].encoding

_PTRAUTH: Final = 1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1 << KVM_ARM_VCPU_PTRAUTH_GENERIC

#: Implementer and PartNum of MIDR_EL1 of processors without a CSV3 field that are not affected by
#: Meltdown (cpufeature.c: kpti_safe_list): those of Arm's first Armv8-A generation.
_MELTDOWN_SAFE: Final = frozenset(
    {(0x41, part) for part in (0xD04, 0xD03, 0xD05, 0xD07, 0xD08, 0xD09)}
)


def _masks(*fields: tuple[Register, tuple[str, ...]]) -> dict[int, int]:
    """Encoding of a register -> these fields of it."""
    return {
        SYSREGS[register.name].encoding: sum(register.field(name).mask for name in names)
        for register, names in fields
    }


#: Fields that are always 0 to a guest without SVE, MTE and PMU, for no machine here has them.
HIDDEN_6_1: Final[Mapping[int, int]] = _masks(
    (ID_AA64PFR0_EL1, ("SVE", "AMU")),
    (ID_AA64PFR1_EL1, ("MTE", "SME")),
    (ID_AA64DFR0_EL1, ("PMSVer", "PMUVer")),
)
HIDDEN_6_14: Final[Mapping[int, int]] = _masks(
    (ID_AA64PFR0_EL1, ("SVE", "AMU", "MPAM")),
    (
        ID_AA64PFR1_EL1,
        ("MTE", "SME", "RNDR_trap", "NMI", "MTE_frac", "GCS", "THE", "MTEX", "DF2", "PFAR")
        + ("MPAM_frac",),
    ),
    (ID_AA64DFR0_EL1, ("PMSVer", "PMUVer", "BRBE")),
    (ID_AA64MMFR2_EL1, ("CCIDX", "NV")),
)
#: Pointer authentication, which a guest has if its vCPUs were initialised with it.
_PTRAUTH_FIELDS: Final = _masks(
    (ID_AA64ISAR1_EL1, ("APA", "API", "GPA", "GPI")),
    (ID_AA64ISAR2_EL1, ("APA3", "GPA3")),
)

_CSV2, _CSV3 = ID_AA64PFR0_EL1.field("CSV2"), ID_AA64PFR0_EL1.field("CSV3")
_GIC = ID_AA64PFR0_EL1.field("GIC")
_DEBUG_VER = ID_AA64DFR0_EL1.field("DebugVer")


def has_ptrauth(vcpu: VcpuState) -> bool:
    """Whether the vCPU was initialised with both features of pointer authentication."""
    init = vcpu.initialised_with
    return init is not None and init.features[0] & _PTRAUTH == _PTRAUTH


def sanitised_id_reg(vcpu: VcpuState, encoding: int, value: int) -> int:
    """An ID register as the guest sees it; ``value``: the processor's."""
    linux = vcpu.vm.linux
    value &= ~linux.hidden_id_fields.get(encoding, 0)
    if not has_ptrauth(vcpu):
        value &= ~_PTRAUTH_FIELDS.get(encoding, 0)
    if encoding == _PFR0:
        return _sanitised_pfr0(vcpu, value)
    if encoding == _DFR0:
        version = min(_DEBUG_VER.get(value), linux.debug_version)
        return value & ~_DEBUG_VER.mask | _DEBUG_VER.put(version)
    return value


def _sanitised_pfr0(vcpu: VcpuState, value: int) -> int:
    """CSV2 and CSV3 say "not affected" also for processors from before these fields.

    GIC announces the GICv3's system registers, if the machine has a GICv3.
    """
    midr = vcpu.cpu.get_sysreg(_MIDR)
    meltdown_safe = (midr >> 24 & 0xFF, midr >> 4 & 0xFFF) in _MELTDOWN_SAFE
    spectre = int(_CSV2.get(value) > 0)
    meltdown = int(_CSV3.get(value) > 0 or meltdown_safe)
    vgic = vcpu.vm.vgic
    gicv3 = int(vgic is not None and vgic.model == VGIC_V3)
    value &= ~(_CSV2.mask | _CSV3.mask | _GIC.mask)
    return value | _CSV2.put(spectre) | _CSV3.put(meltdown) | _GIC.put(gicv3)
