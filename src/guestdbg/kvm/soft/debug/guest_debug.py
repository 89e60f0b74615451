"""Guest debug: what an entry sets up and what an exit takes back (the kernel's debug.c).

Two parties may want the debug hardware: the guest for itself, and userspace (the host) to debug
the guest. ``setup_debug`` decides before every entry who gets what, ``clear_debug`` gives back
after every exit, before the exit is handled: a trapped access must see the guest's own value, and
what it writes must last.

The state that they use is described in ``VcpuState`` (state.py). ``debug_ptr`` is chosen here, at
entry, and nowhere else; ``mdscr_el1`` is always the guest's own value, never the one that the
hardware runs with; ``os_lock`` is the guest's own OS Lock, the hardware's is never locked.
"""

from __future__ import annotations

import errno
from typing import Final

from guestdbg.kvm.constants import (
    KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
    KVM_GUESTDBG_VALID_MASK,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.register_fields import (
    MDCR_TDA,
    MDCR_TDE,
    MDCR_TDOSA,
    MDCR_TDRA,
    MDCR_TPM,
    MDCR_TPMCR,
    MDSCR_KDE,
    MDSCR_KEPT,
    MDSCR_MDE,
    MDSCR_SS,
    U32,
)
from guestdbg.kvm.soft.state import DEBUG_PTR_EXTERNAL, DEBUG_PTR_GUEST, VcpuState
from guestdbg.kvm.structures import GuestDebug

#: Trapped in every guest: performance monitors, the debug ROM address, the OS Lock registers.
MDCR_ALWAYS: Final = MDCR_TPM | MDCR_TPMCR | MDCR_TDRA | MDCR_TDOSA

_MDSCR_ENABLES: Final = MDSCR_MDE | MDSCR_KDE


def set_guest_debug(vcpu: VcpuState, debug: GuestDebug) -> None:
    """KVM_SET_GUEST_DEBUG. EINVAL for a flag that does not exist; nothing has changed then."""
    control = debug.control
    if control & ~KVM_GUESTDBG_VALID_MASK:
        raise KvmError(
            errno.EINVAL,
            "KVM_SET_GUEST_DEBUG",
            f"control {control:#x} has flags that do not exist on arm64; the valid ones are "
            f"{KVM_GUESTDBG_VALID_MASK:#x} (KVM_CAP_SET_GUEST_DEBUG2)",
        )
    if control & KVM_GUESTDBG_ENABLE:
        vcpu.guest_debug = control
        if control & KVM_GUESTDBG_USE_HW:
            vcpu.external_debug_state = debug.registers
    else:
        vcpu.guest_debug = 0
        vcpu.active_pending = False
    if vcpu.hit_programs is not None:
        # They are for hits of the external set, and for no others.
        vcpu.cpu.set_programs(vcpu.hit_programs if control & KVM_GUESTDBG_USE_HW else None)


def setup_debug(vcpu: VcpuState) -> None:
    """Before an entry: MDCR_EL2, MDSCR_EL1, PSTATE.SS and the set of registers to run with."""
    control = vcpu.guest_debug
    os_lock = vcpu.os_lock
    cpu = vcpu.cpu

    mdcr = MDCR_ALWAYS
    if control:
        # All of the guest's debug exceptions come to EL2. TDE also makes TDA, TDRA and TDOSA
        # behave as set; TDA is written all the same, so that the value tells the truth.
        mdcr |= MDCR_TDE
    # The guest may touch the hardware registers only while they hold its own set, which it is
    # using. Hence TDA when
    #  - the set is not dirty: the guest does not use the registers (yet); its accesses are
    #    emulated on its set, and the first write makes the set dirty;
    #  - the host debugs with the registers (USE_HW): they hold the host's set;
    #  - the guest's OS Lock is locked: it is emulated, so the hardware must not be reached past it.
    if not vcpu.dirty or control & KVM_GUESTDBG_USE_HW or os_lock:
        mdcr |= MDCR_TDA

    mdscr = vcpu.mdscr_el1
    vcpu.debug_ptr = DEBUG_PTR_GUEST
    if control or os_lock:
        ss = vcpu.preserved_ss = cpu.pstate_ss
        if control & KVM_GUESTDBG_SINGLESTEP:
            # PSTATE.SS = 1 is active-not-pending: one instruction, then the exception. Where the
            # step was made before the last exit and its exception is still to come, SS stays 0
            # (active-pending), or a second instruction would be run in one step.
            mdscr |= MDSCR_SS
            if ss == vcpu.active_pending:
                cpu.pstate_ss = not ss
        else:
            # A guest that steps its own EL0 while the host debugs it would bring its step
            # exceptions to the host: its steps are suppressed for as long.
            mdscr &= ~MDSCR_SS
        if control & KVM_GUESTDBG_USE_HW:
            # MDE enables breakpoint and watchpoint exceptions altogether. KDE would be needed to
            # take them from the exception level that handles them, EL1 from EL1; TDE has them
            # taken at EL2, below which both EL0 and EL1 are, so that KDE makes no difference.
            mdscr |= MDSCR_MDE
            vcpu.debug_ptr = DEBUG_PTR_EXTERNAL
            vcpu.dirty = True
        elif os_lock:
            # A locked OS Lock disables breakpoints and watchpoints. Ours is the guest's alone:
            # the hardware's would bind the host as well.
            mdscr &= ~MDSCR_MDE

    if mdscr & _MDSCR_ENABLES:
        vcpu.dirty = True

    if mdcr != vcpu.mdcr_el2:
        cpu.mdcr_el2 = vcpu.mdcr_el2 = mdcr
    mdscr &= MDSCR_KEPT
    if mdscr != vcpu.hardware_mdscr_el1:
        cpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = mdscr


def clear_debug(vcpu: VcpuState) -> None:
    """After an exit, before it is handled: the guest gets back what is its own."""
    if vcpu.guest_debug or vcpu.os_lock:
        cpu = vcpu.cpu
        ss = cpu.pstate_ss
        if not ss and vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP:
            vcpu.active_pending = True
        if ss != vcpu.preserved_ss:
            cpu.pstate_ss = vcpu.preserved_ss
        # What the kernel preserves of the guest's value has 32 bits.
        vcpu.mdscr_el1 &= U32
    else:
        # What the hardware has is the guest's value: all of it that the hardware keeps, and where
        # the guest could write the register itself, what it has written.
        if not vcpu.mdcr_el2 & MDCR_TDA:
            vcpu.hardware_mdscr_el1 = vcpu.cpu.mdscr_el1
        vcpu.mdscr_el1 = vcpu.hardware_mdscr_el1
