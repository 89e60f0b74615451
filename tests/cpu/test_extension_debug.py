"""PSTATE.PAN, UAO and BTYPE with what else the processor does: steps, breakpoints, watchpoints,
interrupts, modified code, snapshots, limits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

pytest.importorskip(
    "guestdbg.cpu.processor", reason="the processor is not compiled", exc_type=ImportError
)

from guestdbg.cpu.processor import EXIT_EL2, EXIT_LIMIT
from tests.cpu.extensions import SYSTEM, give
from tests.cpu.system_support import (
    AF,
    CODE,
    DATA,
    EL0T,
    EL1H,
    IL,
    NOP,
    NORMAL,
    PXN,
    RO,
    USER,
    UXN,
    VECTORS,
    Paged,
    mrs,
    msr_imm,
)

PAN, UAO, GP = 1 << 22, 1 << 23, 1 << 50
BTYPE_SHIFT = 10
GUARDED = 0x4010_0000  # CODE again
TARGET = 0x40
BTI_C, BTI_J, BTI_JC, PACIASP, BRK = 0xD503245F, 0xD503249F, 0xD50324DF, 0xD503233F, 0xD4200000
BR0, BLR0, BR16, RET0 = 0xD61F0000, 0xD63F0000, 0xD61F0200, 0xD65F0000
ERET = 0xD69F03E0
MDE, SS, TDE = 1 << 15, 1, 1 << 8
USER_PAGE, KERNEL_PAGE = DATA, DATA + 0x1000
LDR, STR, LDTR, STTR = 0xF9400001, 0xF9000001, 0xF8400801, 0xF8000801  # X1, [X0]


@pytest.fixture
def it() -> Paged:
    it = Paged()
    give(it.p, *SYSTEM)
    it.map(GUARDED, CODE, AF | RO | USER | GP)
    it.map(USER_PAGE, USER_PAGE, AF | USER | UXN | PXN | NORMAL)
    it.map(KERNEL_PAGE, KERNEL_PAGE, AF | UXN | PXN | NORMAL)
    return it


def load(it: Paged, words: Sequence[int], target: Sequence[int] = ()) -> None:
    it.store32(CODE, words)
    it.store32(CODE + TARGET, target)
    it.memory.code_changed(CODE, 0x100)
    it.p.set_x(0, GUARDED + TARGET)
    it.p.set_x(16, GUARDED + TARGET)
    it.p.pc = GUARDED
    it.p.pstate = EL1H


def btype(it: Paged) -> int:
    return it.p.pstate >> BTYPE_SHIFT & 3


# ---- PSTATE.BTYPE -------------------------------------------------------------------------------


@pytest.mark.parametrize(("branch", "value"), [(BR0, 3), (BR16, 1), (BLR0, 2), (RET0, 0)])
def test_a_limit_and_a_step_show_btype(it: Paged, branch: int, value: int) -> None:
    """It is there after the branch, and no more after the next instruction."""
    for stepping in (False, True):
        load(it, [branch], [BTI_JC, NOP])
        if stepping:
            it.p.mdcr_el2 = TDE
            it.p.mdscr_el1 = SS
            it.p.pstate_ss = True
            assert it.p.run() == EXIT_EL2
            assert it.p.esr_el2 >> 26 == 0x32
        else:
            assert it.p.run(it.p.instructions + 1) == EXIT_LIMIT
        assert (it.p.pc, btype(it)) == (GUARDED + TARGET, value)
        if stepping:
            it.p.pstate_ss = True
            it.p.run()
        else:
            it.p.run(it.p.instructions + 1)
        assert (it.p.pc, btype(it)) == (GUARDED + TARGET + 4, 0)
        it.p.mdscr_el1 = it.p.mdcr_el2 = 0


@pytest.mark.parametrize("first", ["warm", "cold"])
def test_the_exception_is_taken_again_and_again(it: Paged, first: str) -> None:
    """Also when both blocks are known, and the branch goes from one to the other."""
    load(it, [BR0], [NOP, 0x1400_0000])
    if first == "warm":
        it.p.pc = GUARDED + TARGET
        it.p.run(it.p.instructions + 1)
    for _ in range(3):
        it.p.pc, it.p.pstate = GUARDED, EL1H
        assert it.p.run(it.p.instructions + 1) == EXIT_LIMIT
        it.p.run(it.p.instructions + 1)
        assert it.p.pc == VECTORS + 0x200
        assert it.get("ESR_EL1") == 0x0D << 26 | IL | 3
        assert it.get("ELR_EL1") == GUARDED + TARGET
        assert it.get("SPSR_EL1") == EL1H | 3 << BTYPE_SHIFT
        assert btype(it) == 0


def test_not_where_the_page_is_not_guarded(it: Paged) -> None:
    load(it, [BR0], [NOP])
    it.p.set_x(0, CODE + TARGET)
    it.p.run(it.p.instructions + 2)
    assert it.p.pc == CODE + TARGET + 4


def test_the_page_becomes_guarded(it: Paged) -> None:
    """The attribute is the table's, not that of the code decoded before."""
    load(it, [BR0], [NOP])
    for guarded in (False, True, False):
        it.map(GUARDED, CODE, AF | RO | USER | (GP if guarded else 0))
        it.run([0xD508871F, 0xD503201F], limit=2)  # TLBI VMALLE1
        load(it, [BR0], [NOP])
        it.p.run(it.p.instructions + 2)
        assert it.p.pc == (VECTORS + 0x200 if guarded else GUARDED + TARGET + 4)


def test_a_breakpoint_at_the_target_has_priority(it: Paged) -> None:
    load(it, [BR0], [NOP])
    it.p.mdcr_el2, it.p.mdscr_el1 = TDE, MDE
    zero = [0] * 16
    it.p.load_debug([0x1E7, *zero], [GUARDED + TARGET, *zero], zero, zero)
    assert it.p.run() == EXIT_EL2
    assert (it.p.esr_el2 >> 26, it.p.pc, btype(it)) == (0x30, GUARDED + TARGET, 3)
    # past it, the exception
    it.p.mdscr_el1 = 0
    it.p.run(it.p.instructions + 1)
    assert it.p.pc == VECTORS + 0x200
    assert it.get("ESR_EL1") >> 26 == 0x0D


def test_a_pending_step_has_priority(it: Paged) -> None:
    load(it, [BR0], [NOP])
    it.p.mdcr_el2, it.p.mdscr_el1 = TDE, SS
    it.p.pstate_ss = True
    assert it.p.run() == EXIT_EL2
    assert it.p.pc == GUARDED + TARGET
    # the next step is the exception: no instruction retires, and the handler's first one is pending
    it.p.pstate_ss = True
    before = it.p.instructions
    assert it.p.run() == EXIT_EL2
    assert it.p.pc == VECTORS + 0x200
    assert it.p.instructions == before
    assert it.p.esr_el2 >> 24 & 1 == 0


def test_an_interrupt_between_branch_and_target(it: Paged) -> None:
    """The handler's return brings the exception, or a permitted target."""
    for target, allowed in ((NOP, False), (BTI_J, True)):
        it.store32(VECTORS + 0x280, [NOP, ERET])
        it.memory.code_changed(VECTORS, 0x400)
        load(it, [BR0], [target])
        it.p.pstate = EL1H & ~0x80
        it.p.run(it.p.instructions + 1)
        it.p.irq = True
        it.p.run(it.p.instructions + 1)
        assert it.p.pc == VECTORS + 0x284
        assert it.get("SPSR_EL1") >> BTYPE_SHIFT & 3 == 3
        it.p.irq = False
        it.p.run(it.p.instructions + 1)
        assert (it.p.pc, btype(it)) == (GUARDED + TARGET, 3)
        it.p.run(it.p.instructions + 1)
        assert it.p.pc == (GUARDED + TARGET + 4 if allowed else VECTORS + 0x200)


def test_pacixsp_and_sctlr_bt(it: Paged) -> None:
    for el, bit in ((1, 1 << 36), (0, 1 << 35)):
        for set_ in (0, 3 << 35 & ~bit, bit, 3 << 35):
            it.set("SCTLR_EL1", it.get("SCTLR_EL1") & ~(3 << 35) | set_)
            load(it, [BR0], [PACIASP])
            it.p.pstate = EL1H if el else EL0T
            it.p.run(it.p.instructions + 2)
            refused = it.p.pc in (VECTORS + 0x200, VECTORS + 0x400)
            assert refused == bool(set_ & bit)


def test_snapshots_keep_btype_and_the_tlb_in_use(it: Paged) -> None:
    load(it, [BR0], [NOP])
    it.p.run(it.p.instructions + 1)
    it.p.pstate |= PAN | UAO
    state = it.p.save_state()
    assert btype(it) == 3
    it.p.run(it.p.instructions + 1)
    it.p.pstate = EL0T
    it.p.restore_state(state)
    assert (it.p.pc, it.p.pstate) == (GUARDED + TARGET, EL1H | PAN | UAO | 3 << BTYPE_SHIFT)
    it.p.run(it.p.instructions + 1)
    assert it.get("ESR_EL1") >> 26 == 0x0D


# ---- PSTATE.PAN and UAO -------------------------------------------------------------------------


def access(it: Paged, word: int, address: int, pstate: int) -> bool:
    """Whether the access is made. The page may be in any of the TLBs from before."""
    it.p.set_x(0, address)
    it.p.pstate = pstate
    return it.execute(word).where == "done"


def test_every_pstate_after_every_other(it: Paged) -> None:
    """No permission stays from one to the next: the TLBs are apart."""
    states = [EL0T, EL1H, EL1H | PAN, EL1H | UAO, EL1H | PAN | UAO]

    def allowed(word: int, page: int, pstate: int) -> bool:
        unprivileged = pstate == EL0T or (word in (LDTR, STTR) and not pstate & UAO)
        if page == KERNEL_PAGE:
            return not unprivileged
        return unprivileged or not pstate & PAN

    for first in states:
        for second in states:
            for word in (LDR, STR, LDTR, STTR):
                for page in (USER_PAGE, KERNEL_PAGE):
                    assert access(it, word, page, first) == allowed(word, page, first)
                    assert access(it, word, page + 8, second) == allowed(word, page, second)


def test_msr_pan_within_a_block(it: Paged) -> None:
    it.p.set_x(0, USER_PAGE)
    it.run([LDR, msr_imm(0, 4, 1), msr_imm(0, 4, 0), LDR, msr_imm(0, 4, 1), LDR], limit=6)
    assert it.p.pc == VECTORS + 0x200
    assert it.get("ELR_EL1") == CODE + 20
    assert it.get("SPSR_EL1") == EL1H | PAN


def test_cache_maintenance_ignores_pan(it: Paged) -> None:
    it.p.set_x(0, USER_PAGE)
    for word in (0xD50B7A20, 0xD50B7B20, 0xD50B7C20, 0xD50B7E20, 0xD5087620, 0xD50B7520):
        it.p.pstate = EL1H | PAN
        assert it.execute(word).where == "done", hex(word)
    it.p.pstate = EL1H | PAN
    assert it.execute(0xD50B7420).where == "el1"  # DC ZVA is a store


def test_watchpoints_with_pan(it: Paged) -> None:
    """A watched line of a page, through the TLB of PSTATE.PAN as well."""
    zero = [0] * 16
    for pstate in (EL1H, EL1H | PAN):
        it.p.mdcr_el2, it.p.mdscr_el1 = TDE, MDE
        it.p.load_debug(zero, zero, [0x1FF7, *zero], [KERNEL_PAGE + 0x40, *zero])
        for at, hit in (
            (KERNEL_PAGE, False),
            (KERNEL_PAGE + 0x40, True),
            (KERNEL_PAGE + 0x80, False),
        ):
            for _ in range(2):
                it.store32(CODE, [STR])
                it.memory.code_changed(CODE, 4)
                it.p.set_x(0, at)
                it.p.pc, it.p.pstate = CODE, pstate
                code = it.p.run(it.p.instructions + 1)
                assert (code == EXIT_EL2) == hit
                if hit:
                    assert it.p.far_el2 == at
        it.p.mdscr_el1 = 0


def test_code_written_with_pan(it: Paged) -> None:
    """A store through the TLB of PSTATE.PAN to memory that code was decoded from."""
    code_page = DATA + 0x2000
    it.map(code_page, code_page, AF | NORMAL)
    it.store32(code_page, [mrs(1, "CURRENTEL"), 0xD65F03C0])
    it.p.set_x(0, code_page)
    it.p.set_x(2, 0xD2800541)  # MOVZ X1, #42
    # store once, to have the page in the TLB; call; store; call
    program = [0xB9000802, 0xD63F0000, 0xB9000002, 0xD63F0000, NOP]
    it.p.pstate = EL1H | PAN
    it.store32(CODE, program)
    it.memory.code_changed(CODE, 64)
    it.p.pc = CODE
    it.p.run(it.p.instructions + 4)
    assert (it.p.get_x(1), it.p.pc) == (4, CODE + 8)
    it.p.run(it.p.instructions + 4)
    assert (it.p.get_x(1), it.p.pc) == (42, CODE + 16)


def test_translate_does_not_depend_on_pan(it: Paged) -> None:
    it.p.pstate = EL1H | PAN
    assert it.p.translate(USER_PAGE) == USER_PAGE
    assert it.p.translate(KERNEL_PAGE, True, 0) is None
