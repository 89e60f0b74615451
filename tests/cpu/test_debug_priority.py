"""Several exceptions at one instruction: the manual's priorities (D1.13, "Synchronous exception
prioritization") decide which is taken."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from .model_debug import KDE, MDE, SS
from .model_rig import (
    CODE,
    CPACR_EL1,
    DATA,
    DEBUG,
    EC_BREAKPOINT,
    EC_BRK,
    EC_STEP,
    EC_WATCHPOINT,
    ELR_EL1,
    ERET,
    ESR_EL1,
    FAR_EL1,
    SCTLR_EL1,
    SPSR_EL1,
    TABLES,
    VECTORS,
    Outcome,
    Rig,
)
from .system_support import AF, DEVICE, NORMAL, PXN, RO, USER, UXN, enc

SEED = 20261125
ABSENT = 0x1000_0000  # a physical address where there is nothing: stage 2 faults
# Where the instruction is fetched from
FETCH = {"ok": CODE, "unmapped": 0x4030_0000, "never": 0x4031_0000, "absent": 0x4032_0000}
# What is accessed
PAGES = {
    "normal": 0x4040_0000,
    "device": 0x4041_0000,
    "read-only": 0x4042_0000,
    "unmapped": 0x4043_0000,
    "absent": 0x4044_0000,
    "absent read-only": 0x4045_0000,
    "device read-only": 0x4046_0000,
}
ALIAS = 0x4047_0000  # the same physical page as "normal"

X1, SP = 1, 31
WORDS = {
    "udf": 0,
    "trap": 0xD5300242,  # mrs x2, mdscr_el1: trapped to EL2 by TDA
    "trap el0": 0xD53B0022,  # mrs x2, ctr_el0: trapped to EL1 by SCTLR_EL1.UCT
    "brk": 0xD4200000 | 0x31 << 5,
    "svc": 0xD4000001 | 0x32 << 5,
    "hvc": 0xD4000002 | 0x33 << 5,
    "nop": 0xD503201F,
    "ldr": 0xF9400000 | SP << 5 | 2,
    "str": 0xF9000000 | SP << 5 | 2,
    "ldxr": 0xC85F7C00 | SP << 5 | 2,
    "ldp": 0xA9400000 | SP << 5 | 4 << 10 | 3,
    "ldr q": 0x3DC00000 | SP << 5 | 2,
    "str q": 0x3D800000 | SP << 5 | 2,
    "zva": 0xD50B7420 | X1,
}
SIZES = {"ldr": 8, "str": 8, "ldxr": 8, "ldp": 16, "ldr q": 16, "str q": 16, "zva": 64}
PLAIN = ("udf", "trap", "trap el0", "brk", "svc", "hvc", "nop")
MEMORY = tuple(SIZES)


@dataclass(frozen=True)
class Case:
    insn: str
    el: int = 1
    tde: bool = True
    step: str = "off"  # "off", "pending", "active"
    crooked_pc: bool = False
    fetch: str = "ok"
    breakpoint: bool = False
    illegal: bool = False
    no_fp: bool = False
    crooked_sp: bool = False
    unaligned: bool = False
    check_alignment: bool = False  # SCTLR_EL1.A
    page: str = "normal"
    watchpoint: bool = False

    def pc(self) -> int:
        return FETCH[self.fetch] + 2 * self.crooked_pc

    def address(self) -> int:
        if self.insn == "zva":
            return PAGES[self.page] + 0x200
        return PAGES[self.page] + 0x210 + 8 * self.crooked_sp + self.unaligned

    def expected(self) -> tuple[int, int, int | None, int | None]:
        """Target, class, fault status and fault address of the exception; (0, …): none."""
        debug = 2 if self.tde else 1
        same = self.el == 1
        if self.step == "pending":
            return debug, EC_STEP + (same and debug == 1), DEBUG, None
        if self.crooked_pc:
            return 1, 0x22, None, self.pc()
        if self.fetch == "absent":
            return 2, 0x20, 0x07, self.pc()
        if self.fetch != "ok":
            return 1, 0x20 + same, 0x07 if self.fetch == "unmapped" else 0x0F, self.pc()
        if self.breakpoint:
            return debug, EC_BREAKPOINT + (same and debug == 1), DEBUG, None
        if self.illegal:
            return 1, 0x0E, None, None
        if self.insn in ("udf", "svc", "brk", "nop"):
            return {
                "udf": (1, 0, None, None),
                "svc": (1, 0x15, None, None),
                "brk": (debug, EC_BRK, None, None),
                "nop": (0, 0, None, None),
            }[self.insn]
        if self.insn == "hvc":
            return (2, 0x16, None, None) if same else (1, 0, None, None)
        if self.insn == "trap":
            return (2, 0x18, None, None) if same else (1, 0, None, None)
        if self.insn == "trap el0":
            return (0, 0, None, None) if same else (1, 0x18, None, None)
        return self.expected_access()

    def expected_access(self) -> tuple[int, int, int | None, int | None]:
        debug = 2 if self.tde else 1
        same = self.el == 1
        write = self.insn in ("str", "str q", "zva")
        if self.no_fp and self.insn.endswith("q"):
            return 1, 0x07, None, None
        if self.crooked_sp and self.insn != "zva":
            return 1, 0x26, None, None
        abort = 0x24 + same
        address = self.address()
        natural = 8 if self.insn == "ldp" else SIZES[self.insn]
        aligned = address % natural == 0 or self.insn == "zva"
        if not aligned and (self.check_alignment or self.insn == "ldxr"):
            return 1, abort, 0x21, address
        if self.page == "unmapped":
            return 1, abort, 0x07, address
        if self.page.startswith("device") and (not aligned or self.insn == "zva"):
            return 1, abort, 0x21, address
        if write and self.page.endswith("read-only"):
            return 1, abort, 0x0F, address
        if self.page.startswith("absent"):
            return 2, 0x24, 0x07, address
        if self.watchpoint:
            return debug, EC_WATCHPOINT + (same and debug == 1), DEBUG, address
        return 0, 0, None, None


class Priorities(Rig):
    def __init__(self) -> None:
        super().__init__(tables=True)
        p = self.p
        p.set_sysreg(enc("MAIR_EL1"), 0x00_FF)
        for page in (CODE, VECTORS):
            self.map(page, page, AF | RO | USER)
        self.map(FETCH["never"], DATA + 0x4000, AF | RO | USER | UXN | PXN)
        self.map(FETCH["absent"], ABSENT, AF | RO | USER)
        for name, va in PAGES.items():
            if name == "unmapped":
                continue
            pa = ABSENT + 0x1000 if name.startswith("absent") else DATA
            attributes = AF | USER | (DEVICE if name.startswith("device") else NORMAL)
            attributes |= RO if name.endswith("read-only") else 0
            self.map(va, pa, attributes | UXN | PXN)
        self.map(ALIAS, DATA, AF | USER | UXN | PXN)
        p.set_sysreg(enc("TTBR0_EL1"), TABLES)
        self.tcr = 25 | 1 << 23
        self.places = {name: CODE + 4 * n for n, name in enumerate(WORDS)}
        self.sctlr = p.get_sysreg(SCTLR_EL1) & ~2 | 1 | 1 << 3 | 1 << 4 | 1 << 14

    def run_case(self, case: Case) -> tuple[Outcome, int, int]:
        """The outcome, where the PC was, and PSTATE before."""
        p = self.p
        s = self.state(el=case.el, mdscr=MDE | KDE, tde=case.tde)
        if case.step != "off":
            s.mdscr |= SS
            s.pstate_ss = case.step == "active"
        pc = case.pc()
        if case.fetch in ("ok", "never"):
            at = CODE if case.fetch == "ok" else DATA + 0x4000
            self.put(at, [WORDS["nop"]] * len(WORDS))
            if case.fetch == "ok" and not case.crooked_pc:
                pc = self.places[case.insn]
            word = WORDS[case.insn]
            if case.unaligned and not case.crooked_sp and case.insn in MEMORY:
                word = word & ~(31 << 5) | X1 << 5  # the stack pointer stays aligned
            self.code(pc & ~3 if case.fetch == "ok" else at, [word])
            if case.fetch == "ok":
                self.memory.code_changed(CODE, 4 * len(WORDS))
        if case.breakpoint:
            s.bcr[1], s.bvr[1] = 0x1E7, pc & ~3
        if case.watchpoint:
            s.wcr[2], s.wvr[2] = 0xFF << 5 | 0x1F, case.address() & ~7
            if case.unaligned:
                s.wcr[2] = 0xFE << 5 | 0x1F
        p.set_sysreg(SCTLR_EL1, self.sctlr | 2 * case.check_alignment)
        p.set_sysreg(CPACR_EL1, (0 if case.no_fp else 3) << 20)
        self.set(s, tcr=self.tcr, others=0x1C0 | case.illegal << 20)
        p.mdcr_el2 |= 1 << 9  # TDA
        p.sp_el0 = p.sp_el1 = case.address()
        p.set_x(X1, case.address())
        p.pc = pc
        before = p.pstate
        outcome = self.run()
        if outcome.to == 2 and outcome.ec == EC_STEP and VECTORS <= outcome.pc < VECTORS + 0x800:
            # an exception to EL1, and the step exception after it
            read = p.get_sysreg
            outcome = Outcome(1, read(ESR_EL1), read(FAR_EL1), read(ELR_EL1), read(SPSR_EL1))
        elif outcome.to == 2 and outcome.ec == EC_STEP and case.step == "active":
            assert outcome.pc == pc + 4
            outcome = Outcome(0)
        return outcome, pc, before

    def check(self, case: Case) -> None:
        outcome, pc, before = self.run_case(case)
        to, ec, fault, address = case.expected()
        if not to or (
            outcome.to == 1 and case.step == "active" and outcome.ec == EC_STEP + case.el
        ):
            # executed; or executed as a step, with the step exception going to EL1
            assert not to, f"{outcome}: {case}"
            if outcome.to:
                assert outcome.pc == pc + 4, f"{outcome}: {case}"
            return
        assert (outcome.to, outcome.ec) == (to, ec), f"{outcome}: {case}"
        if fault is not None:
            assert outcome.esr & 0x3F == fault or (
                # which level a stage 2 fault names is not in question here
                to == 2 and fault == 7 and outcome.esr & 0x3C == 4
            ), f"{outcome}: {case}"
        if address is not None:
            assert outcome.far == address, f"{outcome}: {case}"
        completes = ec in (0x15, 0x16)
        assert outcome.pc == pc + 4 * completes, f"{outcome}: {case}"
        # a completed SVC or HVC was stepped; anything else was not
        spsr = before & ~(1 << 21) if completes else before
        assert outcome.spsr == spsr, f"{outcome}, SPSR should be {spsr:#x}: {case}"


@pytest.fixture(scope="module")
def rig(tier: str) -> Priorities:
    return Priorities()


def fronts() -> Iterator[Case]:
    """Every exception that has priority over the instruction itself."""
    for el, tde, step, crooked, fetch, bp, illegal in itertools.product(
        (0, 1), (False, True), ("off", "pending", "active"), (False, True), FETCH,
        (False, True), (False, True),
    ):  # fmt: skip
        if el == 1 and not tde and step == "active":
            continue  # with KDE the exception to EL1 is what it is; D masks the step there
        yield Case("nop", el, tde, step, crooked, fetch, bp, illegal)


def test_before_the_instruction_and_the_instruction(rig: Priorities) -> None:
    for front, insn in itertools.product(fronts(), PLAIN):
        rig.check(replace(front, insn=insn))


def accesses() -> Iterator[Case]:
    for insn, page in itertools.product(MEMORY, PAGES):
        for sp, unaligned, check, watch, no_fp in itertools.product(*[(False, True)] * 5):
            if no_fp and not insn.endswith("q"):
                continue
            yield Case(
                insn,
                crooked_sp=sp,
                unaligned=unaligned,
                check_alignment=check,
                page=page,
                watchpoint=watch,
                no_fp=no_fp,
            )


def test_every_pair_at_an_access(rig: Priorities) -> None:
    for case, el, tde in itertools.product(accesses(), (0, 1), (False, True)):
        rig.check(replace(case, el=el, tde=tde))


def test_fronts_before_accesses(rig: Priorities) -> None:
    """Any number of them together, drawn at random."""
    rng = random.Random(SEED)
    all_fronts, all_accesses = list(fronts()), list(accesses())
    for _ in range(4000):
        front, access = rng.choice(all_fronts), rng.choice(all_accesses)
        rig.check(
            replace(
                access,
                el=front.el,
                tde=front.tde,
                step=front.step,
                fetch=front.fetch,
                crooked_pc=front.crooked_pc,
                breakpoint=front.breakpoint,
                illegal=front.illegal,
            )
        )


def test_an_access_over_two_pages(rig: Priorities) -> None:
    """The first page watched, the second missing, and the other way round: the access is one
    instruction, of which either part may be made first; what is reported is one of the two."""
    p = rig.p
    normal, missing = PAGES["normal"], PAGES["normal"] + 0x1000
    for insn, watch in itertools.product(("ldr", "str", "ldp", "ldr q", "str q"), (False, True)):
        s = rig.state(el=1, mdscr=MDE, tde=True)
        if watch:
            s.wcr[0], s.wvr[0] = 0x80 << 5 | 0x1F, missing - 8
        p.set_sysreg(SCTLR_EL1, rig.sctlr & ~8)  # no check of the stack pointer
        p.set_sysreg(CPACR_EL1, 3 << 20)
        rig.set(s, tcr=rig.tcr)
        rig.code(CODE, [WORDS[insn]])
        before = rig.ram[DATA + 0xFF0 - 0x4000_0000 : DATA + 0x1000 - 0x4000_0000]
        p.set_x(2, 0x123)
        p.sp_el1 = missing - 4
        p.pc = CODE
        outcome = rig.run()
        write = insn.startswith("str")
        fault = (1, 0x25 << 26 | 1 << 25 | write << 6 | 7, missing)
        hit = (2, EC_WATCHPOINT << 26 | 1 << 25 | write << 6 | DEBUG, missing - 1)
        assert outcome[:3] in ({fault, hit} if watch else {fault}), f"{insn} {watch}: {outcome}"
        assert p.get_x(2) == 0x123
        assert rig.ram[DATA + 0xFF0 - 0x4000_0000 : DATA + 0x1000 - 0x4000_0000] == before
        assert normal < missing


def test_illegal_state_at_code_in_use(rig: Priorities) -> None:
    """PSTATE.IL counts at instructions that have been executed many times, set from outside and by
    an illegal exception return."""
    p = rig.p
    loop, back = CODE + 0x100, CODE + 0x200
    rig.code(loop, [WORDS["nop"]] * 3 + [0x17FFFFFD])
    rig.code(back, [ERET])
    for illegal, way in itertools.product((False, True, False, True, True), ("set", "eret")):
        rig.set(rig.state(el=1), tcr=rig.tcr, others=0x1C0 | (illegal and way == "set") << 20)
        p.set_sysreg(ELR_EL1, loop)
        p.set_sysreg(SPSR_EL1, 0x3C9 if illegal else 0x3C5)
        p.set_sysreg(ESR_EL1, 0)
        p.pc = loop if way == "set" else back
        p.run(p.instructions + 40 + (way == "eret"))
        if illegal:
            assert p.get_sysreg(ELR_EL1) == loop
            assert p.get_sysreg(ESR_EL1) == 0x0E << 26 | 1 << 25
        else:
            assert p.pc == loop
            assert p.get_sysreg(ESR_EL1) == 0


def test_watchpoints_are_virtual(rig: Priorities) -> None:
    """Another virtual address of the same memory is not watched; with the page used before the
    watch was set, and after it was taken away."""
    p = rig.p
    p.set_sysreg(SCTLR_EL1, rig.sctlr)
    rig.code(CODE, [0xF9400022])  # ldr x2, [x1]
    watched, rng = False, random.Random(SEED)
    for _ in range(300):
        if rng.random() < 0.3:
            watched = not watched
        s = rig.state(el=1, mdscr=MDE, tde=True)
        if watched:
            s.wcr[3], s.wvr[3] = 0x1FFF, PAGES["normal"] + 0x210
        rig.set(s, tcr=rig.tcr)
        base = rng.choice((PAGES["normal"], ALIAS))
        p.set_x(X1, base + 0x210)
        p.pc = CODE
        assert bool(rig.run().to) == (watched and base != ALIAS)
