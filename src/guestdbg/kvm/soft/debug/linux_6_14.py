"""Guest debug since Linux 6.14: three owners of the debug registers (debug.c).

The owner is chosen when a run begins (``vcpu_load_debug``) and when the guest writes OSLAR_EL1:

host    userspace debugs the guest, or the guest's OS Lock is locked. The hardware holds the
        external set, and ``external_mdscr_el1`` in MDSCR_EL1; the guest's own values are not
        touched.
guest   the guest has debug exceptions enabled (MDSCR_EL1.MDE or KDE). The hardware holds its set,
        and it accesses the hardware itself.
free    neither: the registers are not in use. The first access by the guest, a read too, is
        trapped and makes it the owner.

In between, nothing is decided: entries load the owner's set (``enter``), and exits save what the
guest wrote (``leave``). The state is described in ``VcpuState`` (state.py).
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
)
from guestdbg.kvm.soft.state import (
    HOST_DEBUG_STATE,
    OWNER_FREE,
    OWNER_GUEST,
    OWNER_HOST,
)

if TYPE_CHECKING:
    from guestdbg.kvm.debug_state import Owner
    from guestdbg.kvm.soft.state import (
        VcpuState,
    )

_MDSCR_ENABLES: Final = MDSCR_MDE | MDSCR_KDE
_MDSCR_OF_HOST: Final = MDSCR_SS | MDSCR_MDE | MDSCR_KDE

#: TDA traps the guest's accesses to the debug registers unless it owns them. Host: the hardware
#: holds the external set, which the guest must not see. Free: the first access makes it the owner.
_MDCR_TRAPPED: Final = MDCR_ALWAYS | MDCR_TDA
#: With KVM_SET_GUEST_DEBUG, TDE routes all debug exceptions of the guest to EL2, also those of BRK.
_MDCR_DEBUGGED: Final = _MDCR_TRAPPED | MDCR_TDE


def vcpu_load_debug(vcpu: VcpuState) -> None:
    """A run begins: choose the owner, and what the hardware runs with."""
    control = vcpu.guest_debug
    if control or vcpu.os_lock:
        vcpu.debug_owner = OWNER_HOST
        # The guest's own value without the bits that KVM uses: other features have bits in
        # MDSCR_EL1, which are the guest's. With MDE and KDE clear, a locked OS Lock has the effect
        # that it should have: no breakpoint or watchpoint exceptions.
        mdscr = vcpu.mdscr_el1 & ~_MDSCR_OF_HOST
        if control & KVM_GUESTDBG_SINGLESTEP:
            mdscr |= MDSCR_SS
            # The software step state machine is the host's now. PSTATE.SS = 1 is the
            # active-not-pending state: one instruction is executed, then the exception is taken.
            # If the instruction has been executed and only its exception is outstanding, PSTATE.SS
            # is 0 (active-pending); otherwise one step would execute two instructions.
            cpu = vcpu.cpu
            ss = vcpu.preserved_ss = cpu.pstate_ss
            if ss == vcpu.active_pending:
                cpu.pstate_ss = not ss
        if control & KVM_GUESTDBG_USE_HW:
            # MDE enables breakpoint and watchpoint exceptions, KDE those that are taken to the
            # Exception level they come from. TDE routes them all to EL2, so KDE makes no difference
            # here; the kernel sets both.
            mdscr |= _MDSCR_ENABLES
        vcpu.external_mdscr_el1 = mdscr
        mdcr = _MDCR_DEBUGGED if control else _MDCR_TRAPPED
    elif vcpu.mdscr_el1 & _MDSCR_ENABLES:
        vcpu.debug_owner = OWNER_GUEST
        mdcr = MDCR_ALWAYS
    else:
        vcpu.debug_owner = OWNER_FREE
        mdcr = _MDCR_TRAPPED
    if mdcr != vcpu.mdcr_el2:
        vcpu.cpu.mdcr_el2 = vcpu.mdcr_el2 = mdcr


def vcpu_put_debug(vcpu: VcpuState) -> None:
    """A run ends: keep the state of userspace's step, and give the guest its PSTATE.SS back."""
    if vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP:
        cpu = vcpu.cpu
        ss = cpu.pstate_ss
        vcpu.active_pending = not ss
        if ss != vcpu.preserved_ss:
            cpu.pstate_ss = vcpu.preserved_ss


def enter(vcpu: VcpuState) -> None:
    """The world switch before an entry: the owner's registers go into the hardware."""
    owner = vcpu.debug_owner
    if owner is OWNER_HOST:
        if vcpu.external_debug_state is not vcpu.hardware_debug_state:
            load_set(vcpu, vcpu.external_debug_state)
        if vcpu.mdccint_el1:
            load_mdccint(vcpu, trapped=True)
        mdscr = vcpu.external_mdscr_el1
    elif owner is OWNER_GUEST:
        load_set(vcpu, vcpu.vcpu_debug_state)
        load_mdccint(vcpu, trapped=False)
        mdscr = vcpu.mdscr_el1
    else:
        if vcpu.hardware_debug_state is not HOST_DEBUG_STATE:
            load_set(vcpu, HOST_DEBUG_STATE)
        mdscr = vcpu.mdscr_el1
    mdscr &= MDSCR_KEPT
    if mdscr != vcpu.hardware_mdscr_el1:
        vcpu.cpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = mdscr


def leave(vcpu: VcpuState) -> None:
    """The world switch after an exit: save what the guest wrote into the hardware.

    While the host owns the registers the guest wrote nothing there, and what its own MDSCR_EL1
    holds has not been in the hardware.
    """
    owner = vcpu.debug_owner
    if owner is OWNER_HOST:
        return
    if owner is OWNER_GUEST:
        save_guest_set(vcpu)
        vcpu.mdscr_el1 = vcpu.hardware_mdscr_el1 = vcpu.cpu.mdscr_el1
    else:
        # What the hardware kept of the guest's value.
        vcpu.mdscr_el1 = vcpu.hardware_mdscr_el1


def step_taken(vcpu: VcpuState) -> None:
    """The exception of userspace's step is taken: the next instruction is not executed yet."""
    vcpu.cpu.pstate_ss = 1


def debug_register_trapped(vcpu: VcpuState, is_write: bool) -> None:
    """A trapped access, a read too, makes the guest the owner, unless the host is."""
    if vcpu.debug_owner is not OWNER_HOST:
        vcpu.debug_owner = OWNER_GUEST
        if vcpu.mdcr_el2 != MDCR_ALWAYS:
            vcpu.cpu.mdcr_el2 = vcpu.mdcr_el2 = MDCR_ALWAYS


def os_lock_trapped(vcpu: VcpuState) -> None:
    """Choose the owner again: a locked OS Lock makes it the host."""
    vcpu_put_debug(vcpu)
    vcpu_load_debug(vcpu)


def debug_owner(vcpu: VcpuState) -> Owner:
    """The owner as it was last chosen."""
    return vcpu.debug_owner


def debug_ptr(vcpu: VcpuState) -> None:
    """There is none: the hardware gets the owner's set."""
