"""System registers: the guest's trapped accesses, and one-reg access to them (sys_regs.c).

Most system registers live in the processor and are never trapped. Here are those that EL2 keeps
for itself, the debug registers and the OS Lock, and those whose accesses it wants to see.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit
from guestdbg.kvm.regs import name_of, sys_reg_id
from guestdbg.kvm.soft.bits import HCR_TVM, SCTLR_C, SCTLR_M
from guestdbg.kvm.soft.debug.debug_regs import DEBUG_REGS, DEBUG_TRAPS, Read, Write, wi
from guestdbg.kvm.soft.exits.inject_fault import inject_undef, skip_instr

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vcpu import SoftVcpu

_MMU_AND_CACHES: Final = SCTLR_M | SCTLR_C


def _encodings(names: Iterable[str]) -> frozenset[int]:
    return frozenset(SYSREGS[name].encoding for name in names)


_SCTLR: Final = SYSREGS["SCTLR_EL1"].encoding

#: What HCR_EL2.TVM traps the writes of.
_MEMORY_CONTROLS: Final = _encodings(
    (
        "SCTLR_EL1",
        "TTBR0_EL1",
        "TTBR1_EL1",
        "TCR_EL1",
        "ESR_EL1",
        "FAR_EL1",
        "AFSR0_EL1",
        "AFSR1_EL1",
        "MAIR_EL1",
        "AMAIR_EL1",
        "CONTEXTIDR_EL1",
    )
)
#: DC ISW, CSW and CISW, which HCR_EL2.TSW traps.
_BY_SET_AND_WAY: Final = frozenset(encode16(1, 0, 7, crm, 2) for crm in (6, 10, 14))
#: What HCR_EL2.TID3 traps the reads of: op0 3, op1 0, CRn 0, CRm 1 to 7.
ID_REGISTERS: Final = frozenset(
    encode16(3, 0, 0, crm, op2) for crm in range(1, 8) for op2 in range(8)
)


# -- registers in the processor whose accesses are trapped ----------------------------------------


def _caches_on(vcpu: SoftVcpu) -> bool:
    return vcpu.cpu.get_sysreg(_SCTLR) & _MMU_AND_CACHES == _MMU_AND_CACHES


def _write_memory_control(encoding: int) -> Write:
    """A write that HCR_EL2.TVM traps, one of those that translation and faults rest on.

    The kernel must know when the guest's caches come on, to clean what was written past them.
    From then on it has no further interest, and the guest writes the registers itself.
    """

    def write(vcpu: SoftVcpu, value: int) -> None:
        cpu = vcpu.cpu
        cpu.set_sysreg(encoding, value)
        if _caches_on(vcpu):
            cpu.hcr_el2 &= ~HCR_TVM

    return write


def _clean_by_set_and_way(vcpu: SoftVcpu, value: int) -> None:
    # A guest that does this is about to turn its caches off or on, which is to be noticed again.
    # Nothing needs to be cleaned here: there are no caches.
    hcr = vcpu.cpu.hcr_el2
    if not hcr & HCR_TVM:
        vcpu.cpu.hcr_el2 = hcr | HCR_TVM


def _read_processor(encoding: int) -> Read:
    return lambda vcpu: vcpu.cpu.get_sysreg(encoding)


def _read_id_register(encoding: int) -> Read:
    return lambda vcpu: get_sys_reg(vcpu, encoding)


#: Trapped accesses: encoding -> (read, write); None where the access is UNDEFINED.
TRAPS: Final[dict[int, tuple[Read | None, Write | None]]] = {
    **DEBUG_TRAPS,
    # HCR_EL2.TVM, TSW, TACR, TID3.
    **{encoding: (None, _write_memory_control(encoding)) for encoding in _MEMORY_CONTROLS},
    **dict.fromkeys(_BY_SET_AND_WAY, (None, _clean_by_set_and_way)),
    SYSREGS["ACTLR_EL1"].encoding: (_read_processor(SYSREGS["ACTLR_EL1"].encoding), wi),
    **{encoding: (_read_id_register(encoding), None) for encoding in ID_REGISTERS},
}


def handle_sys_reg(vcpu: SoftVcpu, esr: int) -> Exit | None:
    """A trapped MRS, MSR or SYS (EC 0x18): emulated, or UNDEFINED to the guest."""
    # ISS: Op0 [21:20], Op2 [19:17], Op1 [16:14], CRn [13:10], Rt [9:5], CRm [4:1], read [0].
    encoding = (
        (esr >> 20 & 3) << 14
        | (esr >> 14 & 7) << 11
        | (esr >> 10 & 15) << 7
        | (esr >> 1 & 15) << 3
        | (esr >> 17 & 7)
    )
    rt = esr >> 5 & 31
    is_read = esr & 1
    read, write = TRAPS.get(encoding, (None, None))
    if is_read and read is not None:
        value = read(vcpu)
        if rt != 31:
            vcpu.cpu.set_x(rt, value)
    elif not is_read and write is not None:
        write(vcpu, vcpu.cpu.get_x(rt) if rt != 31 else 0)
    else:
        what = "read" if is_read else "write"
        name = name_of(sys_reg_id(encoding))
        vcpu.vm.warn_once(
            ("sysreg", encoding, what),
            f"the guest's {what} of {name} at pc {vcpu.cpu.pc:#x} is not emulated; UNDEFINED to it",
        )
        inject_undef(vcpu)
        return None
    skip_instr(vcpu)
    return None


# -- one-reg access -------------------------------------------------------------------------------

#: Of use to AArch32 or RAS only, which this processor has not: kept for whoever migrates a vCPU,
#: and used by nobody. Encoding -> value at reset.
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
IN_PROCESSOR: Final = _encodings(
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

#: In the processor, and what they say of it is not to be changed.
INVARIANT: Final = ID_REGISTERS | _encodings(
    ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "CLIDR_EL1", "CTR_EL0")
)


def get_sys_reg(vcpu: SoftVcpu, encoding: int) -> int:
    """One-reg read of a system register. KeyError: there is none."""
    kept = DEBUG_REGS.get(encoding)
    if kept is not None:
        return kept[0](vcpu)
    if encoding in IN_PROCESSOR:
        return vcpu.cpu.get_sysreg(encoding)
    if encoding in UNUSED_RESET:
        return vcpu.unused_regs[encoding]
    if encoding in INVARIANT:
        try:
            return vcpu.cpu.get_sysreg(encoding)
        except KeyError:
            return 0  # an ID register that says "nothing of that"
    raise KeyError(encoding)


def set_sys_reg(vcpu: SoftVcpu, encoding: int, value: int) -> None:
    """One-reg write of a system register. KeyError: there is none; KvmError EINVAL: refused."""
    kept = DEBUG_REGS.get(encoding)
    if kept is not None:
        kept[1](vcpu, value)
    elif encoding in IN_PROCESSOR:
        vcpu.cpu.set_sysreg(encoding, value)
    elif encoding in UNUSED_RESET:
        vcpu.unused_regs[encoding] = value
    elif encoding in INVARIANT:
        present = get_sys_reg(vcpu, encoding)
        if value != present:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_ONE_REG",
                f"{name_of(sys_reg_id(encoding))} is {present:#x} and cannot be changed "
                f"(to {value:#x}): it describes the processor",
            )
    else:
        raise KeyError(encoding)


def sys_reg_list() -> list[int]:
    """The encodings that one-reg access knows."""
    return sorted({*DEBUG_REGS, *IN_PROCESSOR, *UNUSED_RESET, *INVARIANT})
