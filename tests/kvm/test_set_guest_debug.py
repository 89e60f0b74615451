"""KVM_SET_GUEST_DEBUG: control flags, and the external set."""

import errno

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guestdbg.kvm import DebugRegisters, GuestDebug, KvmError
from guestdbg.kvm.constants import KVM_GUESTDBG_VALID_MASK

from .support import BREAK_ANY, ENABLE, RAM, STEP, USE_HW, USE_SW_BP, WATCH_STORE, Guest

pytestmark = pytest.mark.usefixtures("linux")

UNKNOWN = [1 << bit for bit in range(32) if not KVM_GUESTDBG_VALID_MASK >> bit & 1]


@pytest.mark.parametrize("bit", UNKNOWN, ids=hex)
def test_unknown_control_flag_is_einval_with_nothing_changed(bit: int) -> None:
    """As on a real kernel: ENABLE | 4 -> EINVAL (22). Nothing of the call takes effect."""
    guest = Guest()
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    before = guest.vcpu.debug_state
    for control in (ENABLE | bit, bit, USE_HW | bit):
        with pytest.raises(KvmError) as refused:
            guest.debug(control, dbg_wcr=(WATCH_STORE,), dbg_wvr=(RAM,))
        assert refused.value.errno == errno.EINVAL == 22
        assert refused.value.call == "KVM_SET_GUEST_DEBUG"
        assert "0x30003" in str(refused.value)
    assert guest.vcpu.debug_state == before


@pytest.mark.parametrize("control", [ENABLE, STEP, USE_SW_BP, USE_HW, KVM_GUESTDBG_VALID_MASK])
def test_every_known_flag_is_accepted(control: int) -> None:
    guest = Guest()
    guest.debug(control)
    assert guest.vcpu.debug_state.guest_debug == control


def test_without_enable_all_debugging_is_off() -> None:
    """Without ENABLE the other flags mean nothing: all off; the external set stays as it was."""
    guest = Guest()
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM,))
    external = guest.vcpu.debug_state.external
    guest.debug(KVM_GUESTDBG_VALID_MASK & ~ENABLE, dbg_bcr=(1, 2, 3))
    assert guest.vcpu.debug_state.guest_debug == 0
    assert guest.vcpu.debug_state.external == external


def test_use_hw_makes_the_registers_given_the_external_set() -> None:
    guest = Guest()
    guest.debug(USE_HW, dbg_bcr=(1, 2), dbg_bvr=(8, 12), dbg_wcr=(3,), dbg_wvr=(16,))
    zeros = (0,) * 16
    assert guest.vcpu.debug_state.external == DebugRegisters(
        (1, 2, *zeros[2:]), (8, 12, *zeros[2:]), (3, *zeros[1:]), (16, *zeros[1:])
    )


def test_external_set_is_kept_when_use_hw_is_absent() -> None:
    """With USE_HW the external set is replaced; without it, what was there stays."""
    guest = Guest()
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM,))
    external = guest.vcpu.debug_state.external
    for control in (ENABLE, STEP, USE_SW_BP):
        guest.debug(control, dbg_bcr=(7,), dbg_bvr=(7,), dbg_wcr=(7,), dbg_wvr=(7,))
        assert guest.vcpu.debug_state.external == external


words = st.lists(st.integers(0, (1 << 64) - 1), max_size=16).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words, words, words, words)
def test_use_hw_takes_all_sixteen_of_each(
    bcr: tuple[int, ...], bvr: tuple[int, ...], wcr: tuple[int, ...], wvr: tuple[int, ...]
) -> None:
    """The structure always has 16 of each, however many are implemented; short ones are padded."""
    debug = GuestDebug(USE_HW, bcr, bvr, wcr, wvr)
    for given_, held in ((bcr, debug.dbg_bcr), (wvr, debug.dbg_wvr)):
        assert len(held) == 16
        assert held[: len(given_)] == given_
        assert not any(held[len(given_) :])
    guest = Guest()
    guest.vcpu.set_guest_debug(debug)
    assert guest.vcpu.debug_state.external == DebugRegisters(
        debug.dbg_bcr, debug.dbg_bvr, debug.dbg_wcr, debug.dbg_wvr
    )


def test_registers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(KvmError, match="17 registers"):
        GuestDebug(USE_HW, dbg_bcr=(0,) * 17)
    with pytest.raises(KvmError, match="64 bits"):
        GuestDebug(USE_HW, dbg_wvr=(1 << 64,))
    with pytest.raises(KvmError, match="32 bits"):
        GuestDebug(1 << 32)


def test_its_text_names_flags_and_registers() -> None:
    debug = GuestDebug(USE_HW, dbg_wcr=(WATCH_STORE,), dbg_wvr=(0x1234,))
    assert "USE_HW" in str(debug)
    assert "0x1234" in str(debug)
    guest = Guest()
    guest.vcpu.set_guest_debug(debug)
    guest.run(1)
    text = str(guest.vcpu.debug_state)
    assert "host" in text
    assert "w0 0x1234" in text
