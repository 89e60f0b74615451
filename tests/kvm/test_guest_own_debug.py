"""A guest that debugs itself, with and without the host debugging it."""

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug, ExitMmio

from .support import (
    BREAK_ANY,
    DATA,
    ENABLE,
    MDSCR_KDE,
    MDSCR_MDE,
    MDSCR_SS,
    NOWHERE,
    RAM,
    STEP,
    USE_HW,
    VECTORS,
    WATCH_STORE,
    Guest,
)

pytestmark = pytest.mark.usefixtures("linux")

#: The guest's handler stores to this address, where there is no memory.
SINK = NOWHERE
BREAK_EL0 = 0x1E5
WATCH_STORE_EL0 = 0x1FF5


def with_handler(*code: int) -> Guest:
    """A guest at EL1, debug exceptions open, whose vectors store ESR_EL1 to ``SINK``."""
    guest = Guest(*code)
    for entry in (0x200, 0x400):  # from EL1 with SP_EL1, and from EL0
        guest.place(
            VECTORS + entry,
            *asm.mov(28, SINK),
            asm.mrs(29, "ESR_EL1"),
            asm.str_(29, 28),
            asm.b(0),
        )
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.pstate = 0x1C5  # EL1h, PSTATE.D clear
    return guest


def reported_esr(guest: Guest) -> int:
    """ESR_EL1 that the guest's handler read."""
    exit_ = guest.run()
    assert isinstance(exit_, ExitMmio), exit_
    return int.from_bytes(exit_.data, "little")


def own_breakpoint() -> Guest:
    """The guest arms a breakpoint on its own code and runs into it."""
    return with_handler(
        *asm.mov(2, RAM + 0x100),
        asm.msr("DBGBVR0_EL1", 2),
        *asm.mov(3, BREAK_ANY),
        asm.msr("DBGBCR0_EL1", 3),
        *asm.mov(4, MDSCR_MDE | MDSCR_KDE),
        asm.msr("MDSCR_EL1", 4),
        asm.ISB,
        asm.br(2),
    )


def own_watchpoint() -> Guest:
    return with_handler(
        *asm.mov(2, DATA),
        asm.msr("DBGWVR1_EL1", 2),
        *asm.mov(3, WATCH_STORE),
        asm.msr("DBGWCR1_EL1", 3),
        *asm.mov(4, MDSCR_MDE | MDSCR_KDE),
        asm.msr("MDSCR_EL1", 4),
        asm.ISB,
        asm.str_(2, 2),
        asm.b(0),
    )


def own_step() -> Guest:
    """EL1 steps one instruction of its EL0."""
    guest = with_handler(
        *asm.mov(2, RAM + 0x100),
        asm.msr("ELR_EL1", 2),
        *asm.mov(3, 1 << 21),  # SPSR: EL0t, SS
        asm.msr("SPSR_EL1", 3),
        *asm.mov(4, MDSCR_SS),
        asm.msr("MDSCR_EL1", 4),
        asm.ISB,
        asm.ERET,
    )
    guest.place(RAM + 0x100, asm.add(5, 5, 1), asm.add(5, 5, 1), asm.b(0))
    return guest


def test_guests_own_breakpoint_works_inside_the_guest() -> None:
    guest = own_breakpoint()
    assert reported_esr(guest) == 0xC6000022  # breakpoint, from the same EL
    assert guest.reg("MDSCR_EL1") == MDSCR_MDE | MDSCR_KDE


def test_guests_own_watchpoint_works_inside_the_guest() -> None:
    guest = own_watchpoint()
    assert reported_esr(guest) == 0xD6000062
    assert guest.reg("FAR_EL1") == DATA
    assert guest.u64(DATA) == 0


def test_guests_own_step_works_inside_the_guest() -> None:
    guest = own_step()
    assert reported_esr(guest) == 0xCB000022  # software step, from EL0
    assert guest.x(5) == 1


def test_guests_own_brk_works_inside_the_guest() -> None:
    assert reported_esr(with_handler(asm.brk(5))) == 0xF2000005


def test_guests_breakpoints_are_not_in_the_hardware_with_use_hw_and_restored_after() -> None:
    """Hidden while the host uses the registers; the guest still reads and writes its own."""
    guest = own_breakpoint()
    guest.place(RAM + 0x100, asm.mrs(7, "DBGBVR0_EL1"), asm.NOP, asm.b(-8))
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 0x104,))
    for _ in range(3):
        assert guest.run() == ExitDebug(0xC2000022)
        assert guest.pc == RAM + 0x104, "the guest's breakpoint at RAM + 0x100 did not fire"
        state = guest.vcpu.debug_state
        assert state.owner == "host"
        assert state.guest.bvr[0] == RAM + 0x100
        assert RAM + 0x100 not in state.hardware.bvr
        assert guest.x(7) == RAM + 0x100, "the guest sees its own"
        guest.pc = RAM + 0x100
    guest.pc = RAM + 0x104
    guest.debug(0)
    assert reported_esr(guest) == 0xC6000022
    assert guest.vcpu.debug_state.hardware.bvr[0] == RAM + 0x100


def test_guests_watchpoints_are_not_in_the_hardware_with_use_hw_and_restored_after() -> None:
    guest = own_watchpoint()
    guest.debug(USE_HW)
    assert not isinstance(guest.run(), ExitDebug | ExitMmio)
    assert guest.u64(DATA) == DATA, "the store was made"
    guest.pc -= 4
    guest.debug(0)
    assert reported_esr(guest) == 0xD6000062


@pytest.mark.parametrize("control", [ENABLE, USE_HW, STEP])
def test_guests_own_steps_are_suppressed_while_the_host_debugs(control: int) -> None:
    """The guest's steps of its EL0 would give the host step exceptions that it did not request."""
    guest = own_step()
    guest.debug(control)
    for _ in range(200):
        guest.run(1)
    assert guest.x(5) == 2, "EL0 ran on, unstepped by the guest"
    assert guest.reg("MDSCR_EL1") == MDSCR_SS


@pytest.mark.parametrize("control", [ENABLE, STEP])
def test_enable_alone_leaves_the_guests_registers_loaded(control: int, linux: str) -> None:
    """6.1: without USE_HW the guest's own set stays in the hardware. TDE routes its debug
    exceptions to userspace, which must inject them into the guest. 6.14: the external set is in the
    hardware, and the guest's own breakpoint does nothing."""
    guest = own_breakpoint()
    guest.debug(control)
    seen = set()
    for _ in range(100):
        exit_ = guest.run(200)
        if isinstance(exit_, ExitDebug):
            seen.add((exit_.ec, guest.pc))
    state = guest.vcpu.debug_state
    if linux == "6.1":
        assert (0x30, RAM + 0x100) in seen
        assert state.hardware.bvr[0] == RAM + 0x100
        assert state.owner == "guest"
    else:
        assert 0x30 not in {ec for ec, _ in seen}
        assert state.hardware.bvr[0] == 0
        assert state.guest.bvr[0] == RAM + 0x100
        assert state.owner == "host"
        assert not state.hardware_mdscr_el1 & (MDSCR_MDE | MDSCR_KDE)
        assert state.mdscr_el1 & MDSCR_MDE


def test_enable_alone_routes_the_guests_brk_to_userspace() -> None:
    guest = with_handler(asm.brk(5))
    guest.debug(ENABLE)
    assert guest.run() == ExitDebug(0xF2000005)


def test_enable_alone_routes_the_guests_watchpoint_to_userspace(linux: str) -> None:
    """Until Linux 6.13."""
    guest = own_watchpoint()
    guest.debug(ENABLE)
    exit_ = guest.run()
    assert (exit_ == ExitDebug(0xD2000062, 0, DATA)) == (linux == "6.1")


def test_guests_debug_of_its_el0_works() -> None:
    """A kernel inside the guest debugs a program of its own, with KDE clear."""
    guest = with_handler(
        *asm.mov(2, RAM + 0x104),
        asm.msr("DBGBVR0_EL1", 2),
        *asm.mov(3, BREAK_EL0),
        asm.msr("DBGBCR0_EL1", 3),
        *asm.mov(4, MDSCR_MDE),
        asm.msr("MDSCR_EL1", 4),
        *asm.mov(2, RAM + 0x100),
        asm.msr("ELR_EL1", 2),
        asm.msr("SPSR_EL1", 31),
        asm.ISB,
        asm.ERET,
    )
    guest.place(RAM + 0x100, asm.add(5, 5, 1), asm.add(5, 5, 1), asm.b(0))
    assert reported_esr(guest) == 0xC2000022
    assert guest.x(5) == 1


def test_guests_set_as_migration_sees_it_survives_a_round_trip() -> None:
    """All of it out of one machine and into another: the breakpoint fires there."""
    source = own_breakpoint()
    source.debug(STEP)
    while source.pc != RAM + 0x20:  # at the BR, all armed
        source.run()
    source.debug(0)
    target = with_handler()
    target.memory[:] = source.memory[:]
    for reg_id in source.vcpu.get_reg_list():
        target.vcpu.set_one_reg(reg_id, source.vcpu.get_one_reg(reg_id))
    assert reported_esr(target) == 0xC6000022
