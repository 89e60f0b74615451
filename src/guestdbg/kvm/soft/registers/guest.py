"""KVM_GET_ONE_REG and KVM_SET_ONE_REG: core and firmware registers, and the way to all others.

Mirrors guest.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from ctypes import sizeof
from typing import Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import (
    KVM_REG_ARM64,
    KVM_REG_ARM64_SYSREG,
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    KVM_REG_ARM_PSCI_VERSION,
    KVM_REG_SIZE_MASK,
    KVM_REG_SIZE_U64,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.layouts import kvm_regs
from guestdbg.kvm.regs import CORE_REGS, name_of, size_of, sys_reg_id
from guestdbg.kvm.soft.register_fields import PSTATE_EL0T, PSTATE_EL1H, PSTATE_EL1T, PSTATE_M
from guestdbg.kvm.soft.registers.sys_regs import get_sys_reg, set_sys_reg, sys_reg_list
from guestdbg.kvm.soft.registers.timer import TIMER_REGS
from guestdbg.kvm.soft.state import VcpuState

Get = Callable[[VcpuState], int]
Set = Callable[[VcpuState, int], None]

_SYSREG_CLASS: Final = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG


_ELR_EL1, _SPSR_EL1 = SYSREGS["ELR_EL1"].encoding, SYSREGS["SPSR_EL1"].encoding


def _x(n: int) -> tuple[Get, Set]:
    return lambda vcpu: vcpu.cpu.get_x(n), lambda vcpu, value: vcpu.cpu.set_x(n, value)


def _v(n: int) -> tuple[Get, Set]:
    return lambda vcpu: vcpu.cpu.get_v(n), lambda vcpu, value: vcpu.cpu.set_v(n, value)


def _attribute(name: str) -> tuple[Get, Set]:
    def get(vcpu: VcpuState) -> int:
        value: int = getattr(vcpu.cpu, name)
        return value

    def set_(vcpu: VcpuState, value: int) -> None:
        setattr(vcpu.cpu, name, value)

    return get, set_


def _get_pc(vcpu: VcpuState) -> int:
    return vcpu.cpu.pc


def _set_pc(vcpu: VcpuState, value: int) -> None:
    if value not in (vcpu.cpu.pc, vcpu.cpu.pc + 4):
        # Somebody sends the vCPU elsewhere, for example back from a handler of the guest's.
        vcpu.cpu.forget_exceptions()
        vcpu.waiting = False
    vcpu.cpu.pc = value


def _get_pstate(vcpu: VcpuState) -> int:
    return vcpu.cpu.pstate


def _set_pstate(vcpu: VcpuState, value: int) -> None:
    if value & PSTATE_M not in (PSTATE_EL0T, PSTATE_EL1T, PSTATE_EL1H):
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_ONE_REG",
            f"pstate {value:#x}: mode {value & PSTATE_M:#x} is not EL0t (0), EL1t (4) or EL1h (5)",
        )
    vcpu.cpu.pstate = value


def _in_processor(encoding: int) -> tuple[Get, Set]:
    return (
        lambda vcpu: vcpu.cpu.get_sysreg(encoding),
        lambda vcpu, value: vcpu.cpu.set_sysreg(encoding, value),
    )


def _bank(n: int) -> tuple[Get, Set]:
    """SPSR_abt, und, irq, fiq: without AArch32 they have no effect; their values are kept."""

    def get(vcpu: VcpuState) -> int:
        return vcpu.spsr_aarch32[n]

    def set_(vcpu: VcpuState, value: int) -> None:
        vcpu.spsr_aarch32[n] = value

    return get, set_


def _get_psci_version(vcpu: VcpuState) -> int:
    return vcpu.psci_version


def _set_psci_version(vcpu: VcpuState, value: int) -> None:
    versions = vcpu.vm.linux.psci_versions
    if value not in versions:
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_ONE_REG",
            f"there is no PSCI version {value:#x}; it may be "
            f"{', '.join(f'{version:#x}' for version in versions)}",
        )
    vcpu.psci_version = value


_ACCESSORS: Final[dict[str, tuple[Get, Set]]] = {
    **{f"x{n}": _x(n) for n in range(31)},
    **{f"v{n}": _v(n) for n in range(32)},
    **{f"spsr[{n}]": _bank(n) for n in range(1, 5)},
    "sp": _attribute("sp_el0"),
    "sp_el1": _attribute("sp_el1"),
    "pc": (_get_pc, _set_pc),
    "pstate": (_get_pstate, _set_pstate),
    "elr_el1": _in_processor(_ELR_EL1),
    "spsr[0]": _in_processor(_SPSR_EL1),
    "fpsr": _attribute("fpsr"),
    "fpcr": _attribute("fpcr"),
}

_REGS: Final[dict[int, tuple[Get, Set]]] = {
    **{reg_id: _ACCESSORS[name] for name, reg_id in CORE_REGS.items()},
    **TIMER_REGS,
    KVM_REG_ARM_PSCI_VERSION: (_get_psci_version, _set_psci_version),
}

#: Readers of the registers that are not system registers, by id.
GETTERS: Final[dict[int, Get]] = {reg_id: get for reg_id, (get, _) in _REGS.items()}
_SETTERS: Final[dict[int, Set]] = {reg_id: set_ for reg_id, (_, set_) in _REGS.items()}
_LIMITS: Final[dict[int, int]] = {reg_id: 1 << 8 * size_of(reg_id) for reg_id in _REGS}


_CORE_END: Final = sizeof(kvm_regs) // 4


def _no_such(call: str, reg_id: int) -> KvmError:
    """The kernel's errno: EINVAL for what cannot be an id, ENOENT for an id that is not in use."""
    if reg_id >> 32 & ~(KVM_REG_SIZE_MASK >> 32) != KVM_REG_ARM64 >> 32:
        return KvmError(errno.EINVAL, call, f"{reg_id:#x} is not the id of an arm64 register")
    if reg_id & KVM_REG_ARM_COPROC_MASK == KVM_REG_ARM_CORE and reg_id & 0xFFFF < _CORE_END:
        return KvmError(
            errno.EINVAL,
            call,
            f"{reg_id:#x} is not the start of a core register, or not with its size",
        )
    return KvmError(
        errno.ENOENT, call, f"a vCPU has no register {name_of(reg_id)} (id {reg_id:#x})"
    )


def get_reg(vcpu: VcpuState, reg_id: int) -> int:
    """KVM_GET_ONE_REG.

    Raises:
        KvmError: ENOENT: there is no such register; EINVAL: this cannot be an id.
    """
    get = GETTERS.get(reg_id)
    if get is not None:
        return get(vcpu)
    if reg_id & ~0xFFFF == _SYSREG_CLASS:
        try:
            return get_sys_reg(vcpu, reg_id & 0xFFFF)
        except KeyError:
            pass
    raise _no_such("KVM_GET_ONE_REG", reg_id)


def set_reg(vcpu: VcpuState, reg_id: int, value: int) -> None:
    """KVM_SET_ONE_REG.

    Raises:
        KvmError: ENOENT: there is no such register; EINVAL: this cannot be an id, or the register
            does not accept this value.
    """
    set_ = _SETTERS.get(reg_id)
    if not 0 <= value < _LIMITS.get(reg_id, 1 << 64):
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_ONE_REG",
            f"{name_of(reg_id)} has {8 * size_of(reg_id)} bits; {value:#x} does not fit",
        )
    if set_ is not None:
        set_(vcpu, value)
        return
    if reg_id & ~0xFFFF == _SYSREG_CLASS:
        try:
            set_sys_reg(vcpu, reg_id & 0xFFFF, value)
        except KeyError:
            pass
        else:
            return
    raise _no_such("KVM_SET_ONE_REG", reg_id)


def reg_list(vcpu: VcpuState) -> list[int]:
    """KVM_GET_REG_LIST: every id that one-reg access accepts."""
    return [*_REGS, *(sys_reg_id(encoding) for encoding in sys_reg_list(vcpu))]
