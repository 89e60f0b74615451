"""Why ``Vcpu.run()`` returned: one small immutable class for each KVM_EXIT_* (KVM API, section 5).

An exit owns its data and stays valid after the next run. Two exits with the same content can be the
same object: compare exits with ``==``, and do not attach anything to one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guestdbg.arm64.exception_class import DEBUG_CLASS_NAMES, EC_SHIFT
from guestdbg.hexadecimal_repr import hexadecimal
from guestdbg.kvm.constants import (
    KVM_DEBUG_ARCH_HSR_HIGH_VALID,
    KVM_EXIT_ARM_NISV,
    KVM_EXIT_DEBUG,
    KVM_EXIT_FAIL_ENTRY,
    KVM_EXIT_INTERNAL_ERROR,
    KVM_EXIT_INTR,
    KVM_EXIT_MMIO,
    KVM_EXIT_SHUTDOWN,
    KVM_EXIT_SYSTEM_EVENT,
    KVM_EXIT_UNKNOWN,
    KVM_SYSTEM_EVENT_CRASH,
    KVM_SYSTEM_EVENT_RESET,
    KVM_SYSTEM_EVENT_SHUTDOWN,
    KVM_SYSTEM_EVENT_SUSPEND,
    KVM_SYSTEM_EVENT_WAKEUP,
)

_EVENT_NAMES = {
    KVM_SYSTEM_EVENT_SHUTDOWN: "shutdown",
    KVM_SYSTEM_EVENT_RESET: "reset",
    KVM_SYSTEM_EVENT_CRASH: "crash",
    KVM_SYSTEM_EVENT_WAKEUP: "wakeup",
    KVM_SYSTEM_EVENT_SUSPEND: "suspend",
}


@dataclass(frozen=True, slots=True)
class Exit:
    """What every exit has: ``reason`` (KVM_EXIT_*) and ``flags`` (``kvm_run.flags``)."""

    reason: ClassVar[int]

    @property
    def flags(self) -> int:
        """``kvm_run.flags`` at this exit; 0 for exits that use none."""
        return 0


@hexadecimal("hsr", "hsr_high", "far", "flags")
@dataclass(frozen=True, slots=True)
class ExitDebug(Exit):
    """KVM_EXIT_DEBUG: a debug exception of the guest was routed to the host.

    Attributes:
        hsr: ESR_EL2[31:0]. The exception class is in [31:26]: 0x30 breakpoint, 0x32 software step,
            0x34 watchpoint, 0x38 BKPT of AArch32, 0x3C BRK.
        hsr_high: ESR_EL2[61:32]; zero unless an extension (FEAT_LS64) defines those bits.
        far: FAR_EL2 of a watchpoint, the virtual address of the access or of a watched byte in it;
            None for other classes, for which the kernel's field holds an old value.
        flags: ``kvm_run.flags``: KVM_DEBUG_ARCH_HSR_HIGH_VALID if ``hsr_high`` is valid. Kernels
            before Linux 5.19 do not set it, and ``hsr_high`` is zero then.
    """

    reason: ClassVar[int] = KVM_EXIT_DEBUG
    hsr: int
    hsr_high: int = 0
    far: int | None = None
    flags: int = KVM_DEBUG_ARCH_HSR_HIGH_VALID

    @property
    def ec(self) -> int:
        """Exception class, ``hsr[31:26]``."""
        return self.hsr >> EC_SHIFT

    def __str__(self) -> str:
        far = "" if self.far is None else f", far {self.far:#x}"
        name = DEBUG_CLASS_NAMES.get(self.ec, f"class {self.ec:#04x}")
        return f"debug: {name}, hsr {self.hsr:#010x}{far}"


@hexadecimal("phys_addr")
@dataclass(frozen=True, slots=True)
class ExitMmio(Exit):
    """KVM_EXIT_MMIO: the guest accessed an address that no memory slot covers.

    Attributes:
        phys_addr: guest-physical address of the access.
        data: of a write, the ``len`` bytes written, in memory order; of a read, ``len`` zeros.
        len: size of the access: 1, 2, 4 or 8 bytes.
        is_write: False: a read, which ``Vcpu.complete_mmio`` answers before the next run.
    """

    reason: ClassVar[int] = KVM_EXIT_MMIO
    phys_addr: int
    data: bytes
    len: int
    is_write: bool

    def __str__(self) -> str:
        if self.is_write:
            value = int.from_bytes(self.data, "little")
            return f"mmio: write of {value:#x}, {self.len} bytes, at {self.phys_addr:#x}"
        return f"mmio: read of {self.len} bytes at {self.phys_addr:#x}"


@dataclass(frozen=True, slots=True)
class ExitSystemEvent(Exit):
    """KVM_EXIT_SYSTEM_EVENT: the guest asked its firmware to turn off, reset, or suspend.

    Attributes:
        type: KVM_SYSTEM_EVENT_*.
        data: up to 16 words of 64 bits; of a reset the first has flags (0 for PSCI SYSTEM_RESET,
            KVM_SYSTEM_EVENT_RESET_FLAG_PSCI_RESET2 for SYSTEM_RESET2).
    """

    reason: ClassVar[int] = KVM_EXIT_SYSTEM_EVENT
    type: int
    data: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"system event: {_EVENT_NAMES.get(self.type, self.type)}"


@dataclass(frozen=True, slots=True)
class ExitInternalError(Exit):
    """KVM_EXIT_INTERNAL_ERROR: the provider could not go on.

    Attributes:
        suberror: KVM_INTERNAL_ERROR_*.
        data: up to 16 words of 64 bits that describe it.
        text: what they mean, in words.
    """

    reason: ClassVar[int] = KVM_EXIT_INTERNAL_ERROR
    suberror: int
    data: tuple[int, ...] = ()
    text: str = ""

    def __str__(self) -> str:
        return f"internal error {self.suberror}: {self.text}"


@hexadecimal("hardware_entry_failure_reason")
@dataclass(frozen=True, slots=True)
class ExitFailEntry(Exit):
    """KVM_EXIT_FAIL_ENTRY: the guest could not be entered on this processor.

    Attributes:
        hardware_entry_failure_reason: KVM_EXIT_FAIL_ENTRY_*; 1: this CPU cannot run the vCPU.
        cpu: number of the host's CPU.
    """

    reason: ClassVar[int] = KVM_EXIT_FAIL_ENTRY
    hardware_entry_failure_reason: int
    cpu: int = 0


@dataclass(frozen=True, slots=True)
class ExitIntr(Exit):
    """KVM_EXIT_INTR: a kick, ``immediate_exit``, the instruction limit, or a vCPU that is idle.

    Attributes:
        idle: the vCPU waits (WFI, or PSCI CPU_OFF) for something that only the caller can cause:
            an interrupt, a run of another vCPU, or time. Soft provider only; on the host it is
            False, because the kernel waits.
        waiting: the vCPU is in a WFI that has not ended, and waits on when it is run again: it was
            kicked, or the next thing to happen is the timer of another vCPU. Soft provider only.
    """

    reason: ClassVar[int] = KVM_EXIT_INTR
    idle: bool = False
    waiting: bool = False

    def __str__(self) -> str:
        return "interrupted: idle" if self.idle else "interrupted"


@dataclass(frozen=True, slots=True)
class ExitShutdown(Exit):
    """KVM_EXIT_SHUTDOWN: the guest is beyond recovery (not produced by arm64 KVM today)."""

    reason: ClassVar[int] = KVM_EXIT_SHUTDOWN


@hexadecimal("hardware_exit_reason")
@dataclass(frozen=True, slots=True)
class ExitUnknown(Exit):
    """KVM_EXIT_UNKNOWN, or an exit reason that this interface does not know.

    Attributes:
        hardware_exit_reason: the exit reason (KVM_EXIT_*).
    """

    reason: ClassVar[int] = KVM_EXIT_UNKNOWN
    hardware_exit_reason: int


@hexadecimal("esr_iss", "fault_ipa")
@dataclass(frozen=True, slots=True)
class ExitArmNisv(Exit):
    """KVM_EXIT_ARM_NISV: an access outside every slot that its syndrome does not describe (ISV 0).

    Only after ``Vm.enable_cap(KVM_CAP_ARM_NISV_TO_USER)``.

    Attributes:
        esr_iss: the ISS of the data abort, ESR_EL2[24:0].
        fault_ipa: guest-physical address, page offset included.
    """

    reason: ClassVar[int] = KVM_EXIT_ARM_NISV
    esr_iss: int
    fault_ipa: int
