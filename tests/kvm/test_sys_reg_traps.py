"""Trapped accesses to system registers, emulated on the guest's own set."""

import logging
from unittest import mock

import pytest

from guestdbg.check import assembler as asm
from guestdbg.kvm import ExitMmio

from .support import DATA, ENABLE, NOWHERE, RAM, STEP, USE_HW, VECTORS, Guest

pytestmark = pytest.mark.usefixtures("linux")

STORED = ["MDSCR_EL1", "MDCCINT_EL1"] + [
    f"DBG{kind}{n}_EL1"
    for kind, count in (("BVR", 6), ("BCR", 6), ("WVR", 4), ("WCR", 4))
    for n in range(count)
]
RAZ_WI = ["MDRAR_EL1", "OSDLR_EL1", "DBGPRCR_EL1", "DBGCLAIMSET_EL1", "DBGCLAIMCLR_EL1"]


def run_guest(*code: int, control: int = 0) -> Guest:
    """Run these words to the end, which is a store to nowhere."""
    guest = Guest(*code, *asm.mov(28, NOWHERE), asm.str_(28, 28))
    guest.debug(control)
    exit_ = guest.run()
    assert isinstance(exit_, ExitMmio), exit_
    return guest


@pytest.mark.parametrize("control", [0, USE_HW], ids=["not debugged", "the host debugs"])
@pytest.mark.parametrize("name", STORED)
def test_register_is_emulated_on_the_guests_set(name: str, control: int) -> None:
    """Written and read back by the guest; one-reg access sees the same."""
    value = {"MDSCR_EL1": 1 << 13, "MDCCINT_EL1": 1 << 30}.get(name, 0x1E0)
    guest = run_guest(*asm.mov(2, value), asm.msr(name, 2), asm.mrs(3, name), control=control)
    assert guest.x(3) == value
    assert guest.reg(name) == value
    if control:
        assert value not in guest.vcpu.debug_state.hardware.bvr, "not in the hardware"


@pytest.mark.parametrize("name", RAZ_WI)
def test_register_reads_as_zero_and_ignores_writes(name: str) -> None:
    code = [] if name == "MDRAR_EL1" else [asm.msr(name, 2)]
    guest = run_guest(*asm.mov(2, 1), *code, *asm.mov(3, 99), asm.mrs(3, name))
    assert guest.x(3) == 0


def test_mdccsr_el0_reads_as_zero() -> None:
    guest = run_guest(*asm.mov(3, 99), asm.mrs(3, "MDCCSR_EL0"))
    assert guest.x(3) == 0


def test_oslar_locks_and_oslsr_reports_it() -> None:
    guest = run_guest(
        asm.mrs(2, "OSLSR_EL1"),
        *asm.mov(3, 1),
        asm.msr("OSLAR_EL1", 3),
        asm.mrs(4, "OSLSR_EL1"),
        asm.msr("OSLAR_EL1", 31),
        asm.mrs(5, "OSLSR_EL1"),
    )
    assert (guest.x(2), guest.x(4), guest.x(5)) == (0x8, 0xA, 0x8)


def test_write_from_xzr_and_read_to_xzr() -> None:
    guest = run_guest(*asm.mov(2, 0x1E0), asm.msr("DBGBCR0_EL1", 2), asm.msr("DBGBCR0_EL1", 31))
    assert guest.reg("DBGBCR0_EL1") == 0
    run_guest(asm.mrs(31, "OSLSR_EL1"))


def test_trapped_while_stepped() -> None:
    """Each step sees exactly one of them done."""
    guest = Guest(asm.mrs(2, "OSLSR_EL1"), *asm.mov(3, 1), asm.msr("OSLAR_EL1", 3), asm.NOP)
    guest.debug(STEP)
    states = []
    for _ in range(3):
        guest.run()
        states.append((guest.pc - RAM, guest.x(2), guest.vcpu.debug_state.os_lock))
    assert states == [(4, 8, False), (8, 8, False), (12, 8, True)]


@pytest.mark.parametrize(
    "word",
    [asm.mrs(2, "PMCR_EL0"), asm.msr("PMCNTENSET_EL0", 2), 0xD53BF002],
    ids=["PMCR_EL0", "PMCNTENSET_EL0", "IMPLEMENTATION DEFINED"],
)
def test_unknown_system_register_is_undefined_and_logged_once(
    word: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The guest takes an UNDEFINED exception each time; the log has the register once."""
    guest = Guest(word, asm.b(-4))
    guest.place(VECTORS + 0x200, *asm.mov(28, NOWHERE), asm.str_(28, 28), asm.ERET)
    guest.set_reg("VBAR_EL1", VECTORS)
    with caplog.at_level(logging.WARNING, "guestdbg.kvm"):
        for _ in range(3):
            assert isinstance(guest.run(), ExitMmio)
            assert guest.reg("ESR_EL1") == 0x02000000
    named = [record for record in caplog.records if "UNDEFINED" in record.message]
    assert len(named) == 1
    assert f"{RAM:#x}" in named[0].message


def test_undefined_encodings_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """An instruction that the processor does not implement is logged with its encoding."""
    guest = Guest(0x00010000)
    guest.place(VECTORS + 0x200, *asm.mov(28, NOWHERE), asm.str_(28, 28), asm.ERET)
    guest.set_reg("VBAR_EL1", VECTORS)
    with caplog.at_level(logging.WARNING, "guestdbg.kvm"):
        for _ in range(3):
            assert isinstance(guest.run(), ExitMmio)
    named = [r.message for r in caplog.records if "0x00010000" in r.message]
    assert len(named) == 1
    assert f"{RAM:#x}" in named[0]


def test_udf_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """UDF is UNDEFINED by definition: nothing is missing."""
    guest = Guest(0x0000_1234)
    guest.place(VECTORS + 0x200, *asm.mov(28, NOWHERE), asm.str_(28, 28), asm.ERET)
    guest.set_reg("VBAR_EL1", VECTORS)
    with caplog.at_level(logging.WARNING, "guestdbg.kvm"):
        assert isinstance(guest.run(), ExitMmio)
    assert not caplog.records


def test_el0_may_not_touch_what_el1_may() -> None:
    """UNDEFINED from EL0 comes before the trap: nothing is emulated."""
    guest = Guest(*asm.mov(2, DATA), asm.msr("DBGBVR0_EL1", 2), asm.b(0))
    guest.place(VECTORS + 0x400, asm.b(0))
    guest.set_reg("VBAR_EL1", VECTORS)
    guest.pstate = 0
    guest.run(100)
    assert guest.pc == VECTORS + 0x400
    assert guest.reg("DBGBVR0_EL1") == 0


def test_tde_makes_tda_behave_as_set() -> None:
    """With ENABLE alone and the guest's own set in the hardware, TDA is clear, but TDE traps: what
    the guest writes is emulated, and reaches the hardware at the next entry."""
    guest = Guest(
        *asm.mov(2, 0x1000),
        asm.msr("DBGBVR0_EL1", 2),
        asm.msr("DBGBVR1_EL1", 2),
        asm.mrs(3, "DBGBVR1_EL1"),
        asm.b(0),
        linux="6.1",
    )
    traps = []
    from guestdbg.kvm.soft import vcpu

    real = vcpu.EXIT_HANDLERS[0x18]

    def counted(v: object, esr: int) -> object:
        traps.append(guest.vcpu.mdcr_el2)
        return real(v, esr)  # type: ignore[arg-type]

    handlers = list(vcpu.EXIT_HANDLERS)
    handlers[0x18] = counted  # type: ignore[assignment]
    guest.debug(ENABLE)
    with mock.patch.object(vcpu, "EXIT_HANDLERS", tuple(handlers)):
        guest.run(100)
    tda, tde = 1 << 9, 1 << 8
    assert [bool(mdcr & tda) for mdcr in traps] == [True, False, False]
    assert all(mdcr & tde for mdcr in traps)
    assert guest.x(3) == 0x1000
    assert guest.vcpu.debug_state.hardware.bvr[:2] == (0x1000, 0x1000)
