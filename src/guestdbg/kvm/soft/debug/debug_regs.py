"""The guest's own debug registers and OS Lock, as EL2 keeps them (sys_regs.c).

A value that a trapped access or one-reg writes is kept whole, including bits that the hardware does
not implement. Those bits are lost once the register has been loaded into the hardware (switch.py).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from guestdbg.arm64.sysregs import SYSREGS, encode16
from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.register_fields import OSLSR_OSLK, OSLSR_OSLM
from guestdbg.kvm.soft.state import VcpuState

Read = Callable[[VcpuState], int]
Write = Callable[[VcpuState, int], None]
Kind = Literal["bcr", "bvr", "wcr", "wvr"]

_OSLAR_OSLK: Final = 1 << 0


def _read_debug_register(kind: Kind, n: int) -> Read:
    def read(vcpu: VcpuState) -> int:
        value: int = getattr(vcpu.vcpu_debug_state, kind)[n]
        return value

    return read


def _write_debug_register(kind: Kind, n: int) -> Write:
    def write(vcpu: VcpuState, value: int) -> None:
        values = getattr(vcpu.vcpu_debug_state, kind)
        changed: tuple[int, ...] = (*values[:n], value, *values[n + 1 :])
        regs = vcpu.vcpu_debug_state
        if kind == "bcr":
            vcpu.vcpu_debug_state = replace(regs, bcr=changed)
        elif kind == "bvr":
            vcpu.vcpu_debug_state = replace(regs, bvr=changed)
        elif kind == "wcr":
            vcpu.vcpu_debug_state = replace(regs, wcr=changed)
        else:
            vcpu.vcpu_debug_state = replace(regs, wvr=changed)

    return write


def _read_mdscr(vcpu: VcpuState) -> int:
    return vcpu.mdscr_el1


def _write_mdscr(vcpu: VcpuState, value: int) -> None:
    vcpu.mdscr_el1 = value


def _read_mdccint(vcpu: VcpuState) -> int:
    return vcpu.mdccint_el1


def _write_mdccint(vcpu: VcpuState, value: int) -> None:
    vcpu.mdccint_el1 = value


def _trapped(read: Read, write: Write) -> tuple[Read, Write]:
    """Trapped accesses, after which the kernel may let the guest have the hardware's registers."""

    def trapped_read(vcpu: VcpuState) -> int:
        value = read(vcpu)
        vcpu.vm.linux.debug_register_trapped(vcpu, False)
        return value

    def trapped_write(vcpu: VcpuState, value: int) -> None:
        write(vcpu, value)
        vcpu.vm.linux.debug_register_trapped(vcpu, True)

    return trapped_read, trapped_write


def _write_oslar(vcpu: VcpuState, value: int) -> None:
    # The guest's own lock only. The processor's stays unlocked: it would disable the host's
    # breakpoints and watchpoints too.
    vcpu.os_lock = bool(value & _OSLAR_OSLK)
    vcpu.vm.linux.os_lock_trapped(vcpu)


def _read_oslsr(vcpu: VcpuState) -> int:
    return OSLSR_OSLM | (OSLSR_OSLK if vcpu.os_lock else 0)


def _set_oslsr(vcpu: VcpuState, value: int) -> None:
    if (value ^ OSLSR_OSLM) & ~OSLSR_OSLK:
        raise KvmError(
            errno.EINVAL, "KVM_SET_ONE_REG", f"OSLSR_EL1 = {value:#x}: only OSLK can be changed"
        )
    vcpu.os_lock = bool(value & OSLSR_OSLK)


def raz(vcpu: VcpuState) -> int:
    """Read as zero."""
    return 0


def wi(vcpu: VcpuState, value: int) -> None:
    """Writes ignored."""


def _read_dbgauthstatus(vcpu: VcpuState) -> int:
    # Non-secure invasive and non-invasive debug: implemented and enabled; secure: not implemented.
    return 0xAA & 0x0F


_KINDS: Final[tuple[Kind, ...]] = ("bvr", "bcr", "wvr", "wcr")  # in the order of op2 = 4..7
_DEBUG_REGISTERS: Final = {
    encode16(2, 0, 0, n, 4 + place): (kind, n)
    for n in range(KVM_ARM_MAX_DBG_REGS)
    for place, kind in enumerate(_KINDS)
}

#: Trapped accesses of the guest: encoding -> (read, write); None: the access is UNDEFINED.
DEBUG_TRAPS: Final[dict[int, tuple[Read | None, Write | None]]] = {
    **{
        encoding: _trapped(_read_debug_register(kind, n), _write_debug_register(kind, n))
        for encoding, (kind, n) in _DEBUG_REGISTERS.items()
    },
    SYSREGS["MDSCR_EL1"].encoding: _trapped(_read_mdscr, _write_mdscr),
    SYSREGS["MDCCINT_EL1"].encoding: _trapped(_read_mdccint, _write_mdccint),
    SYSREGS["OSLAR_EL1"].encoding: (None, _write_oslar),
    SYSREGS["OSLSR_EL1"].encoding: (_read_oslsr, None),
    SYSREGS["DBGAUTHSTATUS_EL1"].encoding: (_read_dbgauthstatus, wi),
    # No external debugger is attached: these read as zero, and writes are ignored.
    **{
        SYSREGS[name].encoding: (raz, wi)
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

#: One-reg access: encoding -> (get, set).
DEBUG_REGS: Final[dict[int, tuple[Read, Write]]] = {
    **{
        encoding: (_read_debug_register(kind, n), _write_debug_register(kind, n))
        for encoding, (kind, n) in _DEBUG_REGISTERS.items()
    },
    SYSREGS["MDSCR_EL1"].encoding: (_read_mdscr, _write_mdscr),
    SYSREGS["MDCCINT_EL1"].encoding: (_read_mdccint, _write_mdccint),
    SYSREGS["OSLSR_EL1"].encoding: (_read_oslsr, _set_oslsr),
}
