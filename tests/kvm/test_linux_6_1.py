"""Guest debug until Linux 6.13, at an entry and an exit: what is set up, and what is given back.

Properties over every state that the inputs can be in; the processor under it is the real one,
but it runs nothing here, so that what an entry left in its registers can be looked at.
"""

from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.soft.debug.linux_6_1 import clear_debug, setup_debug
from guestdbg.kvm.soft.linux_versions import LINUX_6_1
from guestdbg.kvm.soft.state import DEBUG_PTR_EXTERNAL, DEBUG_PTR_GUEST

from . import support
from .guest_debug_states import ALWAYS, TDA, TDE, controls, mdscrs
from .support import (
    BREAK_ANY,
    DATA,
    ENABLE,
    MDSCR_KDE,
    MDSCR_MDE,
    MDSCR_SS,
    PSTATE_SS,
    RAM,
    STEP,
    USE_HW,
    WATCH_STORE,
)

Guest = partial(support.Guest, linux="6.1")

GUEST = Guest(asm.NOP)


@dataclass(frozen=True)
class Inputs:
    control: int
    dirty: bool
    os_lock: bool
    mdscr: int
    ss: bool
    active_pending: bool


inputs = st.builds(
    Inputs, controls, st.booleans(), st.booleans(), mdscrs(), st.booleans(), st.booleans()
)


def enter(given_: Inputs) -> Guest:
    """The vCPU in that state, and one entry set up."""
    vcpu = GUEST.vcpu
    vcpu.guest_debug = given_.control
    vcpu.dirty = given_.dirty
    vcpu.os_lock = given_.os_lock
    vcpu.mdscr_el1 = given_.mdscr
    vcpu.active_pending = given_.active_pending
    vcpu.cpu.pstate = 0x3C5 | (PSTATE_SS if given_.ss else 0)
    setup_debug(vcpu)
    return GUEST


@given(inputs)
def test_mdcr_el2_always_traps_tpm_tpmcr_tdra_tdosa(given_: Inputs) -> None:
    mdcr = enter(given_).vcpu.cpu.mdcr_el2
    assert mdcr & ALWAYS == ALWAYS
    assert not mdcr & ~(ALWAYS | TDE | TDA)


@given(inputs)
def test_mdcr_el2_tde_while_userspace_debugs_the_guest(given_: Inputs) -> None:
    assert bool(enter(given_).vcpu.cpu.mdcr_el2 & TDE) == bool(given_.control)


@given(inputs)
def test_mdcr_el2_tda_on_each_of_its_three_conditions(given_: Inputs) -> None:
    """Not dirty; the host debugs with the registers; the guest's OS Lock is locked."""
    tda = bool(enter(given_).vcpu.cpu.mdcr_el2 & TDA)
    use_hw = bool(given_.control & KVM_GUESTDBG_USE_HW)
    assert tda == (not given_.dirty or use_hw or given_.os_lock)


@given(inputs)
def test_debug_ptr_is_chosen_at_entry(given_: Inputs) -> None:
    """The external set while the host debugs with the registers, otherwise the guest's."""
    vcpu = enter(given_).vcpu
    use_hw = bool(given_.control & KVM_GUESTDBG_USE_HW)
    assert vcpu.debug_ptr == (DEBUG_PTR_EXTERNAL if use_hw else DEBUG_PTR_GUEST)


def test_debug_ptr_is_chosen_at_entry_and_nowhere_else() -> None:
    """The guest's after reset; the call does not move it, nor does an exit; each entry does."""
    guest = Guest(*[asm.NOP] * 8)
    assert guest.vcpu.debug_state.debug_ptr == "guest"
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,))
    assert guest.vcpu.debug_state.debug_ptr == "guest"
    guest.run()
    assert guest.vcpu.debug_state.debug_ptr == "external"
    guest.debug(STEP)
    assert guest.vcpu.debug_state.debug_ptr == "external"
    guest.run()
    assert guest.vcpu.debug_state.debug_ptr == "guest"


@given(inputs)
def test_mdscr_el1_ss_is_the_hosts_or_masked(given_: Inputs) -> None:
    """SINGLESTEP sets it; else, while the host debugs or the OS Lock is on, it is masked."""
    mdscr = enter(given_).vcpu.cpu.mdscr_el1
    if given_.control & KVM_GUESTDBG_SINGLESTEP:
        expected = True
    elif given_.control or given_.os_lock:
        expected = False
    else:
        expected = bool(given_.mdscr & MDSCR_SS)
    assert bool(mdscr & MDSCR_SS) == expected


@given(inputs)
def test_mdscr_el1_mde_is_set_by_use_hw_and_masked_by_the_os_lock(given_: Inputs) -> None:
    """The guest's OS Lock disables the guest's breakpoints, never the host's."""
    mdscr = enter(given_).vcpu.cpu.mdscr_el1
    if given_.control & KVM_GUESTDBG_USE_HW:
        expected = True
    elif given_.os_lock:
        expected = False
    else:
        expected = bool(given_.mdscr & MDSCR_MDE)
    assert bool(mdscr & MDSCR_MDE) == expected


@given(inputs)
def test_other_bits_of_mdscr_el1_are_the_guests(given_: Inputs) -> None:
    rest = ~(MDSCR_SS | MDSCR_MDE)
    assert enter(given_).vcpu.cpu.mdscr_el1 & rest == given_.mdscr & rest


@given(inputs)
def test_pstate_ss_is_set_for_a_step_unless_active_pending(given_: Inputs) -> None:
    ss = bool(enter(given_).vcpu.cpu.pstate & PSTATE_SS)
    if given_.control & KVM_GUESTDBG_SINGLESTEP:
        assert ss == (not given_.active_pending)
    else:
        assert ss == given_.ss


@given(inputs)
def test_dirty_is_set_at_entry_by_use_hw_and_by_the_guests_mde_or_kde(given_: Inputs) -> None:
    """By the bits that the guest runs with: a masked MDE does not count."""
    vcpu = enter(given_).vcpu
    expected = (
        given_.dirty
        or bool(given_.control & KVM_GUESTDBG_USE_HW)
        or bool(vcpu.cpu.mdscr_el1 & (MDSCR_MDE | MDSCR_KDE))
    )
    assert vcpu.dirty == expected


@given(inputs, st.booleans())
def test_mdscr_el1_and_pstate_ss_are_preserved_and_restored(given_: Inputs, stepped: bool) -> None:
    """Whatever the entry set them to, and whatever the run did to PSTATE.SS."""
    guest = enter(given_)
    if stepped:
        guest.vcpu.cpu.pstate &= ~PSTATE_SS
    clear_debug(guest.vcpu)
    if given_.control or given_.os_lock:
        assert bool(guest.vcpu.cpu.pstate & PSTATE_SS) == given_.ss
        assert guest.vcpu.mdscr_el1 == given_.mdscr
        assert guest.reg("MDSCR_EL1") == given_.mdscr


@given(inputs, st.booleans())
def test_active_pending_is_set_when_the_step_is_done(given_: Inputs, stepped: bool) -> None:
    guest = enter(given_)
    if stepped:
        guest.vcpu.cpu.pstate &= ~PSTATE_SS
    made = not guest.vcpu.cpu.pstate & PSTATE_SS
    clear_debug(guest.vcpu)
    stepping = bool(given_.control & KVM_GUESTDBG_SINGLESTEP)
    assert guest.vcpu.active_pending == (given_.active_pending or (stepping and made))


@given(inputs)
def test_the_copies_of_hardware_registers_are_right(given_: Inputs) -> None:
    """The vCPU's copies of MDCR_EL2 and MDSCR_EL1 equal the processor's registers."""
    vcpu = enter(given_).vcpu
    mdcr, mdscr = vcpu.mdcr_el2, vcpu.hardware_mdscr_el1
    assert (vcpu.cpu.mdcr_el2, vcpu.cpu.mdscr_el1) == (mdcr, mdscr)


def test_exit_gives_back_before_it_is_handled() -> None:
    """A trapped access must see the guest's value, not the host's."""
    guest = Guest(asm.mrs(2, "MDSCR_EL1"), asm.NOP)
    guest.set_x(2, 99)
    guest.debug(STEP | USE_HW)
    guest.run()
    assert guest.vcpu.debug_state.hardware_mdscr_el1 == MDSCR_SS | MDSCR_MDE
    assert guest.x(2) == 0


def test_exit_keeps_what_a_trapped_write_wrote() -> None:
    """Its write must last: restoring the preserved value does not undo it."""
    guest = Guest(
        *asm.mov(2, MDSCR_MDE), asm.msr("MDSCR_EL1", 2), asm.mrs(3, "MDSCR_EL1"), asm.brk(1)
    )
    guest.debug(USE_HW)
    assert guest.run() == ExitDebug(0xF2000001)
    assert guest.x(3) == MDSCR_MDE
    assert guest.reg("MDSCR_EL1") == MDSCR_MDE


def test_active_pending_a_step_over_a_trapped_instruction_runs_one_instruction() -> None:
    """The trap comes first; the step's exception is taken before anything else runs."""
    guest = Guest(asm.mrs(2, "OSLSR_EL1"), asm.add(0, 0, 1), asm.add(0, 0, 1))
    guest.debug(STEP)
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert exit_.ec == 0x32
    assert (guest.pc, guest.x(2), guest.x(0)) == (RAM + 4, 8, 0)
    assert not guest.vcpu.debug_state.active_pending
    assert guest.run() == ExitDebug(0xCB000022)
    assert (guest.pc, guest.x(0)) == (RAM + 8, 1)


def test_active_pending_survives_an_exit_between_step_and_exception() -> None:
    """The step is done, then another exit comes before its exception: no second instruction."""
    guest = Guest(asm.add(0, 0, 1), asm.add(0, 0, 1))
    guest.debug(STEP)
    vcpu = guest.vcpu
    real_run = vcpu.cpu.run
    # The processor steps, and returns as if an interrupt of the host had arrived then.
    setup_debug(vcpu)
    vcpu.cpu.mdcr_el2 = 0  # nothing takes the exception away
    vcpu.cpu.pstate &= ~PSTATE_SS
    clear_debug(vcpu)
    vcpu.mdcr_el2 = 0
    assert vcpu.debug_state.active_pending
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert exit_.ec == 0x32
    assert guest.x(0) == 0, "the pending exception came, and no instruction ran"
    assert not vcpu.debug_state.active_pending
    assert guest.run() == ExitDebug(0xCB000022)
    assert guest.x(0) == 1
    assert real_run is not None


def test_active_pending_is_forgotten_when_debugging_ends() -> None:
    guest = Guest(asm.NOP)
    guest.debug(STEP)
    guest.vcpu.active_pending = True
    guest.debug(0)
    assert not guest.vcpu.debug_state.active_pending


def test_stepping_leaves_no_trace_in_pstate() -> None:
    guest = Guest(*[asm.NOP] * 4)
    guest.debug(STEP)
    for _ in range(3):
        guest.run()
        assert not guest.pstate & PSTATE_SS
    guest.pstate |= PSTATE_SS
    guest.run()
    assert guest.pstate & PSTATE_SS


def test_step_into_an_exception_stops_at_the_vector() -> None:
    """SVC completes and enters EL1's handler: the next instruction is the vector's first."""
    guest = Guest(asm.svc(7))
    guest.set_reg("VBAR_EL1", RAM + 0x8000)
    guest.debug(STEP)
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert exit_.ec == 0x32
    assert guest.pc == RAM + 0x8200
    assert guest.reg("ESR_EL1") == 0x56000007


def test_step_over_hvc_stops_after_it() -> None:
    guest = Guest(asm.hvc(), asm.NOP)
    guest.set_x(0, 0x84000000)
    guest.debug(STEP)
    exit_ = guest.run()
    assert isinstance(exit_, ExitDebug)
    assert exit_.ec == 0x32
    assert (guest.pc, guest.x(0)) == (RAM + 4, 0x10001)


def test_os_lock_applies_to_the_guest_never_to_the_host() -> None:
    """Locked by the guest: the host's breakpoints, watchpoints and steps work as before."""
    guest = Guest(
        *asm.mov(2, 1), asm.msr("OSLAR_EL1", 2), asm.NOP, asm.str_(0, 1), asm.NOP, asm.NOP
    )
    guest.set_x(1, DATA)
    guest.debug(
        USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,), dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA,)
    )
    assert guest.run() == ExitDebug(0xC2000022)
    assert guest.vcpu.debug_state.os_lock
    guest.debug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA)
    guest.debug(STEP)
    assert guest.run() == ExitDebug(0xCB000022)


def test_os_lock_with_no_host_debugging_masks_mde_and_ss_and_sets_tda() -> None:
    guest = Guest(
        *asm.mov(2, 1),
        asm.msr("OSLAR_EL1", 2),
        *asm.mov(3, MDSCR_MDE | MDSCR_SS | MDSCR_KDE),
        asm.msr("MDSCR_EL1", 3),
        asm.NOP,
        asm.b(0),
    )
    guest.run()
    state = guest.vcpu.debug_state
    assert state.os_lock
    assert state.mdscr_el1 == MDSCR_MDE | MDSCR_SS | MDSCR_KDE
    assert state.hardware_mdscr_el1 == MDSCR_KDE
    assert state.mdcr_el2 & TDA
    assert guest.reg("OSLSR_EL1") == 0xA


@pytest.mark.parametrize("flags", [ENABLE, STEP, USE_HW, STEP | USE_HW])
def test_host_debugging_changes_nothing_that_the_guest_can_see(flags: int) -> None:
    """A guest that reads all of its debug state sees the same with and without the host."""
    program = asm.flat(
        asm.mrs(2, "MDSCR_EL1"),
        asm.mrs(3, "DBGBCR0_EL1"),
        asm.mrs(4, "DBGWVR1_EL1"),
        asm.mrs(5, "OSLSR_EL1"),
        asm.mrs(6, "DBGPRCR_EL1"),
        asm.b(0),
    )
    seen = []
    for control in (0, flags):
        guest = Guest(*program)
        guest.set_reg("DBGBCR0_EL1", 0x1E6)
        guest.set_reg("DBGWVR1_EL1", 0x1238)
        guest.debug(control, dbg_bcr=(0x1E6,) * 6, dbg_wvr=(8,) * 4)
        while guest.pc != RAM + 20:
            guest.run(10)
        seen.append([guest.x(n) for n in range(2, 7)])
    assert seen[0] == seen[1] == [0, 0x1E6, 0x1238, 8, 0]


def test_every_entry_is_set_up_and_every_exit_cleared() -> None:
    """Entry and exit functions are called in pairs, also for exits that EL2 handles itself."""
    guest = Guest(asm.mrs(2, "OSLSR_EL1"), asm.mrs(2, "OSLSR_EL1"), asm.b(0))
    calls = []
    guest.vm.linux = LINUX_6_1._replace(
        enter=lambda v: (calls.append("setup"), LINUX_6_1.enter(v)),
        leave=lambda v: (calls.append("clear"), LINUX_6_1.leave(v)),
    )
    guest.run(100)
    assert calls == ["setup", "clear"] * 3
