"""Guest debug since Linux 6.14: who owns the registers, what a run loads and what it puts back.

Properties over every state that the inputs can be in; the processor is the real one, but runs
nothing there, so that what an entry left in its registers can be looked at.
"""

from dataclasses import dataclass
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestdbg.check import assembler as asm
from guestdbg.kvm import DebugRegisters, ExitDebug, ExitIntr, ExitMmio, ExitSystemEvent, KvmError
from guestdbg.kvm.constants import (
    KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_HW,
)
from guestdbg.kvm.soft.debug.linux_6_14 import enter, leave, vcpu_load_debug, vcpu_put_debug

from . import support
from .guest_debug_states import ALWAYS, TDA, TDE, controls, mdscrs
from .support import (
    BREAK_ANY,
    DATA,
    ENABLE,
    MDSCR_KDE,
    MDSCR_MDE,
    MDSCR_SS,
    NOWHERE,
    PSTATE_SS,
    RAM,
    STEP,
    USE_HW,
    VECTORS,
    WATCH_STORE,
)

STEP_TAKEN = ExitDebug(0xCB000022)
HIGH = 0xABCD_EF01 << 32

Guest = partial(support.Guest, linux="6.14")
GUEST = Guest(asm.NOP)
_REST = (0,) * 15
EXTERNAL = DebugRegisters((0x1E6, *_REST), (RAM, *_REST), (0x1FF6, *_REST), (DATA, *_REST))
OWN = DebugRegisters((0x1E4, *_REST), (RAM + 4, *_REST), (0x1FF4, *_REST), (DATA + 8, *_REST))


@dataclass(frozen=True)
class Inputs:
    control: int
    os_lock: bool
    mdscr: int
    ss: bool
    pending: bool

    @property
    def owner(self) -> str:
        if self.control or self.os_lock:
            return "host"
        return "guest" if self.mdscr & (MDSCR_MDE | MDSCR_KDE) else "free"

    @property
    def steps(self) -> bool:
        return bool(self.control & KVM_GUESTDBG_SINGLESTEP)


inputs = st.builds(Inputs, controls, st.booleans(), mdscrs(HIGH), st.booleans(), st.booleans())


def load(given_: Inputs) -> support.Guest:
    """The vCPU in that state, a run begun, and one entry."""
    vcpu = GUEST.vcpu
    vcpu.guest_debug = given_.control
    vcpu.os_lock = given_.os_lock
    vcpu.mdscr_el1 = given_.mdscr
    vcpu.active_pending = given_.pending
    vcpu.external_debug_state = EXTERNAL
    vcpu.vcpu_debug_state = OWN
    vcpu.cpu.pstate = 0x3C5 | (PSTATE_SS if given_.ss else 0)
    vcpu_load_debug(vcpu)
    enter(vcpu)
    return GUEST


@given(inputs)
def test_the_owner_is_chosen_when_a_run_begins(given_: Inputs) -> None:
    assert load(given_).vcpu.debug_state.owner == given_.owner


@given(inputs)
def test_mdcr_el2(given_: Inputs) -> None:
    """TDE while userspace debugs the guest; TDA exactly when the owner is not the guest."""
    tde = TDE if given_.control else 0
    tda = 0 if given_.owner == "guest" else TDA
    assert load(given_).vcpu.cpu.mdcr_el2 == ALWAYS | tde | tda


@given(inputs)
def test_mdscr_el1_in_the_hardware(given_: Inputs) -> None:
    hardware = load(given_).vcpu.cpu.mdscr_el1
    if given_.owner != "host":
        assert hardware == given_.mdscr
        return
    expected = given_.mdscr & ~(MDSCR_SS | MDSCR_KDE | MDSCR_MDE)
    if given_.steps:
        expected |= MDSCR_SS
    if given_.control & KVM_GUESTDBG_USE_HW:
        expected |= MDSCR_MDE | MDSCR_KDE
    assert hardware == expected


@given(inputs)
def test_the_set_in_the_hardware_is_the_owners(given_: Inputs) -> None:
    vcpu = load(given_).vcpu
    expected = {"host": EXTERNAL, "guest": OWN, "free": DebugRegisters()}[given_.owner]
    assert vcpu.debug_state.hardware == expected


@given(inputs)
def test_pstate_ss_is_userspaces_only_for_a_step(given_: Inputs) -> None:
    ss = bool(load(given_).vcpu.cpu.pstate & PSTATE_SS)
    assert ss == (not given_.pending if given_.steps else given_.ss)


@given(inputs, st.booleans())
def test_a_put_keeps_the_state_of_the_step_and_gives_the_guests_back(
    given_: Inputs, stepped: bool
) -> None:
    """What is pending is recomputed at each put; without a step nothing is touched."""
    vcpu = load(given_).vcpu
    if stepped:
        vcpu.cpu.pstate &= ~PSTATE_SS
    before = bool(vcpu.cpu.pstate & PSTATE_SS)
    leave(vcpu)
    vcpu_put_debug(vcpu)
    if given_.steps:
        assert vcpu.active_pending == (not before)
        assert bool(vcpu.cpu.pstate & PSTATE_SS) == given_.ss
    else:
        assert vcpu.active_pending == given_.pending
        assert bool(vcpu.cpu.pstate & PSTATE_SS) == before


@given(inputs)
def test_the_guests_mdscr_el1_is_not_touched(given_: Inputs) -> None:
    """All 64 bits of it."""
    vcpu = load(given_).vcpu
    leave(vcpu)
    vcpu_put_debug(vcpu)
    assert vcpu.mdscr_el1 == given_.mdscr


def test_the_external_set_is_loaded_without_use_hw() -> None:
    guest = Guest(*[asm.NOP] * 4)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    guest.debug(STEP)
    guest.run()
    assert guest.vcpu.debug_state.hardware.bvr[0] == RAM + 8
    assert not guest.vcpu.debug_state.hardware_mdscr_el1 & MDSCR_MDE
    guest.run()
    assert guest.run() == STEP_TAKEN, "it is there, and does nothing"


@pytest.mark.parametrize(
    "access",
    [
        asm.mrs(3, "DBGBVR0_EL1"),
        asm.mrs(3, "DBGWCR0_EL1"),
        asm.mrs(3, "MDSCR_EL1"),
        asm.mrs(3, "MDCCINT_EL1"),
        asm.msr("DBGBVR0_EL1", 31),
        asm.msr("MDSCR_EL1", 31),
    ],
    ids=["mrs-bvr", "mrs-wcr", "mrs-mdscr", "mrs-mdccint", "msr-bvr", "msr-mdscr"],
)
@pytest.mark.parametrize("control", [0, ENABLE])
def test_a_trapped_access_makes_the_guest_the_owner(access: int, control: int) -> None:
    """A read, too; unless the host is."""
    guest = Guest(asm.NOP, access, asm.NOP, asm.b(0))
    guest.debug(control)
    guest.run(1)
    assert guest.vcpu.debug_state.owner == ("host" if control else "free")
    guest.run(10)
    state = guest.vcpu.debug_state
    assert state.owner == ("host" if control else "guest")
    assert bool(state.mdcr_el2 & TDA) == bool(control)
    # It stays so until the next run begins.
    guest.run(1)
    assert guest.vcpu.debug_state.owner == ("host" if control else "free")


@pytest.mark.parametrize("name", ["OSLSR_EL1", "OSDLR_EL1", "MDCCSR_EL0"])
def test_other_debug_registers_make_nobody_the_owner(name: str) -> None:
    guest = Guest(asm.mrs(3, name), asm.b(0))
    guest.run(10)
    assert guest.vcpu.debug_state.owner == "free"


def test_the_os_lock_makes_the_host_the_owner_at_once() -> None:
    """The guest's breakpoint stops until it unlocks."""
    program = [
        asm.msr("OSLAR_EL1", 1),
        asm.NOP,  # with the breakpoint
        asm.msr("OSLAR_EL1", 31),
        asm.NOP,
        asm.b(0),
    ]
    guest = Guest(*program)
    guest.set_x(1, 1)
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.pstate = 0x1C5
    guest.set_reg("DBGBVR0_EL1", RAM + 4)
    guest.set_reg("DBGBCR0_EL1", BREAK_ANY)
    guest.set_reg("MDSCR_EL1", MDSCR_MDE | MDSCR_KDE)
    guest.run(2)
    state = guest.vcpu.debug_state
    assert (state.owner, guest.pc) == ("host", RAM + 8)
    assert state.mdscr_el1 == MDSCR_MDE | MDSCR_KDE
    assert not state.hardware_mdscr_el1 & (MDSCR_MDE | MDSCR_KDE)
    guest.run(1)
    assert guest.vcpu.debug_state.owner == "guest"
    guest.pc = RAM + 4
    guest.run(1)
    assert guest.pc & ~0x7FF == VECTORS, "unlocked, it does"


def test_the_os_lock_does_not_lose_a_step() -> None:
    """OSLAR is a put and a load within the run: the step of the host goes on."""
    guest = Guest(asm.msr("OSLAR_EL1", 1), asm.add(0, 0, 1), asm.msr("OSLAR_EL1", 31), asm.NOP)
    guest.set_x(1, 1)
    guest.debug(STEP)
    for n in range(1, 5):
        assert guest.run().ec == 0x32  # type: ignore[union-attr]
        assert guest.pc == RAM + 4 * n
    assert guest.x(0) == 1


def test_mdscr_el1_in_the_hardware_is_fixed_when_a_run_begins() -> None:
    """What the guest writes while the host owns it comes into force at the next load."""
    tdcc = 1 << 12
    guest = Guest(asm.msr("MDSCR_EL1", 1), asm.NOP, *[asm.NOP] * 8)
    guest.set_x(1, tdcc)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    assert isinstance(guest.run(), ExitDebug)
    assert guest.vcpu.debug_state.mdscr_el1 == tdcc
    assert not guest.vcpu.debug_state.hardware_mdscr_el1 & tdcc
    guest.run()
    assert guest.vcpu.debug_state.hardware_mdscr_el1 & tdcc


def test_a_step_that_another_exit_interrupts_is_pending_at_the_next_run() -> None:
    """The access is completed by a run that ends at once: the step is done, and only its exception
    is left for the next run."""
    guest = Guest(asm.ldr(2, 1), asm.add(0, 0, 1), asm.add(0, 0, 1))
    guest.set_x(1, NOWHERE)
    guest.debug(STEP)
    exit_ = guest.run()
    assert isinstance(exit_, ExitMmio)
    guest.vcpu.complete_mmio(bytes(8))
    guest.vcpu.immediate_exit = True
    assert isinstance(guest.run(), ExitIntr)
    guest.vcpu.immediate_exit = False
    assert guest.pc == RAM + 4
    assert guest.vcpu.debug_state.active_pending
    assert guest.run().ec == 0x32  # type: ignore[union-attr]
    assert (guest.pc, guest.x(0)) == (RAM + 4, 0)
    assert guest.run() == STEP_TAKEN
    assert (guest.pc, guest.x(0)) == (RAM + 8, 1)


def test_a_step_over_a_wfi_that_waits_is_not_lost() -> None:
    """The WFI ends the run; the next one takes the exception, and executes nothing."""
    guest = Guest(asm.WFI, asm.add(0, 0, 1), asm.add(0, 0, 1))
    guest.debug(STEP)
    assert guest.run() == ExitIntr(idle=True)
    assert guest.pc == RAM + 4
    assert guest.run().ec == 0x32  # type: ignore[union-attr]
    assert (guest.pc, guest.x(0)) == (RAM + 4, 0)
    old = support.Guest(asm.WFI, asm.add(0, 0, 1), asm.add(0, 0, 1), linux="6.1")
    old.debug(STEP)
    assert old.run() == ExitIntr(idle=True)
    assert old.run().ec == 0x32  # type: ignore[union-attr]
    assert (old.pc, old.x(0)) == (RAM + 8, 1), "Linux 6.1 executes a second instruction"


def test_what_is_pending_ends_with_debugging() -> None:
    guest = Guest(asm.WFI, asm.add(0, 0, 1), asm.add(0, 0, 1))
    guest.debug(STEP)
    guest.run()
    assert guest.vcpu.debug_state.active_pending
    guest.debug(0)
    assert not guest.vcpu.debug_state.active_pending
    guest.debug(STEP)
    assert guest.run() == STEP_TAKEN
    assert guest.x(0) == 1


@pytest.mark.parametrize("version", ["6.1", "6.14"])
def test_a_pending_step_survives_kvm_arm_vcpu_init(version: str) -> None:
    """As seen on Linux 6.1.192 and 7.2.13: SYSTEM_OFF comes before the step's exception."""
    guest = support.Guest(asm.hvc(), asm.add(0, 0, 1), linux=version)
    guest.set_x(0, 0x84000008)
    guest.debug(STEP)
    assert isinstance(guest.run(), ExitSystemEvent)
    guest.vcpu.init(guest.vm.preferred_target())
    guest.pc = RAM + 4
    assert guest.run().ec == 0x32  # type: ignore[union-attr]
    assert (guest.pc, guest.x(0)) == (RAM + 4, 0)
    assert guest.run() == STEP_TAKEN
    assert (guest.pc, guest.x(0)) == (RAM + 8, 1)


def test_the_guests_pstate_ss_survives_a_step() -> None:
    guest = Guest(*[asm.NOP] * 4)
    guest.debug(STEP)
    for ss in (0, PSTATE_SS, PSTATE_SS, 0):
        guest.pstate = guest.pstate & ~PSTATE_SS | ss
        assert guest.run() == STEP_TAKEN
        assert guest.pstate & PSTATE_SS == ss


def test_a_reset_within_a_run_keeps_userspaces_debugging() -> None:
    """PSCI CPU_ON: a put, the reset, and a load."""
    guest = Guest(asm.hvc(), asm.b(0))
    second = guest.vm.create_vcpu(1)
    second.init(guest.vm.preferred_target().with_feature(0))
    guest.place(RAM + 0x100, asm.add(1, 0, 1), asm.b(0))
    for n, value in enumerate((0xC4000003, 1, RAM + 0x100, 7)):
        guest.set_x(n, value)
    from guestdbg.kvm import GuestDebug
    from guestdbg.kvm.regs import core_reg

    second.set_guest_debug(GuestDebug(STEP | USE_HW, (BREAK_ANY,), (RAM + 0x104,)))
    guest.run(10)
    assert second.run().ec == 0x32  # type: ignore[union-attr]
    assert second.get_one_reg(core_reg("x1")) == 8
    assert second.debug_state.owner == "host"
    assert second.run().ec == 0x30  # type: ignore[union-attr]


def test_a_watchpoint_of_the_host_hides_the_guests() -> None:
    guest = Guest(asm.str_(0, 1), asm.str_(0, 2), asm.b(0))
    guest.set_x(1, DATA)
    guest.set_x(2, DATA + 64)
    guest.set_reg("DBGWVR0_EL1", DATA)
    guest.set_reg("DBGWCR0_EL1", WATCH_STORE)
    guest.set_reg("MDSCR_EL1", MDSCR_MDE | MDSCR_KDE)
    guest.pstate = 0x1C5
    guest.debug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA + 64,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA + 64)
    assert guest.vcpu.debug_state.guest.wvr[0] == DATA


def test_id_aa64dfr0_el1_can_be_lowered_before_the_first_run() -> None:
    """WRPs and DebugVer; not BRPs and CTX_CMPs, whose place in the hardware is fixed."""
    guest = Guest(asm.mrs(3, "ID_AA64DFR0_EL1"), asm.b(0))
    whole = guest.reg("ID_AA64DFR0_EL1")
    lower = whole - (1 << 20)
    for bad in (
        whole + (1 << 20),
        whole - (1 << 12),
        whole - (1 << 28),
        whole & ~0xF,
        whole & ~0xF | 7,
        whole | 1 << 60,
    ):
        with pytest.raises(KvmError) as refused:
            guest.set_reg("ID_AA64DFR0_EL1", bad)
        assert refused.value.errno == 22, hex(bad)
    guest.set_reg("ID_AA64DFR0_EL1", lower)
    guest.set_reg("ID_AA64DFR0_EL1", whole)
    guest.set_reg("ID_AA64DFR0_EL1", lower)
    assert guest.reg("ID_AA64DFR0_EL1") == lower
    guest.run(5)
    assert guest.x(3) == lower
    guest.set_reg("ID_AA64DFR0_EL1", lower)
    with pytest.raises(KvmError) as refused:
        guest.set_reg("ID_AA64DFR0_EL1", whole)
    assert refused.value.errno == 16
    # Userspace's registers are the processor's: all of them.
    assert guest.kvm.check_extension(120) == 4
    guest.set_reg("DBGWVR3_EL1", DATA)


def test_linux_6_1_keeps_the_id_registers() -> None:
    guest = support.Guest(linux="6.1")
    whole = guest.reg("ID_AA64DFR0_EL1")
    with pytest.raises(KvmError) as refused:
        guest.set_reg("ID_AA64DFR0_EL1", whole - (1 << 20))
    assert refused.value.errno == 22


def test_the_state_in_words() -> None:
    guest = Guest(asm.NOP, asm.NOP)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,))
    guest.run()
    state = guest.vcpu.debug_state
    assert (state.debug_ptr, state.dirty) == (None, False)
    assert str(state).startswith("owner       host\n")


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(KvmError, match=r"there are 6\.1 and 6\.14"):
        support.Guest(linux="6.13")
