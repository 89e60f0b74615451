"""The world switch of the debug registers (hyp/include/hyp/debug-sr.h).

The registers move only while dirty: the set that ``debug_ptr`` names goes into the hardware before
the guest runs, and what the guest wrote to its own set is saved after.

Nothing but this vCPU runs on its processor. So two things are cheaper than in the kernel: the
host's own registers, all zero, are restored only once debugging has ended, and a set that the
hardware already holds is not loaded again.
"""

from __future__ import annotations

from typing import Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.soft.register_fields import MDCCINT_KEPT, MDCR_TDA, MDCR_TDE
from guestdbg.kvm.soft.state import DEBUG_PTR_EXTERNAL, HOST_DEBUG_STATE, VcpuState
from guestdbg.kvm.structures import DebugRegisters

# Either traps every access of the guest to the debug registers: TDE implies TDA.
_ACCESSES_TRAPPED: Final = MDCR_TDA | MDCR_TDE
_MDCCINT: Final = SYSREGS["MDCCINT_EL1"].encoding


def switch_to_guest(vcpu: VcpuState) -> None:
    """Load the set that was chosen at entry, as many registers as are implemented."""
    if vcpu.dirty:
        external = vcpu.debug_ptr == DEBUG_PTR_EXTERNAL
        chosen = vcpu.external_debug_state if external else vcpu.vcpu_debug_state
    elif vcpu.guest_debug:
        # Not dirty: MDE and KDE are clear, so what the registers hold has no effect.
        return
    else:
        chosen = HOST_DEBUG_STATE
    held = vcpu.hardware_debug_state
    if chosen is not held:
        if chosen != held:
            vcpu.cpu.load_debug(chosen.bcr, chosen.bvr, chosen.wcr, chosen.wvr)
        if chosen is vcpu.vcpu_debug_state:
            # The next exit saves the guest's set from the hardware, which does not keep RES0 bits.
            chosen = vcpu.vcpu_debug_state = _in_hardware(vcpu, chosen)
        vcpu.hardware_debug_state = chosen
    if vcpu.dirty:
        # MDCCINT_EL1 is the guest's own with either set.
        vcpu.mdccint_el1 &= MDCCINT_KEPT
        if not vcpu.mdcr_el2 & _ACCESSES_TRAPPED:
            vcpu.cpu.set_sysreg(_MDCCINT, vcpu.mdccint_el1)


def switch_to_host(vcpu: VcpuState) -> None:
    """Save what the guest wrote to its set. It is clean then, until an entry makes it dirty."""
    if vcpu.dirty:
        # If accesses were trapped, the hardware holds what was loaded: there is nothing to save.
        if not vcpu.mdcr_el2 & _ACCESSES_TRAPPED:
            vcpu.vcpu_debug_state = _in_hardware(vcpu, vcpu.vcpu_debug_state)
            vcpu.hardware_debug_state = vcpu.vcpu_debug_state
            vcpu.mdccint_el1 = vcpu.cpu.get_sysreg(_MDCCINT)
        vcpu.dirty = False


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
    padded = [values + (0,) * (KVM_ARM_MAX_DBG_REGS - len(values)) for values in sets]
    return DebugRegisters(*padded)
