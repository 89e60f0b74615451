"""Bits of the guest's debug registers that the hardware does not implement.

Linux keeps what is written, by one-reg or a trapped access, as it is. The bits are gone as soon as
the registers have been in the hardware, and that is when the guest uses them: after an access of
its own, or with MDSCR_EL1.MDE or KDE set. The upper half of MDSCR_EL1 is kept there.
"""

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitMmio

from .support import ENABLE, MDSCR_KDE, MDSCR_MDE, NOWHERE, STEP, USE_HW, Guest

pytestmark = pytest.mark.usefixtures("linux")

ALL = (1 << 64) - 1
#: What the hardware keeps (DDI 0487, D24.3): the value of the register, all bits written.
KEPT = {
    "DBGBCR1_EL1": 0x00FFE1E6,
    "DBGBVR1_EL1": ALL,
    "DBGWCR1_EL1": 0x1F1FFFFE,
    "DBGWVR1_EL1": ALL & ~3,
    "MDSCR_EL1": 0xFFFF_FFFF_0000_3001,
}
#: All bits, but for those that would make something match: E, and MDSCR_EL1.MDE.
WRITTEN = {name: ALL & ~1 if "CR1" in name else ALL for name in KEPT} | {
    "MDSCR_EL1": ALL & ~MDSCR_MDE
}


@pytest.mark.parametrize("name", KEPT)
def test_one_reg_keeps_what_is_written(name: str) -> None:
    guest = Guest()
    guest.set_reg(name, WRITTEN[name])
    assert guest.reg(name) == WRITTEN[name]


def end() -> list[int]:
    return [*asm.mov(28, NOWHERE), asm.str_(28, 28)]


@pytest.mark.parametrize("control", [0, ENABLE, STEP])
@pytest.mark.parametrize("name", [name for name in KEPT if name != "MDSCR_EL1"])
def test_lost_once_the_registers_were_in_the_hardware(name: str, control: int, linux: str) -> None:
    """The guest's own MDE loads its registers; since Linux 6.14 not while the host debugs."""
    guest = Guest(asm.NOP, *end())
    guest.set_reg(name, WRITTEN[name])
    guest.debug(control)
    guest.run()
    assert guest.reg(name) == WRITTEN[name], "nothing uses the registers"
    guest.set_reg("MDSCR_EL1", MDSCR_MDE)
    guest.debug(control)
    guest.run()
    loaded = linux == "6.1" or not control
    assert guest.reg(name) == (KEPT if loaded else WRITTEN)[name]


#: Linux 6.1 to 6.13 preserve the guest's MDSCR_EL1 in 32 bits while the host debugs, or the guest's
#: OS Lock is locked.
PRESERVED = {
    "6.1": WRITTEN | {"MDSCR_EL1": WRITTEN["MDSCR_EL1"] & 0xFFFF_FFFF},
    "6.14": WRITTEN,
}


@pytest.mark.parametrize("name", KEPT)
def test_kept_while_the_host_has_the_hardware(name: str, linux: str) -> None:
    guest = Guest(asm.NOP, asm.mrs(3, name), *end())
    guest.set_reg("MDSCR_EL1", MDSCR_MDE)
    guest.set_reg(name, WRITTEN[name])
    guest.debug(USE_HW)
    assert isinstance(guest.run(), ExitMmio)
    assert guest.reg(name) == guest.x(3) == PRESERVED[linux][name]


@pytest.mark.parametrize("name", [name for name in KEPT if name != "MDSCR_EL1"])
def test_a_trapped_write_brings_the_whole_set_into_the_hardware(name: str) -> None:
    """The first access after an entry is trapped and stores all; the next goes to the hardware."""
    guest = Guest(asm.mrs(2, name), asm.msr("DBGBVR5_EL1", 31), asm.mrs(3, name), *end())
    guest.set_reg(name, WRITTEN[name])
    guest.run()
    assert guest.x(2) == WRITTEN[name]
    assert guest.x(3) == guest.reg(name) == KEPT[name]


@pytest.mark.parametrize("debugged", [False, True])
def test_mdscr_goes_through_the_hardware_unless_the_host_debugs(debugged: bool, linux: str) -> None:
    """A host that debugs runs the guest with a value made from its own, and gives that back."""
    guest = Guest(asm.msr("MDSCR_EL1", 2), asm.mrs(3, "MDSCR_EL1"), *end())
    guest.set_x(2, WRITTEN["MDSCR_EL1"])
    guest.debug(ENABLE if debugged else 0)
    assert isinstance(guest.run(), ExitMmio)
    expected = PRESERVED[linux] if debugged else KEPT
    assert guest.reg("MDSCR_EL1") == guest.x(3) == expected["MDSCR_EL1"]


def test_mdscr_of_a_guest_that_runs() -> None:
    guest = Guest(asm.NOP, *end())
    guest.set_reg("MDSCR_EL1", WRITTEN["MDSCR_EL1"])
    guest.run()
    assert guest.reg("MDSCR_EL1") == KEPT["MDSCR_EL1"]


def test_mdscr_with_the_os_lock_locked(linux: str) -> None:
    """The guest's lock is emulated: the value is given back as with a host that debugs."""
    guest = Guest(asm.msr("OSLAR_EL1", 1), asm.msr("MDSCR_EL1", 2), asm.mrs(3, "MDSCR_EL1"), *end())
    guest.set_x(1, 1)
    guest.set_x(2, WRITTEN["MDSCR_EL1"])
    guest.run()
    assert guest.x(3) == guest.reg("MDSCR_EL1") == PRESERVED[linux]["MDSCR_EL1"]


def test_registers_that_are_not_implemented_stay_as_they_are() -> None:
    guest = Guest(asm.NOP, *end())
    for name in ("DBGBCR15_EL1", "DBGWVR15_EL1"):
        guest.set_reg(name, ALL)
    guest.set_reg("MDSCR_EL1", MDSCR_MDE | MDSCR_KDE)
    guest.run()
    assert guest.reg("DBGBCR15_EL1") == guest.reg("DBGWVR15_EL1") == ALL


def test_mdccint_moves_with_the_registers() -> None:
    guest = Guest(asm.NOP, *end())
    guest.set_reg("MDCCINT_EL1", 0xFFFF_FFFF)
    guest.run()
    assert guest.reg("MDCCINT_EL1") == 0xFFFF_FFFF
    guest.debug(USE_HW)
    guest.run()
    assert guest.reg("MDCCINT_EL1") == 3 << 29
