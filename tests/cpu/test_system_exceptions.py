"""SVC, HVC, SMC, BRK, HLT, DCPS, ERET, DRPS: target EL, syndrome and return address."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from .system_support import (
    B_SELF,
    CODE,
    EL0T,
    EL1H,
    EL1T,
    ERET,
    IL,
    UNDEFINED,
    VECTORS,
    One,
    Outcome,
)

RW = 1 << 31
TSC = 1 << 19
HCD = 1 << 29
DRPS = 0xD6BF03E0

IMM16 = st.integers(0, 0xFFFF)
PSTATE = st.sampled_from([EL0T, EL1T, EL1H])


def svc(imm: int) -> int:
    return 0xD4000001 | imm << 5


def hvc(imm: int) -> int:
    return 0xD4000002 | imm << 5


def smc(imm: int) -> int:
    return 0xD4000003 | imm << 5


def brk(imm: int) -> int:
    return 0xD4200000 | imm << 5


one = One()


def fresh(pstate: int, *, hcr: int = 0, mdcr: int = 0) -> One:
    one.p.reset()
    one.set("VBAR_EL1", VECTORS)
    one.p.hcr_el2 = RW | hcr
    one.p.mdcr_el2 = mdcr
    one.p.pstate = pstate
    return one


@settings(deadline=None)
@given(IMM16, PSTATE)
def test_svc(imm: int, pstate: int) -> None:
    """To EL1; the preferred return address is the instruction after it."""
    o = fresh(pstate | 0xA000_0000)
    o.store32(CODE, [svc(imm)])
    o.memory.code_changed(CODE, 4)
    o.p.pc = CODE
    before = o.p.instructions
    o.p.run(before + 1)
    assert o.p.instructions == before + 1  # SVC has retired
    assert o.p.pc == VECTORS + {EL0T: 0x400, EL1T: 0, EL1H: 0x200}[pstate]
    assert o.get("ESR_EL1") == 0x15 << 26 | IL | imm
    assert o.get("ELR_EL1") == CODE + 4
    assert o.get("SPSR_EL1") == pstate | 0xA000_0000
    assert o.p.pstate == 0xA000_0000 | EL1H


@settings(deadline=None)
@given(IMM16, PSTATE, st.booleans())
def test_hvc(imm: int, pstate: int, disabled: bool) -> None:
    """To EL2 from EL1, with the PC after it; UNDEFINED at EL0 and where HCR_EL2.HCD is set."""
    o = fresh(pstate, hcr=HCD if disabled else 0)
    got = o.execute(hvc(imm))
    if disabled or pstate == EL0T:
        assert got == UNDEFINED
        assert o.get("ELR_EL1") == CODE
    else:
        assert got == Outcome("el2", 0x16 << 26 | IL | imm)
        assert o.p.pc == CODE + 4
        assert o.p.pstate == pstate


@settings(deadline=None)
@given(IMM16, PSTATE, st.booleans())
def test_smc(imm: int, pstate: int, trapped: bool) -> None:
    """Without EL3 UNDEFINED, unless HCR_EL2.TSC traps it at EL1: with the PC at it."""
    o = fresh(pstate, hcr=TSC if trapped else 0)
    got = o.execute(smc(imm))
    if trapped and pstate != EL0T:
        assert got == Outcome("el2", 0x17 << 26 | IL | imm)
        assert o.p.pc == CODE
    else:
        assert got == UNDEFINED


@settings(deadline=None)
@given(IMM16, PSTATE, st.booleans(), st.booleans())
def test_brk(imm: int, pstate: int, tde: bool, locked: bool) -> None:
    """Never masked, not even by PSTATE.D or the OS Lock; the PC is at it."""
    o = fresh(pstate, mdcr=1 << 8 if tde else 0)
    o.set("OSLSR_EL1", locked << 1)
    got = o.execute(brk(imm))
    assert got == Outcome("el2" if tde else "el1", 0x3C << 26 | IL | imm)
    assert (o.p.pc if tde else o.get("ELR_EL1")) == CODE


@settings(deadline=None)
@given(st.sampled_from([0xD4400000, 0xD4A00001, 0xD4A00002, 0xD4A00003]), IMM16, PSTATE)
def test_halting_debug_instructions_are_undefined(word: int, imm: int, pstate: int) -> None:
    """HLT where halting is not allowed, DCPS outside Debug state: allocated, so no gap."""
    o = fresh(pstate)
    o.p.undefined()
    assert o.execute(word | imm << 5) == UNDEFINED
    assert o.p.undefined() == {}


@pytest.mark.parametrize("pstate", [EL0T, EL1H])
def test_drps_is_undefined(pstate: int) -> None:
    assert fresh(pstate).execute(DRPS) == UNDEFINED


def test_eret_is_undefined_at_el0() -> None:
    assert fresh(EL0T).execute(ERET) == UNDEFINED


@pytest.mark.parametrize("to", [EL0T, EL1T, EL1H])
def test_eret(to: int) -> None:
    o = fresh(EL1H)
    o.store32(CODE, [ERET])
    o.store32(CODE + 0x100, [B_SELF])
    o.memory.code_changed(CODE, 0x200)
    o.set("ELR_EL1", CODE + 0x100)
    o.set("SPSR_EL1", 0x6000_0000 | to)
    o.p.sp_el0, o.p.sp_el1 = 0x1000, 0x2000
    o.p.pc = CODE
    o.p.run(o.p.instructions + 1)
    assert o.p.pc == CODE + 0x100
    assert o.p.pstate == 0x6000_0000 | to
    assert (o.p.sp_el0, o.p.sp_el1) == (0x1000, 0x2000)


@pytest.mark.parametrize("to", [EL0T, EL1T, EL1H])
@pytest.mark.parametrize("high", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
def test_eret_to_a_tagged_address(to: int, high: bool, ignored: bool) -> None:
    """Where translation ignores the tag (TBI0, TBI1) it does not get into the PC; else it does."""
    o = fresh(EL1H)
    o.set("TCR_EL1", (1 << (38 if high else 37)) if ignored else 0)
    o.store32(CODE, [ERET])
    o.memory.code_changed(CODE, 4)
    plain = CODE | (0xFF80 << 48 if high else 0)
    tagged = plain ^ 0x5A << 56
    o.set("ELR_EL1", tagged)
    o.set("SPSR_EL1", to)
    o.p.pc = CODE
    o.p.run(o.p.instructions + 1)
    assert o.p.pc == (plain if ignored else tagged)


def test_eret_clears_the_exclusive_monitor() -> None:
    """An exception between a load-exclusive and its store fails this by its return, not before."""
    o = fresh(EL1H)
    ldxr, stxr = 0xC85F7C22, 0xC8037C24  # ldxr x2, [x1]; stxr w3, x4, [x1]
    o.store32(VECTORS + 0x200, [stxr, B_SELF])
    for words, status in (([ldxr, svc(0)], 0), ([ldxr, ERET], 1)):
        o.store32(CODE, words)
        o.memory.code_changed(CODE, SIZE_OF_CODE)
        o.set("ELR_EL1", VECTORS + 0x200)
        o.set("SPSR_EL1", EL1H)
        o.p.set_x(1, CODE + 0x800)
        o.p.set_x(3, 7)
        o.p.pc = CODE
        o.p.run(o.p.instructions + 3)
        assert o.p.get_x(3) == status


@pytest.mark.parametrize("mode", [EL0T, EL1T, EL1H])
def test_an_exception_leaves_the_illegal_state(mode: int) -> None:
    """PSTATE.IL goes to SPSR_EL1, and the handler executes."""
    o = fresh(EL1H)
    o.store32(CODE, [ERET])
    o.memory.code_changed(CODE, 4)
    for offset in (0, 0x200, 0x400):
        o.store32(VECTORS + offset, [0x91000400, B_SELF])  # add x0, x0, #1
    o.memory.code_changed(VECTORS, 0x800)
    o.set("ELR_EL1", CODE + 0x100)
    o.set("SPSR_EL1", mode | 1 << 20)
    o.p.pc = CODE
    o.p.set_x(0, 0)
    o.p.run(o.p.instructions + 3)
    assert o.get("ESR_EL1") == 0x0E << 26 | IL
    assert o.get("SPSR_EL1") == mode | 1 << 20
    assert o.get("ELR_EL1") == CODE + 0x100
    assert o.p.get_x(0) == 1
    assert o.p.pstate == EL1H


@pytest.mark.parametrize("pstate", [0, 4, 5])
def test_a_fast_interrupt_comes_first(pstate: int) -> None:
    """Which of two interrupts comes first is IMPLEMENTATION DEFINED."""
    o = fresh(pstate)
    o.p.irq = o.p.fiq = True
    o.store32(VECTORS, [B_SELF] * 0x200)
    o.memory.code_changed(VECTORS, 0x800)
    o.p.pc = CODE
    o.p.run(o.p.instructions + 1)
    o.p.irq = o.p.fiq = False
    assert o.p.pc == VECTORS + {0: 0x400, 4: 0, 5: 0x200}[pstate] + 0x100


@pytest.mark.parametrize(
    "word",
    [
        0xD4000000,  # opc 0, LL 0
        0xD4200001,  # BRK with LL
        0xD4400001,
        0xD4A00000,  # DCPS with LL 0
        0xD4E00000,
        0xD69F03E1,  # ERET with op4
    ],
)
def test_unallocated_neighbours_are_undefined_and_told_of(word: int) -> None:
    o = fresh(EL1H)
    o.p.undefined()
    assert o.execute(word) == UNDEFINED
    assert word in o.p.undefined()


def test_a_trapped_instruction_has_not_retired() -> None:
    o = fresh(EL1H, hcr=TSC)
    before = o.p.instructions
    o.execute(smc(0))
    assert o.p.instructions == before


def test_an_svc_loop_counts_every_instruction() -> None:
    """A kernel that returns from each call: the count is the guest's, to the instruction."""
    o = fresh(EL0T)
    o.store32(CODE, [svc(1), 0x91000400, 0x17FFFFFE])  # svc; add x0, x0, #1; b .-8
    o.store32(VECTORS + 0x400, [0x91000421, ERET])  # add x1, x1, #1; eret
    o.memory.code_changed(CODE, SIZE_OF_CODE)
    o.p.pc = CODE
    start = o.p.instructions
    o.p.run(start + 5 * 100)
    assert (o.p.get_x(0), o.p.get_x(1)) == (100, 100)
    assert o.p.pc == CODE


SIZE_OF_CODE = 0x9000


@pytest.mark.parametrize("masked", [False, True])
def test_a_virtual_serror_waits_for_its_mask_and_is_then_gone(masked: bool) -> None:
    o = fresh(0x105 if masked else 5, hcr=1 << 8 | 1 << 5)  # VSE, AMO
    o.store32(CODE, [B_SELF])
    o.store32(VECTORS, [B_SELF] * 0x200)
    o.memory.code_changed(CODE, SIZE_OF_CODE)
    o.p.pc = CODE
    o.p.run(o.p.instructions + 1)
    assert o.p.pc == (CODE if masked else VECTORS + 0x380)
    assert o.p.hcr_el2 & 1 << 8 == masked << 8


@pytest.mark.parametrize("fiq", [False, True])
def test_an_interrupt_has_no_syndrome(fiq: bool) -> None:
    o = fresh(5)
    o.set("ESR_EL1", 0x1234)
    o.set("FAR_EL1", 0x5678)
    o.p.irq, o.p.fiq = not fiq, fiq
    o.store32(VECTORS, [B_SELF] * 0x200)
    o.memory.code_changed(VECTORS, 0x800)
    o.p.pc = CODE
    o.p.run(o.p.instructions + 1)
    o.p.irq = o.p.fiq = False
    assert o.p.pc == VECTORS + (0x300 if fiq else 0x280)
    assert (o.get("ESR_EL1"), o.get("FAR_EL1")) == (0x1234, 0x5678)
