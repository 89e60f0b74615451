"""The world switch of the debug registers (the kernel's hyp/debug-sr).

They move only when dirty: the set that ``debug_ptr`` names goes into the hardware before the
guest runs, and what the guest made of its own set comes back after.

Nothing but this vCPU runs on its processor, so two things that the kernel does cost nothing here:
the host's own registers, all zero, are put back only when nobody debugs any more, and a set that
is in the hardware already is not loaded again.
"""

from __future__ import annotations

from typing import Final

from guestdbg.arm64.sysregs import SYSREGS
from guestdbg.kvm.constants import KVM_ARM_MAX_DBG_REGS
from guestdbg.kvm.soft.register_fields import MDCCINT_KEPT, MDCR_TDA, MDCR_TDE
from guestdbg.kvm.soft.state import DEBUG_PTR_EXTERNAL, HOST_DEBUG_STATE, VcpuState
from guestdbg.kvm.structures import DebugRegisters

# Every access of the guest to the debug registers is trapped: TDE implies TDA.
_NOT_THE_GUESTS: Final = MDCR_TDA | MDCR_TDE
_MDCCINT: Final = SYSREGS["MDCCINT_EL1"].encoding


def switch_to_guest(vcpu: VcpuState) -> None:
    """Put the chosen set into the hardware, as many registers as are implemented."""
    if vcpu.dirty:
        wanted = (
            vcpu.external_debug_state
            if vcpu.debug_ptr == DEBUG_PTR_EXTERNAL
            else vcpu.vcpu_debug_state
        )
    elif vcpu.guest_debug:
        return
    else:
        wanted = HOST_DEBUG_STATE
    held = vcpu.hardware_debug_state
    if wanted is not held:
        if wanted != held:
            vcpu.cpu.load_debug(wanted.bcr, wanted.bvr, wanted.wcr, wanted.wvr)
        if wanted is vcpu.vcpu_debug_state:
            # It will be taken back at the next exit, without the bits that the hardware has not.
            wanted = vcpu.vcpu_debug_state = _in_hardware(vcpu, wanted)
        vcpu.hardware_debug_state = wanted
    if vcpu.dirty:
        # MDCCINT_EL1 moves with either set.
        vcpu.mdccint_el1 &= MDCCINT_KEPT
        if not vcpu.mdcr_el2 & _NOT_THE_GUESTS:
            vcpu.cpu.set_sysreg(_MDCCINT, vcpu.mdccint_el1)


def switch_to_host(vcpu: VcpuState) -> None:
    """Take back what the guest made of its set; clean until the next entry says otherwise."""
    if vcpu.dirty:
        # With TDA (or TDE, which implies it) every write was trapped: nothing can have changed.
        if not vcpu.mdcr_el2 & _NOT_THE_GUESTS:
            vcpu.vcpu_debug_state = _in_hardware(vcpu, vcpu.vcpu_debug_state)
            vcpu.hardware_debug_state = vcpu.vcpu_debug_state
            vcpu.mdccint_el1 = vcpu.cpu.get_sysreg(_MDCCINT)
        vcpu.dirty = False


def _in_hardware(vcpu: VcpuState, before: DebugRegisters) -> DebugRegisters:
    """The set in the hardware; of registers that are not implemented what they were before.

    The same object where nothing differs.
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
    """What the processor's debug registers hold, padded with zeros to 16 of each."""
    sets = vcpu.cpu.save_debug()
    padded = [values + (0,) * (KVM_ARM_MAX_DBG_REGS - len(values)) for values in sets]
    return DebugRegisters(*padded)
