"""The hidden state of guest debug, which the soft provider shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from guestdbg.arm64.control import MDCR_EL2, MDSCR_EL1
from guestdbg.kvm.structures import control_names

if TYPE_CHECKING:
    from guestdbg.arm64.fields import Register
    from guestdbg.kvm.structures import DebugRegisters


def _named(register: Register, *fields: str) -> tuple[tuple[int, str], ...]:
    """(mask, name) of fields of one bit."""
    return tuple((register.encode(**{name: 1}), name) for name in fields)


_MDCR_BITS = _named(MDCR_EL2, "TDRA", "TDOSA", "TDA", "TDE", "TPM", "TPMCR")
_MDSCR_BITS = _named(MDSCR_EL1, "MDE", "KDE", "TDCC", "SS")


def _bits(value: int, names: tuple[tuple[int, str], ...]) -> str:
    return " ".join(name for bit, name in names if value & bit) or "-"


#: Who owns the debug registers.
Owner = Literal["free", "guest", "host"]
#: Which of a vCPU's two sets of debug registers.
DebugPtr = Literal["guest", "external"]


@dataclass(frozen=True, slots=True)
class DebugState:
    """Who owns the debug registers of a vCPU, and what they and their controls hold.

    It does not change when the vCPU runs on.

    Attributes:
        owner: before Linux 6.14, ``"host"`` while userspace debugs the guest with the registers
            (USE_HW), otherwise ``"guest"``. Since 6.14, as the last run chose: ``"host"`` if
            userspace debugs the guest or the guest's OS Lock is locked, ``"guest"`` if the guest
            uses the registers, otherwise ``"free"``.
        debug_ptr: before Linux 6.14, which set the last entry chose for the hardware; ``"guest"``
            after reset. None since then: the owner's.
        dirty: before Linux 6.14, the next entry loads a set into the hardware (cleared by every
            world switch). False since then.
        guest_debug: the control flags in force (KVM_GUESTDBG_*), 0 when off.
        mdcr_el2: MDCR_EL2 of the last entry.
        mdscr_el1: the guest's own MDSCR_EL1 (what one-reg access sees).
        hardware_mdscr_el1: MDSCR_EL1 of the last entry, with the host's bits set and those of the
            guest's that are suppressed cleared.
        pstate_ss: the guest's own PSTATE.SS.
        active_pending: the step that userspace requested is done, its exception not yet taken.
        os_lock: the guest's OS Lock is locked.
        guest: the guest's own set.
        external: the set that userspace last gave with USE_HW.
        hardware: what the processor's registers hold.
    """

    owner: Owner
    debug_ptr: DebugPtr | None
    dirty: bool
    guest_debug: int
    mdcr_el2: int
    mdscr_el1: int
    hardware_mdscr_el1: int
    pstate_ss: bool
    active_pending: bool
    os_lock: bool
    guest: DebugRegisters
    external: DebugRegisters
    hardware: DebugRegisters

    def __str__(self) -> str:
        flags = [
            name
            for on, name in (
                (self.dirty, "dirty"),
                (self.active_pending, "step active-pending"),
                (self.os_lock, "OS Lock locked"),
            )
            if on
        ]
        set_ = f" (debug_ptr: {self.debug_ptr})" if self.debug_ptr is not None else ""
        return "\n".join(
            (
                f"owner       {self.owner}{set_}",
                f"guest debug {control_names(self.guest_debug)}",
                f"flags       {', '.join(flags) or '-'}",
                f"MDCR_EL2    {self.mdcr_el2:#010x} {_bits(self.mdcr_el2, _MDCR_BITS)}",
                f"MDSCR_EL1   {self.mdscr_el1:#010x} {_bits(self.mdscr_el1, _MDSCR_BITS)}"
                f" (guest's; hardware {self.hardware_mdscr_el1:#010x}"
                f" {_bits(self.hardware_mdscr_el1, _MDSCR_BITS)})",
                f"PSTATE.SS   {int(self.pstate_ss)}",
                f"guest       {self.guest}",
                f"external    {self.external}",
                f"hardware    {self.hardware}",
            )
        )
