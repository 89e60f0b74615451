"""The structures that calls of the KVM API take and return, as small typed Python objects."""

from __future__ import annotations

import errno
from dataclasses import dataclass, field
from typing import Final

from guestdbg.kvm.constants import (
    KVM_ARM_MAX_DBG_REGS,
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_USE_SW_BP,
)
from guestdbg.kvm.errors import KvmError

# The values of saved guests are checked against annotations, so this one is needed at run time.
from guestdbg.kvm.table_filters import Tables, check_tables  # noqa: TC001

_U64: Final = (1 << 64) - 1
_U32: Final = (1 << 32) - 1
_NO_REGISTERS: Final = (0,) * KVM_ARM_MAX_DBG_REGS


@dataclass(frozen=True, slots=True)
class DebugRegisters:
    """``struct kvm_guest_debug_arch``: one set of debug registers, always 16 of each kind.

    Attributes:
        bcr, bvr: DBGBCR<n>_EL1 and DBGBVR<n>_EL1, 64 bits each, by number.
        wcr, wvr: DBGWCR<n>_EL1 and DBGWVR<n>_EL1.
        break_tables, watch_tables: see ``guestdbg.kvm.table_filters``; empty: no filters.
    """

    bcr: tuple[int, ...] = _NO_REGISTERS
    bvr: tuple[int, ...] = _NO_REGISTERS
    wcr: tuple[int, ...] = _NO_REGISTERS
    wvr: tuple[int, ...] = _NO_REGISTERS
    break_tables: tuple[Tables | None, ...] = ()
    watch_tables: tuple[Tables | None, ...] = ()

    def __str__(self) -> str:
        used = [
            f"{kind}{n} {value:#x} ({control:#x}{'' if control & 1 else ', off'})"
            for kind, controls, values in (("b", self.bcr, self.bvr), ("w", self.wcr, self.wvr))
            for n, (control, value) in enumerate(zip(controls, values, strict=True))
            if control or value
        ]
        return ", ".join(used) or "nothing set"


def _padded(name: str, values: tuple[int, ...]) -> tuple[int, ...]:
    if len(values) > KVM_ARM_MAX_DBG_REGS:
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_GUEST_DEBUG",
            f"{name} has {len(values)} registers; the structure holds {KVM_ARM_MAX_DBG_REGS}",
        )
    for n, value in enumerate(values):
        if not 0 <= value <= _U64:
            raise KvmError(
                errno.EINVAL, "KVM_SET_GUEST_DEBUG", f"{name}[{n}] = {value:#x} is not 64 bits wide"
            )
    return tuple(values) + _NO_REGISTERS[len(values) :]


@dataclass(frozen=True, slots=True)
class GuestDebug:
    """``struct kvm_guest_debug``: the argument of ``Vcpu.set_guest_debug`` (KVM API, 4.87).

    Keep and reuse these objects where speed matters: a provider recognises the object it was given
    last, and its registers, without comparing them.

    Attributes:
        control: the sum of KVM_GUESTDBG_ENABLE, SINGLESTEP, USE_SW_BP and USE_HW; 32 bits.
        dbg_bcr, dbg_bvr: values of DBGBCR<n>_EL1 and DBGBVR<n>_EL1; up to 16, the rest are zero.
        dbg_wcr, dbg_wvr: values of DBGWCR<n>_EL1 and DBGWVR<n>_EL1; up to 16, the rest are zero.
        break_tables, watch_tables: for vCPUs that support them, see ``guestdbg.kvm.table_filters``.
        registers: the same values as one immutable set.

    Raises:
        KvmError: EINVAL for more than 16 registers, or a value that does not fit its field.
    """

    control: int = 0
    dbg_bcr: tuple[int, ...] = ()
    dbg_bvr: tuple[int, ...] = ()
    dbg_wcr: tuple[int, ...] = ()
    dbg_wvr: tuple[int, ...] = ()
    break_tables: tuple[Tables | None, ...] = ()
    watch_tables: tuple[Tables | None, ...] = ()
    registers: DebugRegisters = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.control <= _U32:
            raise KvmError(
                errno.EINVAL,
                "KVM_SET_GUEST_DEBUG",
                f"control {self.control:#x} is not 32 bits wide",
            )
        for name in ("dbg_bcr", "dbg_bvr", "dbg_wcr", "dbg_wvr"):
            object.__setattr__(self, name, _padded(name, getattr(self, name)))
        check_tables("break_tables", self.break_tables)
        check_tables("watch_tables", self.watch_tables)
        registers = DebugRegisters(
            self.dbg_bcr,
            self.dbg_bvr,
            self.dbg_wcr,
            self.dbg_wvr,
            self.break_tables,
            self.watch_tables,
        )
        object.__setattr__(self, "registers", registers)

    def __str__(self) -> str:
        return f"{control_names(self.control)}; {self.registers}"


def control_names(control: int) -> str:
    """The flags of a guest-debug control word, by name: ``"ENABLE | USE_HW"``."""
    names = [
        name
        for bit, name in (
            (KVM_GUESTDBG_ENABLE, "ENABLE"),
            (KVM_GUESTDBG_SINGLESTEP, "SINGLESTEP"),
            (KVM_GUESTDBG_USE_SW_BP, "USE_SW_BP"),
            (KVM_GUESTDBG_USE_HW, "USE_HW"),
        )
        if control & bit
    ]
    known = (
        KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW
    )
    if control & ~known:
        names.append(f"{control & ~known:#x}")
    return " | ".join(names) or "off"


@dataclass(frozen=True, slots=True)
class VcpuInit:
    """``struct kvm_vcpu_init``: the argument of ``Vcpu.init`` (KVM API, 4.82).

    Attributes:
        target: KVM_ARM_TARGET_*.
        features: seven words of feature bits; bit n of word 0 is feature n (KVM_ARM_VCPU_*).
    """

    target: int
    features: tuple[int, ...] = (0,) * 7

    def has(self, feature: int) -> bool:
        """Whether a feature (KVM_ARM_VCPU_*) is requested."""
        return bool(self.features[feature // 32] >> feature % 32 & 1)

    def with_feature(self, *features: int) -> VcpuInit:
        """A copy that also requests these features (KVM_ARM_VCPU_*)."""
        words = list(self.features)
        for feature in features:
            words[feature // 32] |= 1 << feature % 32
        return VcpuInit(self.target, tuple(words))


@dataclass(frozen=True, slots=True)
class VcpuEvents:
    """``struct kvm_vcpu_events``: exceptions that are pending for the guest (KVM API, 4.31).

    Attributes:
        serror_pending: an SError is pending.
        serror_has_esr: ``serror_esr`` is its syndrome (needs the RAS extension).
        ext_dabt_pending: inject an external data abort, for an access that userspace does not
            complete. Only set, never read back.
        serror_esr: the syndrome, 24 bits.
    """

    serror_pending: bool = False
    serror_has_esr: bool = False
    ext_dabt_pending: bool = False
    serror_esr: int = 0
