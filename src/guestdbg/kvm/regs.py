"""One-reg ids by name, and back.

Core registers are the fields of ``struct kvm_regs``; system registers have their encoding in the
id (KVM API, 4.68, KVM_SET_ONE_REG, arm64).
"""

from __future__ import annotations

from functools import cache
from typing import Final

from guestdbg.arm64.sysregs import SYSREGS, decode16, generic_name
from guestdbg.deprecation import deprecated_names
from guestdbg.errors import GuestdbgError
from guestdbg.kvm.constants import (
    KVM_NR_SPSR,
    KVM_REG_ARM64,
    KVM_REG_ARM64_SYSREG,
    KVM_REG_ARM_COPROC_MASK,
    KVM_REG_ARM_CORE,
    KVM_REG_ARM_PSCI_VERSION,
    KVM_REG_ARM_TIMER_CNT,
    KVM_REG_ARM_TIMER_CVAL,
    KVM_REG_SIZE_MASK,
    KVM_REG_SIZE_SHIFT,
    KVM_REG_SIZE_U32,
    KVM_REG_SIZE_U64,
    KVM_REG_SIZE_U128,
)
from guestdbg.kvm.layouts import kvm_regs, user_fpsimd_state, user_pt_regs


class UnknownOneReg(GuestdbgError, KeyError):
    """No register of KVM's one-reg interface has this name."""

    def __str__(self) -> str:
        return str(self.args[0])


def _core_ids() -> dict[str, int]:
    def core(size: int, offset: int) -> int:
        return KVM_REG_ARM64 | size | KVM_REG_ARM_CORE | offset // 4

    ids = {f"x{n}": core(KVM_REG_SIZE_U64, 8 * n) for n in range(31)}
    for name in ("sp", "pc", "pstate"):
        ids[name] = core(KVM_REG_SIZE_U64, getattr(user_pt_regs, name).offset)
    ids["sp_el1"] = core(KVM_REG_SIZE_U64, kvm_regs.sp_el1.offset)
    ids["elr_el1"] = core(KVM_REG_SIZE_U64, kvm_regs.elr_el1.offset)
    for n in range(KVM_NR_SPSR):
        ids[f"spsr[{n}]"] = core(KVM_REG_SIZE_U64, kvm_regs.spsr.offset + 8 * n)
    fp = kvm_regs.fp_regs.offset
    for n in range(32):
        ids[f"v{n}"] = core(KVM_REG_SIZE_U128, fp + user_fpsimd_state.vregs.offset + 16 * n)
    ids["fpsr"] = core(KVM_REG_SIZE_U32, fp + user_fpsimd_state.fpsr.offset)
    ids["fpcr"] = core(KVM_REG_SIZE_U32, fp + user_fpsimd_state.fpcr.offset)
    return ids


#: Every core register's id, by name: x0 to x30, sp (SP_EL0), pc, pstate, sp_el1, elr_el1,
#: spsr[0] (SPSR_EL1) to spsr[4], v0 to v31, fpsr, fpcr.
CORE_REGS: dict[str, int] = _core_ids()

# The ids that are used everywhere, by the Arm manual's names. KVM calls SP_EL0 "sp" and SPSR_EL1
# "spsr[0]".
PC: Final[int] = CORE_REGS["pc"]
PSTATE: Final[int] = CORE_REGS["pstate"]
SP_EL0: Final[int] = CORE_REGS["sp"]
SP_EL1: Final[int] = CORE_REGS["sp_el1"]
ELR_EL1: Final[int] = CORE_REGS["elr_el1"]
SPSR_EL1: Final[int] = CORE_REGS["spsr[0]"]
FPSR: Final[int] = CORE_REGS["fpsr"]
FPCR: Final[int] = CORE_REGS["fpcr"]
#: X0 to X30, and V0 to V31, by number.
X: Final[tuple[int, ...]] = tuple(CORE_REGS[f"x{n}"] for n in range(31))
V: Final[tuple[int, ...]] = tuple(CORE_REGS[f"v{n}"] for n in range(32))

_CORE_NAMES = {reg_id: name for name, reg_id in CORE_REGS.items()}

# KVM has these two ids exchanged: the id with CNTVCT_EL0's encoding is the compare value.
_SWAPPED = {"CNTV_CVAL_EL0": KVM_REG_ARM_TIMER_CVAL, "CNTVCT_EL0": KVM_REG_ARM_TIMER_CNT}
_SWAPPED_NAMES = {reg_id: name for name, reg_id in _SWAPPED.items()}


def core_reg(name: str) -> int:
    """The id of a core register; ``name`` in any case. ``"sp"`` is SP_EL0, as in KVM.

    Raises:
        UnknownOneReg: no core register is called that.
    """
    try:
        return CORE_REGS[name.lower()]
    except KeyError:
        raise UnknownOneReg(
            f"no core register is called {name!r}; there are x0 to x30, sp (SP_EL0), pc, pstate, "
            "sp_el1, elr_el1, spsr[0] to spsr[4], v0 to v31, fpsr and fpcr"
        ) from None


def sys_reg_id(encoding: int) -> int:
    """The id of a system register from its 16-bit encoding op0:op1:CRn:CRm:op2."""
    return KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG | encoding


@cache
def sys_reg(name: str) -> int:
    """The id of a system register; ``name`` in any case.

    CNTV_CVAL_EL0 and CNTVCT_EL0 give the register of that name, although KVM exchanged their ids.

    Raises:
        UnknownOneReg: the table of the architecture has no such name.
    """
    name = name.upper()
    if name in _SWAPPED:
        return _SWAPPED[name]
    try:
        reg = SYSREGS[name]
    except KeyError:
        raise UnknownOneReg(
            f"no system register is called {name!r}; use the Arm manual's name, with the exception "
            "level (SCTLR_EL1)"
        ) from None
    return sys_reg_id(reg.encoding)


@cache
def _sys_names() -> dict[int, str]:
    names: dict[int, str] = {}
    for name in SYSREGS:
        names.setdefault(sys_reg(name), name)
    return names


def name_of(reg_id: int) -> str:
    """The name of an id: ``"x0"``, ``"SCTLR_EL1"``, or ``S3_0_C15_C0_0`` if it has no name.

    For ids that are neither core nor system registers it is the id in hexadecimal.
    """
    if reg_id in _CORE_NAMES:
        return _CORE_NAMES[reg_id]
    if reg_id in _SWAPPED_NAMES:
        return _SWAPPED_NAMES[reg_id]
    if reg_id == KVM_REG_ARM_PSCI_VERSION:
        return "PSCI_VERSION"
    if reg_id & KVM_REG_ARM_COPROC_MASK == KVM_REG_ARM64_SYSREG:
        name = _sys_names().get(reg_id)
        if name is not None:
            return name
        return generic_name(*decode16(reg_id & 0xFFFF))
    return f"{reg_id:#x}"


def size_of(reg_id: int) -> int:
    """The width in bytes of the register with this id."""
    return 1 << ((reg_id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT)


__getattr__ = deprecated_names(__name__, {"UnknownRegister": "UnknownOneReg"})
