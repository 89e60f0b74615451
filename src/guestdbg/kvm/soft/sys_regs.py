"""System registers: the guest's trapped accesses, and one-reg access to them (sys_regs.c).

Most system registers live in the processor and are never trapped. Here are those that EL2 keeps
for itself: the debug registers and the OS Lock.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit
from guestdbg.kvm.regs import name_of, sys_reg_id
from guestdbg.kvm.soft.bits import (
    MDSCR_KDE,
    MDSCR_MDE,
    MDSCR_SS,
    MDSCR_TDCC,
    OSLSR_OSLK,
    OSLSR_OSLM,
    U64,
)
from guestdbg.kvm.soft.inject_fault import inject_undef, skip_instr

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vcpu import SoftVcpu

Read = Callable[["SoftVcpu"], int]
Write = Callable[["SoftVcpu", int], None]
Kind = Literal["bcr", "bvr", "wcr", "wvr"]

_OSLAR_OSLK: Final = 1 << 0


# -- the guest's own debug state ------------------------------------------------------------------

# The bits that the hardware keeps. The guest's set has no others, so that it reads the same whether
# its registers were in the hardware meanwhile or not.
_KEPT_BITS: Final[dict[Kind, int]] = {
    "bcr": 0x00FFE1E7,
    "bvr": U64,
    "wcr": 0x1F1FFFFF,
    "wvr": U64 & ~3,
}
_MDSCR_KEPT: Final = MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE
#: What saves and restores the external debugger's EDSCR: writable while the OS Lock is locked.
_MDSCR_EDSCR: Final = 1 << 6 | 1 << 14 | 1 << 21 | 3 << 22 | 1 << 26 | 1 << 27 | 1 << 29 | 1 << 30
_MDCCINT_KEPT: Final = 3 << 29


def _read_debug_register(kind: Kind, n: int) -> Read:
    def read(vcpu: SoftVcpu) -> int:
        value: int = getattr(vcpu.guest_regs, kind)[n]
        return value

    return read


def _write_debug_register(kind: Kind, n: int) -> Write:
    kept = _KEPT_BITS[kind]

    def write(vcpu: SoftVcpu, value: int) -> None:
        value &= kept
        values = getattr(vcpu.guest_regs, kind)
        changed: tuple[int, ...] = (*values[:n], value, *values[n + 1 :])
        regs = vcpu.guest_regs
        if kind == "bcr":
            vcpu.guest_regs = replace(regs, bcr=changed)
        elif kind == "bvr":
            vcpu.guest_regs = replace(regs, bvr=changed)
        elif kind == "wcr":
            vcpu.guest_regs = replace(regs, wcr=changed)
        else:
            vcpu.guest_regs = replace(regs, wvr=changed)

    return write


def _read_mdscr(vcpu: SoftVcpu) -> int:
    return vcpu.mdscr_el1


def _write_mdscr(vcpu: SoftVcpu, value: int) -> None:
    mask = _MDSCR_KEPT | _MDSCR_EDSCR if vcpu.os_lock else _MDSCR_KEPT
    vcpu.mdscr_el1 = vcpu.mdscr_el1 & ~mask | value & mask


def _set_mdscr(vcpu: SoftVcpu, value: int) -> None:
    vcpu.mdscr_el1 = value & (_MDSCR_KEPT | _MDSCR_EDSCR)


def _read_mdccint(vcpu: SoftVcpu) -> int:
    return vcpu.mdccint_el1


def _write_mdccint(vcpu: SoftVcpu, value: int) -> None:
    vcpu.mdccint_el1 = value & _MDCCINT_KEPT


def _dirtying(write: Write) -> Write:
    """The guest uses its debug registers: from the next entry on it may have the hardware's."""

    def trapped(vcpu: SoftVcpu, value: int) -> None:
        write(vcpu, value)
        vcpu.dirty = True

    return trapped


def _write_oslar(vcpu: SoftVcpu, value: int) -> None:
    # The guest's lock only: the processor's own stays open, or it would bind the host too.
    vcpu.os_lock = bool(value & _OSLAR_OSLK)


def _read_oslsr(vcpu: SoftVcpu) -> int:
    return OSLSR_OSLM | (OSLSR_OSLK if vcpu.os_lock else 0)


def _set_oslsr(vcpu: SoftVcpu, value: int) -> None:
    if (value ^ OSLSR_OSLM) & ~OSLSR_OSLK:
        raise KvmError(
            errno.EINVAL, "KVM_SET_ONE_REG", f"OSLSR_EL1 = {value:#x}: only OSLK can be changed"
        )
    vcpu.os_lock = bool(value & OSLSR_OSLK)


def _raz(vcpu: SoftVcpu) -> int:
    return 0


def _wi(vcpu: SoftVcpu, value: int) -> None:
    pass


def _read_dbgauthstatus(vcpu: SoftVcpu) -> int:
    # Non-secure invasive and non-invasive debug: implemented and enabled; secure: not implemented.
    return 0xAA & 0x0F


_KINDS: Final[tuple[Kind, ...]] = ("bvr", "bcr", "wvr", "wcr")  # in the order of op2 = 4..7
_DEBUG_REGISTERS: Final = {
    encode16(2, 0, 0, n, 4 + place): (kind, n)
    for n in range(KVM_ARM_MAX_DBG_REGS)
    for place, kind in enumerate(_KINDS)
}

#: Trapped accesses: encoding -> (read, write); None where the access is UNDEFINED.
TRAPS: Final[dict[int, tuple[Read | None, Write | None]]] = {
    **{
        encoding: (_read_debug_register(kind, n), _dirtying(_write_debug_register(kind, n)))
        for encoding, (kind, n) in _DEBUG_REGISTERS.items()
    },
    SYSREGS["MDSCR_EL1"].encoding: (_read_mdscr, _dirtying(_write_mdscr)),
    SYSREGS["MDCCINT_EL1"].encoding: (_read_mdccint, _dirtying(_write_mdccint)),
    SYSREGS["OSLAR_EL1"].encoding: (None, _write_oslar),
    SYSREGS["OSLSR_EL1"].encoding: (_read_oslsr, None),
    SYSREGS["DBGAUTHSTATUS_EL1"].encoding: (_read_dbgauthstatus, _wi),
    # Nobody is at the other end of these: read as zero, writes ignored.
    **{
        SYSREGS[name].encoding: (_raz, _wi)
        for name in (
            "MDRAR_EL1",
            "OSDLR_EL1",
            "DBGPRCR_EL1",
            "DBGCLAIMSET_EL1",
            "DBGCLAIMCLR_EL1",
            "MDCCSR_EL0",
            "DBGDTR_EL0",
            "DBGDTRRX_EL0",
        )
    },
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

#: Kept by EL2: encoding -> (get, set).
KEPT: Final[dict[int, tuple[Read, Write]]] = {
    **{
        encoding: (_read_debug_register(kind, n), _write_debug_register(kind, n))
        for encoding, (kind, n) in _DEBUG_REGISTERS.items()
    },
    SYSREGS["MDSCR_EL1"].encoding: (_read_mdscr, _set_mdscr),
    SYSREGS["MDCCINT_EL1"].encoding: (_read_mdccint, _write_mdccint),
    SYSREGS["OSLSR_EL1"].encoding: (_read_oslsr, _set_oslsr),
}


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


def _encodings(names: Iterable[str]) -> frozenset[int]:
    return frozenset(SYSREGS[name].encoding for name in names)


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

#: In the processor, and what they say of it is not to be changed: the ID registers (op0 3, op1 0,
#: CRn 0, CRm 1 to 7) and a few more.
INVARIANT: Final = _encodings(
    ("MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "CLIDR_EL1", "CTR_EL0")
) | frozenset(encode16(3, 0, 0, crm, op2) for crm in range(1, 8) for op2 in range(8))


def get_sys_reg(vcpu: SoftVcpu, encoding: int) -> int:
    """One-reg read of a system register. KeyError: there is none."""
    kept = KEPT.get(encoding)
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
    kept = KEPT.get(encoding)
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
    return sorted({*KEPT, *IN_PROCESSOR, *UNUSED_RESET, *INVARIANT})
