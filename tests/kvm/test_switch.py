"""The world switch: debug registers move only when dirty, as many as are implemented."""

from unittest import mock

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import DebugRegisters, ExitDebug
from guestdbg.kvm.soft import SoftVcpu
from guestdbg.kvm.table_filters import Tables

from .support import BREAK_ANY, ENABLE, MDSCR_KDE, MDSCR_MDE, RAM, STEP, USE_HW, Guest

EMPTY = DebugRegisters()

pytestmark = pytest.mark.usefixtures("linux")


class Counted:
    """The processor, with the movements of its debug registers counted."""

    def __init__(self, vcpu: SoftVcpu) -> None:
        self.loads = 0
        self.saves = 0
        cpu = vcpu.cpu
        outer = self

        class Proxy:
            def __getattr__(self, name: str) -> object:
                return getattr(cpu, name)

            def __setattr__(self, name: str, value: object) -> None:
                setattr(cpu, name, value)

            def load_debug(self, *sets: tuple[int, ...], **tables: tuple[Tables, ...]) -> None:
                outer.loads += 1
                cpu.load_debug(*sets, **tables)

            def save_debug(self) -> tuple[tuple[int, ...], ...]:
                outer.saves += 1
                return cpu.save_debug()

        vcpu.cpu = Proxy()  # type: ignore[assignment]


def test_nothing_moves_while_not_dirty() -> None:
    """A guest that does not use the registers, and a host that does not either: no movement."""
    guest = Guest(asm.NOP, asm.mrs(1, "OSLSR_EL1"), asm.b(0))
    moved = Counted(guest.vcpu)
    for _ in range(3):
        guest.run(100)
    guest.debug(STEP)
    guest.run()
    guest.debug(ENABLE)
    guest.run(100)
    assert (moved.loads, moved.saves) == (0, 0)


def test_external_set_goes_in_when_use_hw_and_only_when_it_changed() -> None:
    guest = Guest(*[asm.NOP] * 16)
    moved = Counted(guest.vcpu)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,))
    guest.run()
    assert moved.loads == 1
    guest.run()  # same set: it is there already
    assert (moved.loads, moved.saves) == (1, 0)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 8,))
    guest.run()
    assert moved.loads == 2


def test_dirty_is_cleared_after_every_switch() -> None:
    guest = Guest(asm.NOP, asm.msr("DBGBVR0_EL1", 31), *[asm.NOP] * 8, linux="6.1")
    seen = []
    real = guest.vm.linux
    guest.vm.linux = real._replace(
        leave=lambda vcpu: (seen.append(vcpu.dirty), real.leave(vcpu), seen.append(vcpu.dirty)),
    )
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 12,))
    guest.run()
    assert seen == [True, False] * 2
    assert not guest.vcpu.debug_state.dirty


@pytest.mark.parametrize("bit", [MDSCR_MDE, MDSCR_KDE])
def test_dirty_again_at_entry_by_the_guests_own_mde_or_kde(bit: int) -> None:
    guest = Guest(asm.b(0))
    guest.set_reg("MDSCR_EL1", bit)
    guest.set_reg("DBGBVR0_EL1", RAM + 0x100)
    assert guest.vcpu.debug_state.hardware == EMPTY
    guest.run(100)
    assert guest.vcpu.debug_state.hardware.bvr[0] == RAM + 0x100


@pytest.mark.parametrize("name", ["DBGBVR0_EL1", "DBGWVR3_EL1", "MDSCR_EL1"])
def test_dirty_again_by_a_trapped_write_and_then_the_guest_has_the_hardware(name: str) -> None:
    """The first write is emulated; the next ones are not trapped until the next exit."""
    guest = Guest(
        *asm.mov(2, 0x1000),
        asm.msr(name, 2),
        asm.msr("DBGBVR1_EL1", 2),
        asm.msr("DBGBVR2_EL1", 2),
        asm.mrs(3, "DBGBVR2_EL1"),
        asm.b(0),
    )
    traps = 0
    from guestdbg.kvm.soft.exits import sys_reg_traps

    real = sys_reg_traps.TRAPS

    class Counting(dict[int, object]):
        def get(self, key: int, default: object = None) -> object:
            nonlocal traps
            traps += 1
            return real.get(key, default)

    with mock.patch.object(sys_reg_traps, "TRAPS", Counting()):
        guest.run(100)
    assert traps == 1
    assert guest.x(3) == 0x1000
    assert guest.reg(name) == 0x1000
    assert guest.reg("DBGBVR2_EL1") == 0x1000


def test_what_the_guest_wrote_to_the_hardware_is_saved() -> None:
    """Every implemented register, and MDSCR_EL1 with them."""
    guest = Guest(
        *asm.mov(2, 0x123450),
        asm.msr("DBGBVR5_EL1", 2),  # trapped: dirty
        asm.msr("DBGBVR0_EL1", 2),
        asm.msr("DBGWVR3_EL1", 2),
        *asm.mov(3, 0x1E6),
        asm.msr("DBGBCR0_EL1", 3),
        *asm.mov(4, MDSCR_KDE),
        asm.msr("MDSCR_EL1", 4),
        asm.b(0),
    )
    guest.run(100)
    for name, value in (
        ("DBGBVR5_EL1", 0x123450),
        ("DBGBVR0_EL1", 0x123450),
        ("DBGWVR3_EL1", 0x123450),
        ("DBGBCR0_EL1", 0x1E6),
        ("MDSCR_EL1", MDSCR_KDE),
    ):
        assert guest.reg(name) == value


def test_only_as_many_registers_as_implemented_are_moved() -> None:
    """16 are kept of each kind; those above the implemented ones never reach the hardware."""
    guest = Guest(*[asm.NOP] * 8, breakpoints=3, watchpoints=2)
    everywhere = tuple(range(RAM + 4, RAM + 4 + 64, 4))
    guest.debug(USE_HW, dbg_bcr=(0,) * 3 + (BREAK_ANY,) * 13, dbg_bvr=everywhere)
    assert not isinstance(guest.run(4), ExitDebug)
    state = guest.vcpu.debug_state
    assert state.external.bvr == everywhere
    assert state.hardware.bvr == everywhere[:3] + (0,) * 13
    # One-reg access reaches all sixteen of the guest's, and a run does not lose them.
    guest.debug(0)
    guest.set_reg("DBGBVR15_EL1", 0xABC0)
    guest.set_reg("MDSCR_EL1", MDSCR_MDE)
    guest.run(2)
    assert guest.reg("DBGBVR15_EL1") == 0xABC0


def test_hosts_own_registers_are_back_when_nobody_debugs() -> None:
    guest = Guest(*[asm.NOP] * 8, asm.b(0))
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,))
    guest.run()
    guest.debug(0)
    guest.run(100)
    assert guest.vcpu.debug_state.hardware == EMPTY


def test_guests_set_and_external_set_never_mix() -> None:
    """There are two structures, of which only the guest's is migrated."""
    guest = Guest(*[asm.NOP] * 8)
    guest.set_reg("DBGBVR0_EL1", 0x1110)
    guest.set_reg("DBGWCR2_EL1", 0x1E0)
    guest.debug(USE_HW, dbg_bcr=(BREAK_ANY,), dbg_bvr=(RAM + 4,), dbg_wcr=(1, 2, 3))
    assert isinstance(guest.run(), ExitDebug)
    state = guest.vcpu.debug_state
    assert state.guest.bvr[0] == 0x1110
    assert state.guest.wcr == (0, 0, 0x1E0) + (0,) * 13
    assert state.external.bvr[0] == RAM + 4
    assert state.external.wcr == (1, 2, 3) + (0,) * 13
