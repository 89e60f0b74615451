"""The hidden state of guest debugging, as the soft provider shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestdbg.kvm.structures import DebugRegisters, control_names

_MDCR_BITS = (
    (1 << 11, "TDRA"),
    (1 << 10, "TDOSA"),
    (1 << 9, "TDA"),
    (1 << 8, "TDE"),
    (1 << 6, "TPM"),
    (1 << 5, "TPMCR"),
)
_MDSCR_BITS = ((1 << 15, "MDE"), (1 << 13, "KDE"), (1 << 12, "TDCC"), (1 << 0, "SS"))


def _bits(value: int, names: tuple[tuple[int, str], ...]) -> str:
    return " ".join(name for bit, name in names if value & bit) or "-"


@dataclass(frozen=True, slots=True)
class DebugState:
    """Who owns the debug registers of a vCPU, and what everything about them holds.

    A snapshot: it does not change when the vCPU runs on.

    Attributes:
        owner: ``"host"`` while userspace debugs the guest with the registers (USE_HW), otherwise
            ``"guest"``.
        debug_ptr: which set the hardware got at the last entry that needed one: ``"guest"`` after
            reset, chosen anew at every entry.
        dirty: the hardware will be given a set at the next entry (cleared by every world switch).
        guest_debug: the control flags in force (KVM_GUESTDBG_*), 0 when off.
        mdcr_el2: MDCR_EL2 of the last entry.
        mdscr_el1: the guest's own MDSCR_EL1 (what one-reg access sees).
        hardware_mdscr_el1: MDSCR_EL1 of the last entry, with the host's bits put in and the
            guest's masked.
        pstate_ss: the guest's own PSTATE.SS.
        active_pending: a step requested by userspace is done and its exception not yet taken.
        os_lock: the guest's OS Lock is locked.
        guest: the guest's own set.
        external: the set that userspace gave with USE_HW.
        hardware: what the processor's registers hold.
    """

    owner: Literal["guest", "host"]
    debug_ptr: Literal["guest", "external"]
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
        return "\n".join(
            (
                f"owner       {self.owner} (debug_ptr: {self.debug_ptr})",
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
