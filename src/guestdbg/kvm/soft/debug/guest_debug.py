"""Guest debug: what an entry sets up and what an exit takes back (debug.c).

Two parties use the debug hardware: the guest for itself, and userspace (the host) to debug the
guest. ``setup_debug`` decides before every entry which of them gets what. ``clear_debug`` gives the
guest its own values back after every exit, before the exit is handled: a trapped access must see
the guest's own value, and what it writes must last.

The state is described in ``VcpuState`` (state.py). ``debug_ptr`` is chosen here, at entry, and
nowhere else. ``mdscr_el1`` is always the guest's own value, never the one that the hardware runs
with. ``os_lock`` is the guest's own OS Lock; the hardware's is never locked.
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
    """KVM_SET_GUEST_DEBUG.

    Raises:
        KvmError: EINVAL for a flag that does not exist on arm64; nothing has changed then.
    """
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
        # Without USE_HW the external set stays as it was; debug_ptr does not name it then.
        if control & KVM_GUESTDBG_USE_HW:
            vcpu.external_debug_state = debug.registers
    else:
        # Without ENABLE the other flags mean nothing: the host does not debug any more, and a step
        # that it requested is not pending any more.
        vcpu.guest_debug = 0
        vcpu.active_pending = False
    if vcpu.hit_programs is not None:
        # Hit programs decide hits of the external set only, which is in use with USE_HW.
        vcpu.cpu.set_programs(vcpu.hit_programs if control & KVM_GUESTDBG_USE_HW else None)


def setup_debug(vcpu: VcpuState) -> None:
    """Before an entry: MDCR_EL2, MDSCR_EL1, PSTATE.SS and the set of registers to run with."""
    control = vcpu.guest_debug
    os_lock = vcpu.os_lock
    cpu = vcpu.cpu

    mdcr = MDCR_ALWAYS
    if control:
        # TDE routes all debug exceptions of the guest to EL2. It also makes TDA, TDRA and TDOSA
        # behave as set; TDA is still computed below, so that MDCR_EL2 shows every reason.
        mdcr |= MDCR_TDE
    # The guest may access the hardware registers only while they hold its own set and it uses them.
    # TDA traps its accesses when
    #  - the set is not dirty: the guest does not use the registers (yet). Its accesses are emulated
    #    on its set, and the first write makes the set dirty;
    #  - the host debugs with the registers (USE_HW): the hardware holds the external set;
    #  - the guest's OS Lock is locked: it is emulated, and the hardware does not know of it.
    if not vcpu.dirty or control & KVM_GUESTDBG_USE_HW or os_lock:
        mdcr |= MDCR_TDA

    mdscr = vcpu.mdscr_el1
    vcpu.debug_ptr = DEBUG_PTR_GUEST
    if control or os_lock:
        # What is changed below is preserved here, and given back in clear_debug().
        ss = vcpu.preserved_ss = cpu.pstate_ss
        if control & KVM_GUESTDBG_SINGLESTEP:
            # MDSCR_EL1.SS enables software step. PSTATE.SS = 1 is the active-not-pending state: one
            # instruction is executed, then the exception is taken. If the instruction was already
            # executed before the last exit and only its exception is outstanding, PSTATE.SS stays 0
            # (active-pending); otherwise a single step would execute two instructions.
            mdscr |= MDSCR_SS
            if ss == vcpu.active_pending:
                cpu.pstate_ss = not ss
        else:
            # The guest may be stepping its own EL0. TDE would route those software step exceptions
            # to the host, which did not ask for them. So the guest's steps are suppressed while the
            # host debugs it.
            mdscr &= ~MDSCR_SS
        if control & KVM_GUESTDBG_USE_HW:
            # MDE enables breakpoint and watchpoint exceptions. KDE enables those that are taken to
            # the Exception level they come from, as from EL1 to EL1. TDE routes them to EL2, which
            # is higher than both EL0 and EL1, so KDE makes no difference here.
            mdscr |= MDSCR_MDE
            vcpu.debug_ptr = DEBUG_PTR_EXTERNAL
            vcpu.dirty = True
        elif os_lock:
            # A locked OS Lock disables breakpoint and watchpoint exceptions. The emulated lock is
            # the guest's alone, because the hardware's would disable the host's too; so MDE is
            # cleared instead.
            mdscr &= ~MDSCR_MDE

    # With MDE or KDE the registers can cause exceptions: the hardware must hold the set.
    if mdscr & _MDSCR_ENABLES:
        vcpu.dirty = True

    if mdcr != vcpu.mdcr_el2:
        cpu.mdcr_el2 = vcpu.mdcr_el2 = mdcr
    mdscr &= MDSCR_KEPT
    if mdscr != vcpu.hardware_mdscr_el1:
        cpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = mdscr


def clear_debug(vcpu: VcpuState) -> None:
    """After an exit, before it is handled: give the guest its own values back."""
    if vcpu.guest_debug or vcpu.os_lock:
        cpu = vcpu.cpu
        ss = cpu.pstate_ss
        # The step that the host requested is done, but its exception has not been taken: another
        # exit came first. The next entry must not execute a second instruction.
        if not ss and vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP:
            vcpu.active_pending = True
        if ss != vcpu.preserved_ss:
            cpu.pstate_ss = vcpu.preserved_ss
        # The kernel preserves 32 bits of the guest's value.
        vcpu.mdscr_el1 &= U32
    else:
        # The hardware ran with the guest's own value. The guest's value is now what the hardware
        # kept of it; or, if accesses were not trapped, what the guest wrote there.
        if not vcpu.mdcr_el2 & MDCR_TDA:
            vcpu.hardware_mdscr_el1 = vcpu.cpu.mdscr_el1
        vcpu.mdscr_el1 = vcpu.hardware_mdscr_el1
