"""Guest debug from Linux 4.2 to 6.13: what an entry sets up and what an exit takes back (debug.c).

Two parties use the debug hardware: the guest for itself, and userspace (the host) to debug the
guest. ``setup_debug`` decides before every entry which of them gets what. ``clear_debug`` gives the
guest its own values back after every exit, before the exit is handled: a trapped access must see
the guest's own value, and what it writes must last.

The state is described in ``VcpuState`` (state.py). ``debug_ptr`` is chosen here, at entry, and
nowhere else. The registers move only while dirty: the set that ``debug_ptr`` names goes into the
hardware before the guest runs, and what the guest wrote to its own set is saved after.
``mdscr_el1`` is always the guest's own value, never the one that the hardware runs with.
``os_lock`` is the guest's own OS Lock; the hardware's is never locked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import KVM_GUESTDBG_SINGLESTEP, KVM_GUESTDBG_USE_HW
from guestdbg.kvm.soft.debug.switch import (
    MDCR_ALWAYS,
    load_mdccint,
    load_set,
    save_guest_set,
)
from guestdbg.kvm.soft.register_fields import (
    MDCR_TDA,
    MDCR_TDE,
    MDSCR_KDE,
    MDSCR_KEPT,
    MDSCR_MDE,
    MDSCR_SS,
    U32,
)
from guestdbg.kvm.soft.state import (
    DEBUG_PTR_EXTERNAL,
    DEBUG_PTR_GUEST,
    HOST_DEBUG_STATE,
)

if TYPE_CHECKING:
    from guestdbg.kvm.debug_state import DebugPtr, Owner
    from guestdbg.kvm.soft.state import (
        VcpuState,
    )

_MDSCR_ENABLES: Final = MDSCR_MDE | MDSCR_KDE
# Either traps every access of the guest to the debug registers: TDE implies TDA.
_ACCESSES_TRAPPED: Final = MDCR_TDA | MDCR_TDE


def enter(vcpu: VcpuState) -> None:
    """Before an entry: the debug set-up, then the world switch of the debug registers."""
    setup_debug(vcpu)
    if vcpu.dirty or vcpu.hardware_debug_state is not HOST_DEBUG_STATE:
        _switch_to_guest(vcpu)


def leave(vcpu: VcpuState) -> None:
    """After an exit: the world switch back, then the guest gets its own values back."""
    if vcpu.dirty:
        # If accesses were trapped, the hardware holds what was loaded: there is nothing to save.
        if not vcpu.mdcr_el2 & _ACCESSES_TRAPPED:
            save_guest_set(vcpu)
        # It is clean now, until a trapped write or an entry makes it dirty again.
        vcpu.dirty = False
    clear_debug(vcpu)


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


def step_taken(vcpu: VcpuState) -> None:
    """The exception of the step that userspace requested is taken: no step is pending now."""
    vcpu.active_pending = False


def debug_register_trapped(vcpu: VcpuState, is_write: bool) -> None:
    """A trapped write: the guest uses its debug registers, so the next entry loads them."""
    if is_write:
        vcpu.dirty = True


def os_lock_trapped(vcpu: VcpuState) -> None:
    """The next entry considers the OS Lock."""


def debug_owner(vcpu: VcpuState) -> Owner:
    """The host, while userspace debugs the guest with the registers; otherwise the guest."""
    return "host" if vcpu.guest_debug & KVM_GUESTDBG_USE_HW else "guest"


def debug_ptr(vcpu: VcpuState) -> DebugPtr:
    """The set that the last entry chose."""
    return vcpu.debug_ptr


def _switch_to_guest(vcpu: VcpuState) -> None:
    """Load the set that was chosen at entry."""
    if vcpu.dirty:
        external = vcpu.debug_ptr == DEBUG_PTR_EXTERNAL
        load_set(vcpu, vcpu.external_debug_state if external else vcpu.vcpu_debug_state)
        load_mdccint(vcpu, trapped=bool(vcpu.mdcr_el2 & _ACCESSES_TRAPPED))
    elif not vcpu.guest_debug:
        load_set(vcpu, HOST_DEBUG_STATE)
    # Else MDE and KDE are clear, so what the registers hold has no effect.
