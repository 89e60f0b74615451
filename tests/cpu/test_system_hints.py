"""Hints (WFI, WFE and their traps, SEV), barriers, CLREX, and MSR (immediate)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_KICK, EXIT_LIMIT, EXIT_TIMER, Processor

from .system_support import (
    CODE,
    DATA,
    DONE,
    EL0T,
    EL1H,
    EL1T,
    ERET,
    IL,
    ISB,
    NOP,
    UNDEFINED,
    VECTORS,
    One,
    Outcome,
    hint,
    mrs,
    msr,
    msr_imm,
    syndrome,
)

YIELD, WFE, WFI, SEV, SEVL = (hint(n) for n in range(1, 6))
RW = 1 << 31
TWI, TWE = 1 << 13, 1 << 14
NTWI, NTWE = 1 << 16, 1 << 18
WFX = 0x01 << 26 | IL | 0x1E << 20
B_BACK = 0x17FFFFFF  # b .-4

one = One()


def fresh(pstate: int = EL1H, *, hcr: int = 0, sctlr: int = 0) -> One:
    one.p.irq = one.p.fiq = False
    one.p.reset()
    one.set("VBAR_EL1", VECTORS)
    one.set("SCTLR_EL1", sctlr)
    one.p.hcr_el2 = RW | hcr
    one.p.mdcr_el2 = 0
    one.p.pstate = pstate
    return one


@settings(deadline=None, max_examples=300)
@given(
    st.booleans(),
    st.sampled_from([EL0T, EL1H]),
    st.sets(st.sampled_from([TWI, TWE])),
    st.sets(st.sampled_from([NTWI, NTWE])),
    st.sampled_from(["none", "irq", "fiq", "virq", "vfiq", "vserror", "virq unrouted"]),
)
def test_wfi_and_wfe(
    event: bool, pstate: int, hcr: set[int], sctlr: set[int], pending: str
) -> None:
    """Trapped only where it would wait: EL1's control at EL0 first, then EL2's."""
    virtual = {
        "virq": 1 << 7 | 1 << 4,
        "vfiq": 1 << 6 | 1 << 3,
        "vserror": 1 << 8 | 1 << 5,
        "virq unrouted": 1 << 7,
    }.get(pending, 0)
    o = fresh(pstate, hcr=sum(hcr) | virtual, sctlr=sum(sctlr))
    o.p.irq, o.p.fiq = pending == "irq", pending == "fiq"
    # the Event Register is empty: a WFE before left it so
    hcr_now, o.p.hcr_el2 = o.p.hcr_el2, RW | 1 << 7 | 1 << 4
    assert o.execute(WFE) == DONE
    o.p.hcr_el2 = hcr_now
    got = o.execute(WFE if event else WFI)
    waits = pending in ("none", "virq unrouted")
    name = int(event)
    if waits and pstate == EL0T and (NTWE if event else NTWI) not in sctlr:
        assert got == Outcome("el1", WFX | name)
    elif waits and (TWE if event else TWI) in hcr:
        assert got == Outcome("el2", WFX | name)
        assert o.p.pc == CODE
    else:
        assert got == DONE


def test_wfi_that_nothing_will_end_is_left_by_limit_and_kick() -> None:
    o = fresh()
    assert o.run([WFI, B_BACK], limit=1000) == EXIT_LIMIT
    o.p.kick()
    assert o.run([WFI, B_BACK], limit=1000) == EXIT_KICK


@pytest.mark.parametrize("timer", ["V", "P"])
def test_wfi_warps_to_the_next_timer(timer: str) -> None:
    """An hour passes in an instruction; the timer's output ends the run."""
    o = fresh()
    now = o.p.counter
    o.set(f"CNT{timer}_CVAL_EL0", now + 3600 * 62_500_000)
    o.set(f"CNT{timer}_CTL_EL0", 1)
    assert o.run([WFI, B_BACK], limit=1000) == EXIT_TIMER
    assert now + 3600 * 62_500_000 <= o.p.counter <= now + 3600 * 62_500_000 + 2
    assert o.p.pc == CODE + 4
    assert (o.p.vtimer_output, o.p.ptimer_output) == (timer == "V", timer == "P")
    assert o.run([WFI, B_BACK], limit=1000) == EXIT_LIMIT  # met already: nothing to wait for
    o.set(f"CNT{timer}_CTL_EL0", 0)
    o.run([NOP])


def test_wfi_does_not_warp_to_a_masked_timer() -> None:
    o = fresh()
    now = o.p.counter
    o.set("CNTV_CVAL_EL0", now + 1_000_000)
    o.set("CNTV_CTL_EL0", 3)
    assert o.run([WFI, B_BACK], limit=160) == EXIT_LIMIT
    assert o.p.counter <= now + 11


def test_events() -> None:
    """SEV and SEVL let one WFE pass, on every processor or on this one; so does ERET."""
    o = fresh(hcr=TWE)
    other = Processor(o.memory)
    other.hcr_el2 = RW | TWE
    trapped = Outcome("el2", WFX | 1)
    assert o.execute(WFE) == trapped
    assert o.execute(SEVL) == DONE
    assert o.execute(WFE) == DONE
    assert o.execute(WFE) == trapped
    other.pc = CODE
    other.run(other.instructions + 1)
    assert other.esr_el2 == WFX | 1  # SEVL was not for it
    assert o.execute(SEV) == DONE
    assert o.execute(WFE) == DONE
    assert o.execute(WFE) == trapped
    other.esr_el2 = 0
    other.run(other.instructions + 1)
    assert (other.esr_el2, other.pc) == (0, CODE + 4)
    o.set("ELR_EL1", CODE + 4)
    o.set("SPSR_EL1", EL1H)
    assert o.execute(ERET) == DONE
    assert o.execute(WFE) == DONE
    assert o.execute(WFE) == trapped


@pytest.mark.parametrize("n", sorted(set(range(128)) - {2, 3}))
def test_all_other_hints_do_nothing(n: int) -> None:
    o = fresh()
    before = [o.p.get_x(r) for r in range(31)]
    assert o.execute(hint(n)) == DONE
    assert [o.p.get_x(r) for r in range(31)] == before
    assert o.p.pstate == EL1H


@pytest.mark.parametrize("crm", range(16))
@pytest.mark.parametrize("op2", [2, 4, 5, 6], ids=["CLREX", "DSB", "DMB", "ISB"])
@pytest.mark.parametrize("pstate", [EL0T, EL1H])
def test_barriers_at_any_el(pstate: int, op2: int, crm: int) -> None:
    assert fresh(pstate).execute(0xD503301F | crm << 8 | op2 << 5) == DONE


def test_clrex_takes_the_monitor() -> None:
    o = fresh()
    o.p.set_x(1, DATA)
    ldxr, stxr, clrex = 0xC85F7C22, 0xC8037C22, 0xD5033F5F
    o.run([ldxr, stxr, B_BACK + 1], limit=2)
    assert o.p.get_x(3) == 0
    o.run([ldxr, clrex, stxr, B_BACK + 1], limit=3)
    assert o.p.get_x(3) == 1


# ---- MSR (immediate) and the masks ------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["set", "clear", "write", "read"]),
    st.integers(0, 15),
    st.integers(0, 15),
    st.sampled_from([0, 4, 5]),
    st.booleans(),
)
def test_daif(what: str, old: int, imm: int, mode: int, uma: bool) -> None:
    o = fresh(old << 6 | mode, sctlr=1 << 9 if uma else 0)
    word = {
        "set": msr_imm(3, 6, imm),
        "clear": msr_imm(3, 7, imm),
        "write": msr("DAIF", 5),
        "read": mrs(5, "DAIF"),
    }[what]
    o.p.set_x(5, imm << 6 | 0xFFFF_0000_0000_0C3F)
    got = o.execute(word)
    if mode == 0 and not uma:
        # the same class as for the register: MSR (immediate) shows its own encoding
        assert got == Outcome("el1", syndrome(word))
        assert o.get("SPSR_EL1") == old << 6
        return
    assert got == DONE
    now = {"set": old | imm, "clear": old & ~imm, "write": imm, "read": old}[what]
    assert o.p.pstate == now << 6 | mode
    if what == "read":
        assert o.p.get_x(5) == old << 6


@pytest.mark.parametrize("imm", range(16))
def test_spsel(imm: int) -> None:
    o = fresh(EL1H)
    o.p.sp_el0, o.p.sp_el1 = 0x1000, 0x2000
    assert o.execute(msr_imm(0, 5, imm)) == DONE
    assert o.p.pstate == (EL1H if imm & 1 else EL1T)
    assert (o.p.sp_el0, o.p.sp_el1) == (0x1000, 0x2000)
    o.execute(0x910003E0)  # mov x0, sp
    assert o.p.get_x(0) == (0x2000 if imm & 1 else 0x1000)
    o.p.set_x(1, 1 - (imm & 1))
    assert o.execute(msr("SPSEL", 1)) == DONE
    o.execute(0x910003E0)
    assert o.p.get_x(0) == (0x1000 if imm & 1 else 0x2000)
    o.execute(mrs(2, "SPSEL"))
    assert o.p.get_x(2) == 1 - (imm & 1)


def test_spsel_at_el0_is_undefined() -> None:
    assert fresh(EL0T).execute(msr_imm(0, 5, 1)) == UNDEFINED


@settings(deadline=None)
@given(st.integers(0, 7), st.integers(0, 7), st.integers(0, 15))
def test_msr_immediate_of_what_is_not_there(op1: int, op2: int, imm: int) -> None:
    """PAN, UAO, DIT, SSBS, TCO, CFINV and the unallocated: all after Armv8.0."""
    if (op1, op2) in ((0, 5), (3, 6), (3, 7)):
        return
    o = fresh()
    o.p.undefined()
    word = msr_imm(op1, op2, imm)
    assert o.execute(word) == UNDEFINED
    assert word in o.p.undefined()


def test_nzcv() -> None:
    o = fresh()
    for flags in range(16):
        o.p.set_x(0, flags << 28 | 0xFFF)
        o.execute(msr("NZCV", 0), el=0)
        assert o.p.pstate == flags << 28 | EL0T
        o.execute(mrs(1, "NZCV"))
        assert o.p.get_x(1) == flags << 28


@pytest.mark.parametrize("unmask", [msr_imm(3, 7, 2), msr("DAIF", 31)], ids=["DAIFClr", "MSR DAIF"])
def test_an_interrupt_is_taken_right_behind_the_unmasking(unmask: int) -> None:
    for line in ("physical", "virtual"):
        o = fresh(EL1H, hcr=0 if line == "physical" else 1 << 7 | 1 << 4)
        o.p.irq = line == "physical"
        o.store32(CODE, [NOP, unmask, NOP, NOP])
        o.memory.code_changed(CODE, 16)
        o.p.pc = CODE
        o.p.run(o.p.instructions + 2)
        assert o.p.pc == CODE + 8
        o.p.run(o.p.instructions + 1)
        assert o.p.pc == VECTORS + 0x280
        assert o.get("ELR_EL1") == CODE + 8


def test_interrupts_stay_masked_until_then() -> None:
    o = fresh(EL1H)
    o.p.irq = True
    o.run([msr_imm(3, 6, 2), NOP, msr_imm(3, 7, 1), NOP, ISB, NOP], limit=6)
    assert o.p.pc == CODE + 24
