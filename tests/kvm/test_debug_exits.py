"""The exits of a real kernel (Debian's 6.1.192 on a Cortex-A57 model), for the same guests."""

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitDebug
from guestdbg.kvm.constants import KVM_DEBUG_ARCH_HSR_HIGH_VALID, KVM_EXIT_DEBUG

from .support import (
    BREAK_ANY,
    DATA,
    EL1H_MASKED,
    ENABLE,
    MDSCR_KDE,
    MDSCR_MDE,
    RAM,
    STEP,
    USE_HW,
    USE_SW_BP,
    WATCH_BOTH,
    WATCH_LOAD,
    WATCH_STORE,
    Guest,
)

pytestmark = pytest.mark.usefixtures("linux")

STORE = (asm.NOP, asm.str_(0, 1), asm.NOP, asm.b(0))
LOAD = (asm.NOP, asm.ldr(0, 1), asm.NOP, asm.b(0))


def test_breakpoint_at_el1_ec_0x30() -> None:
    """DBGBCR 0x1e7 -> exit 4, hsr 0xc2000022, hsr_high 0, no far, pc = the breakpoint."""
    guest = Guest(asm.NOP, asm.NOP, asm.NOP)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    exit_ = guest.run()
    assert exit_ == ExitDebug(0xC2000022, 0, None)
    assert exit_.reason == KVM_EXIT_DEBUG == 4
    assert guest.pc == RAM + 8


def test_single_step_ec_0x32() -> None:
    """exit 4, hsr 0xcb000022, pc = the next instruction; again and again."""
    guest = Guest(asm.NOP, asm.b(8), asm.NOP, asm.add(0, 0, 1))
    guest.debug(STEP)
    for pc in (RAM + 4, RAM + 12, RAM + 16):
        assert guest.run() == ExitDebug(0xCB000022, 0, None)
        assert guest.pc == pc
    assert guest.x(0) == 1


def test_watchpoint_on_a_store_ec_0x34() -> None:
    """DBGWCR 0x1ff7 -> hsr 0xd2000062 (WnR), far = the address, pc = the store, not executed."""
    guest = Guest(*STORE)
    guest.set_x(0, 0x1122)
    guest.set_x(1, DATA)
    guest.debug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA)
    assert guest.pc == RAM + 4
    assert guest.u64(DATA) == 0


def test_watchpoint_on_a_load() -> None:
    """hsr 0xd2000022, far = the address."""
    guest = Guest(*LOAD)
    guest.set_x(1, DATA)
    guest.debug(USE_HW, dbg_wcr=(WATCH_LOAD,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000022, 0, DATA)
    assert guest.pc == RAM + 4


def test_watchpoint_kinds_do_not_mix() -> None:
    for code, control in ((STORE, WATCH_LOAD), (LOAD, WATCH_STORE)):
        guest = Guest(*code)
        guest.set_x(1, DATA)
        guest.debug(USE_HW, dbg_wcr=(control,), dbg_wvr=(DATA,))
        assert not isinstance(guest.run(), ExitDebug)


def test_watchpoint_bas_0xf0_on_an_8_byte_store_to_the_doubleword() -> None:
    """Hits with far = doubleword + 4, as QEMU reports."""
    guest = Guest(*STORE)
    guest.set_x(1, DATA)
    guest.debug(USE_HW, dbg_wcr=(0x1E17,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA + 4)


def test_watchpoint_mask_8_covers_256_bytes() -> None:
    """MASK 8: hits, far = the address accessed."""
    guest = Guest(*STORE)
    guest.set_x(1, DATA + 0xA8)
    guest.debug(USE_HW, dbg_wcr=(WATCH_STORE | 8 << 24,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA + 0xA8)
    guest.pc = RAM
    guest.set_x(1, DATA + 0x100)
    assert not isinstance(guest.run(), ExitDebug)


@pytest.mark.parametrize("control", [ENABLE, USE_SW_BP])
def test_brk_ec_0x3c_with_enable_alone_and_with_use_sw_bp(control: int) -> None:
    """Both: exit 4, hsr 0xf2000123, pc = the BRK; no far."""
    guest = Guest(asm.NOP, asm.brk(0x123))
    guest.debug(control)
    assert guest.run() == ExitDebug(0xF2000123, 0, None)
    assert guest.pc == RAM + 4


def test_bkpt32_ec_0x38_by_injection() -> None:
    """Without AArch32 nothing executes BKPT, so its syndrome is injected."""
    guest = Guest(asm.NOP)
    guest.debug(ENABLE)
    from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS

    assert EXIT_HANDLERS[0x38](guest.vcpu, 0xE2000045) == ExitDebug(0xE2000045, 0, None)


def test_hsr_high_is_esr_61_32() -> None:
    """By injection: this processor never sets those bits."""
    guest = Guest(asm.NOP)
    from guestdbg.kvm.soft.exits.handle_exit import EXIT_HANDLERS

    esr = 0x1F << 32 | 0xC2000022
    assert EXIT_HANDLERS[0x30](guest.vcpu, esr) == ExitDebug(0xC2000022, 0x1F, None)


def test_run_flags_say_that_hsr_high_is_valid() -> None:
    """kvm_run.flags at these exits is 1."""
    guest = Guest(asm.NOP)
    guest.debug(STEP)
    assert guest.run().flags == KVM_DEBUG_ARCH_HSR_HIGH_VALID == 1


def test_far_is_for_watchpoints_only() -> None:
    """After a watchpoint the register still holds its address; other exits do not show it."""
    guest = Guest(asm.str_(0, 1), asm.brk(1))
    guest.set_x(1, DATA)
    guest.debug(USE_HW, dbg_wcr=(WATCH_BOTH,), dbg_wvr=(DATA,))
    assert guest.run() == ExitDebug(0xD2000062, 0, DATA)
    guest.debug(ENABLE)
    assert guest.run() == ExitDebug(0xF2000001, 0, None)


def test_external_set_never_shows_in_the_guests_registers(linux: str) -> None:
    """Guest's DBGBVR0 and MDSCR_EL1 through one-reg while the host debugs: 0."""
    guest = Guest(asm.NOP, asm.NOP)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,), dbg_wcr=(1,), dbg_wvr=(8,))
    assert isinstance(guest.run(), ExitDebug)
    for name in ("DBGBVR0_EL1", "DBGBCR0_EL1", "DBGWVR0_EL1", "DBGWCR0_EL1", "MDSCR_EL1"):
        assert guest.reg(name) == 0
    hardware = MDSCR_MDE if linux == "6.1" else MDSCR_MDE | MDSCR_KDE
    assert guest.vcpu.debug_state.hardware_mdscr_el1 == hardware


def test_step_off_a_watchpoint_and_hit_it_again() -> None:
    """As a debugger does it: disarm, step, arm."""
    guest = Guest(asm.str_(0, 1), asm.add(0, 0, 1), asm.b(-8))
    guest.set_x(1, DATA)
    for n in range(5):
        guest.debug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(DATA,))
        assert guest.run() == ExitDebug(0xD2000062, 0, DATA)
        assert guest.pc == RAM
        guest.debug(STEP)
        assert guest.run() == ExitDebug(0xCB000022, 0, None)
        assert guest.u64(DATA) == n


def test_breakpoint_and_step_at_el0() -> None:
    """From EL0 the same classes: EL2 is above both."""
    guest = Guest(asm.NOP, asm.NOP, asm.NOP)
    guest.pstate = 0
    guest.debug(STEP)
    assert guest.run() == ExitDebug(0xCB000022, 0, None)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    assert guest.run() == ExitDebug(0xC2000022, 0, None)
    assert guest.pc == RAM + 8


def test_pstate_d_does_not_mask_what_goes_to_el2() -> None:
    """Every guest starts with PSTATE.D set. If it masked these, a debugger would see nothing."""
    guest = Guest(asm.NOP, asm.NOP)
    assert guest.pstate == EL1H_MASKED
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,))
    assert isinstance(guest.run(), ExitDebug)


def test_exits_stay_valid_after_the_next_run() -> None:
    guest = Guest(asm.NOP, asm.str_(0, 1), asm.str_(0, 2))
    guest.set_x(1, DATA)
    guest.set_x(2, DATA + 8)
    guest.debug(
        USE_HW,
        dbg_wcr=(WATCH_STORE, WATCH_STORE),
        dbg_wvr=(DATA, DATA + 8),
    )
    first = guest.run()
    guest.pc += 4
    second = guest.run()
    assert (first, second) == (ExitDebug(0xD2000062, 0, DATA), ExitDebug(0xD2000062, 0, DATA + 8))
    with pytest.raises(AttributeError):
        first.hsr = 0  # type: ignore[misc, attr-defined]
