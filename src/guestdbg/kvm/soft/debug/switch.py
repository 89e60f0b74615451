"""The world switch of the debug registers (hyp/include/hyp/debug-sr.h).

Nothing but this vCPU runs on its processor. So two things are cheaper than in the kernel: the
host's own registers, all zero, are restored only once debugging has ended, and a set that the
hardware already holds is not loaded again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.soft.register_fields import (
    MDCCINT_KEPT,
    MDCR_TDOSA,
    MDCR_TDRA,
    MDCR_TPM,
    MDCR_TPMCR,
)
from guestdbg.kvm.structures import DebugRegisters

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState

#: Trapped in every guest: performance monitors, the debug ROM address, the OS Lock registers.
MDCR_ALWAYS: Final = MDCR_TPM | MDCR_TPMCR | MDCR_TDRA | MDCR_TDOSA

_MDCCINT: Final = SYSREGS["MDCCINT_EL1"].encoding


def load_mdccint(vcpu: VcpuState, *, trapped: bool) -> None:
    """Load MDCCINT_EL1, which is the guest's own with either set; the hardware drops RES0 bits.

    ``trapped``: the guest's accesses are, so what the register itself holds cannot be seen.
    """
    vcpu.mdccint_el1 &= MDCCINT_KEPT
    if not trapped:
        vcpu.cpu.set_sysreg(_MDCCINT, vcpu.mdccint_el1)


def load_set(vcpu: VcpuState, chosen: DebugRegisters) -> None:
    """Load a set into the hardware, as many registers as are implemented."""
    held = vcpu.hardware_debug_state
    if chosen is held:
        return
    if chosen != held:
        vcpu.cpu.load_debug(
            chosen.bcr,
            chosen.bvr,
            chosen.wcr,
            chosen.wvr,
            break_tables=chosen.break_tables,
            watch_tables=chosen.watch_tables,
        )
    if chosen is vcpu.vcpu_debug_state:
        # The next exit saves the guest's set from the hardware, which does not keep RES0 bits.
        chosen = vcpu.vcpu_debug_state = _in_hardware(vcpu, chosen)
    vcpu.hardware_debug_state = chosen


def save_guest_set(vcpu: VcpuState) -> None:
    """Save what the guest may have written: its set, which the hardware holds, and MDCCINT_EL1."""
    vcpu.vcpu_debug_state = _in_hardware(vcpu, vcpu.vcpu_debug_state)
    vcpu.hardware_debug_state = vcpu.vcpu_debug_state
    vcpu.mdccint_el1 = vcpu.cpu.get_sysreg(_MDCCINT)


def _in_hardware(vcpu: VcpuState, before: DebugRegisters) -> DebugRegisters:
    """The set that the hardware holds, with the values of ``before`` for registers that it lacks.

    Returns ``before`` itself if nothing differs.
    """
    bcr, bvr, wcr, wvr = vcpu.cpu.save_debug()
    after = DebugRegisters(
        bcr + before.bcr[len(bcr) :],
        bvr + before.bvr[len(bvr) :],
        wcr + before.wcr[len(wcr) :],
        wvr + before.wvr[len(wvr) :],
    )
    return before if after == before else after


def read_hardware(vcpu: VcpuState) -> DebugRegisters:
    """The set that the hardware holds, padded with zeros to 16 registers of each kind."""
    sets = vcpu.cpu.save_debug()
    bcr, bvr, wcr, wvr = (values + (0,) * (KVM_ARM_MAX_DBG_REGS - len(values)) for values in sets)
    return DebugRegisters(bcr, bvr, wcr, wvr)
