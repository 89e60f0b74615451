"""One-reg access to system registers (sys_regs.c).

Most are in the processor; the debug registers and the OS Lock are kept by EL2 (debug_regs.py). What
the guest's own accesses do, where they are trapped, is in exits/sys_reg_traps.py.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.regs import name_of, sys_reg_id
from guestdbg.kvm.soft.debug.debug_regs import DEBUG_REGS
from guestdbg.kvm.soft.processor_features import has_ras
from guestdbg.kvm.soft.registers.id_regs import has_ptrauth, sanitised_id_reg

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState


def encodings(names: Iterable[str]) -> frozenset[int]:
    """The 16-bit encodings of system registers, by name."""
    return frozenset(SYSREGS[name].encoding for name in names)


#: Registers whose reads HCR_EL2.TID3 traps: op0 3, op1 0, CRn 0, CRm 1 to 7.
ID_REGISTERS: Final = frozenset(
    encode16(3, 0, 0, crm, op2) for crm in range(1, 8) for op2 in range(8)
)

#: Registers of AArch32, which this processor does not implement, and of RAS, where it does not.
#: Their values are kept, so that a vCPU can be migrated, and have no effect. Encoding -> value at
#: reset.
UNUSED_RESET: Final[dict[int, int]] = {
    SYSREGS[name].encoding: value
    for name, value in (
        ("DBGVCR32_EL2", 0),
        ("DISR_EL1", 0),
        ("DACR32_EL2", 0),
        ("IFSR32_EL2", 0),
        ("FPEXC32_EL2", 0x700),
    )
}


#: In the processor, read and written.
IN_PROCESSOR: Final = encodings(
    (
        "MPIDR_EL1",
        "SCTLR_EL1",
        "ACTLR_EL1",
        "CPACR_EL1",
        "TTBR0_EL1",
        "TTBR1_EL1",
        "TCR_EL1",
        "AFSR0_EL1",
        "AFSR1_EL1",
        "ESR_EL1",
        "FAR_EL1",
        "PAR_EL1",
        "MAIR_EL1",
        "AMAIR_EL1",
        "VBAR_EL1",
        "CONTEXTIDR_EL1",
        "TPIDR_EL1",
        "CNTKCTL_EL1",
        "CSSELR_EL1",
        "TPIDR_EL0",
        "TPIDRRO_EL0",
    )
)

#: In the processor, of vCPUs with pointer authentication only (ptrauth_visibility).
KEYS: Final = encodings(
    f"AP{key}KEY{half}_EL1" for key in ("IA", "IB", "DA", "DB", "GA") for half in ("LO", "HI")
)

#: With FEAT_RAS, where the guest's DISR_EL1 is, and the syndrome of its next virtual SError.
VDISR: Final = SYSREGS["VDISR_EL2"].encoding
VSESR: Final = SYSREGS["VSESR_EL2"].encoding
_DISR: Final = SYSREGS["DISR_EL1"].encoding

#: In the processor, and constant: they describe it.
INVARIANT: Final = ID_REGISTERS | encodings(
    ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "CLIDR_EL1", "CTR_EL0")
)


_ID_AA64DFR0: Final = SYSREGS["ID_AA64DFR0_EL1"].encoding
_WRPS: Final = 0xF << 20
_DEBUG_VER: Final = 0xF
_DEBUG_VER_8_0: Final = 6


def get_sys_reg(vcpu: VcpuState, encoding: int) -> int:
    """One-reg read of a system register. KeyError: there is no such register."""
    kept = DEBUG_REGS.get(encoding)
    if kept is not None:
        return kept[0](vcpu)
    if encoding in IN_PROCESSOR:
        return vcpu.cpu.get_sysreg(encoding)
    if encoding == _DISR and has_ras(vcpu.cpu):
        return vcpu.cpu.get_sysreg(VDISR)
    if encoding in UNUSED_RESET:
        return vcpu.unused_regs[encoding]
    if encoding in KEYS and has_ptrauth(vcpu):
        return vcpu.cpu.get_sysreg(encoding)
    if encoding in INVARIANT:
        if encoding == _ID_AA64DFR0 and vcpu.vm.id_aa64dfr0_el1 is not None:
            return vcpu.vm.id_aa64dfr0_el1
        try:
            value = vcpu.cpu.get_sysreg(encoding)
        except KeyError:
            return 0  # an ID register that the processor does not have reads as zero
        return sanitised_id_reg(vcpu, encoding, value)
    raise KeyError(encoding)


def set_sys_reg(vcpu: VcpuState, encoding: int, value: int) -> None:
    """One-reg write of a system register.

    Raises:
        KeyError: there is no such register.
        KvmError: EINVAL: the register does not accept this value.
    """
    kept = DEBUG_REGS.get(encoding)
    if kept is not None:
        kept[1](vcpu, value)
    elif encoding in IN_PROCESSOR:
        vcpu.cpu.set_sysreg(encoding, value)
    elif encoding == _DISR and has_ras(vcpu.cpu):
        vcpu.cpu.set_sysreg(VDISR, value)
    elif encoding in UNUSED_RESET:
        vcpu.unused_regs[encoding] = value
    elif encoding in KEYS and has_ptrauth(vcpu):
        vcpu.cpu.set_sysreg(encoding, value)
    elif encoding in INVARIANT:
        present = get_sys_reg(vcpu, encoding)
        if value == present:
            return
        if encoding == _ID_AA64DFR0 and vcpu.vm.linux.writable_debug_features:
            _set_id_aa64dfr0(vcpu, value)
            return
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_ONE_REG",
            f"{name_of(sys_reg_id(encoding))} is {present:#x} and cannot be changed "
            f"(to {value:#x}): it describes the processor",
        )
    else:
        raise KeyError(encoding)


def _set_id_aa64dfr0(vcpu: VcpuState, value: int) -> None:
    """Hide watchpoints, or a newer debug architecture, from the guest.

    The number of breakpoints cannot change: the context-aware ones are the highest-numbered, and
    the guest accesses those of the hardware.
    """
    processor = sanitised_id_reg(vcpu, _ID_AA64DFR0, vcpu.cpu.get_sysreg(_ID_AA64DFR0))
    if vcpu.vm.has_run:
        raise KvmError(
            errno.EBUSY,
            "KVM_SET_ONE_REG",
            "ID_AA64DFR0_EL1 cannot be changed: a vCPU of the machine has run",
        )
    lowered = _WRPS | _DEBUG_VER
    if (
        (value ^ processor) & ~lowered
        or value & _WRPS > processor & _WRPS
        or not _DEBUG_VER_8_0 <= value & _DEBUG_VER <= processor & _DEBUG_VER
    ):
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_ONE_REG",
            f"ID_AA64DFR0_EL1 = {value:#x}: the processor's is {processor:#x}; WRPs [23:20] may be "
            "lower, and DebugVer [3:0] from 6 up to the processor's",
        )
    vcpu.vm.id_aa64dfr0_el1 = value


def sys_reg_list(vcpu: VcpuState) -> list[int]:
    """The encodings that one-reg access accepts, sorted."""
    keys = KEYS if has_ptrauth(vcpu) else ()
    return sorted({*DEBUG_REGS, *IN_PROCESSOR, *UNUSED_RESET, *INVARIANT, *keys})
