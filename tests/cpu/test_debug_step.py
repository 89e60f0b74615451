"""Software step against the model: every state of its machine, over every kind of instruction."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

from guestdbg.cpu.processor import EXIT_EL2

from .model_debug import KDE, SS, State
from .model_rig import (
    CODE,
    DATA,
    ELR_EL1,
    ERET,
    ESR_EL1,
    ISB,
    MDSCR_EL1,
    NOP,
    SPSR_EL1,
    VECTORS,
    Rig,
)
from .model_step import AIF, COMPARED, Insn, Left, Machine

SEED = 20261124
PLAIN, ABSENT, CROOKED, ON, OFF = 1, 9, 10, 11, 12  # registers: addresses, MDSCR_EL1 values


def hvc(imm: int) -> Insn:
    return Insn(f"hvc {imm:#x}", 0xD4000002 | imm << 5, "hvc", imm)


def to_mdscr(register: int, value: int) -> Insn:
    return Insn(f"msr mdscr_el1, {value:#x}", 0xD5100240 | register, "mdscr", value)


INSTRUCTIONS = [
    Insn("nop", NOP, "next"),
    Insn("add", 0x91000442, "next"),
    Insn("ldr", 0xF9400000 | PLAIN << 5 | 2, "next"),
    Insn("str", 0xF9000000 | PLAIN << 5 | 2, "next"),
    Insn("ldp", 0xA9400000 | PLAIN << 5 | 3 << 10 | 2, "next"),
    Insn("mrs", 0xD53B4202, "next"),  # NZCV
    Insn("dsb", 0xD5033F9F, "next"),
    Insn("clrex", 0xD5033F5F, "next"),
    Insn("yield", 0xD503203F, "next"),
    Insn("stxr", 0xC8047C00 | PLAIN << 5 | 2, "next"),
    Insn("stlr", 0xC89FFC00 | PLAIN << 5 | 2, "next"),
    Insn("ldar", 0xC8DFFC00 | PLAIN << 5 | 2, "next"),
    Insn("ldxr", 0xC85F7C00 | PLAIN << 5 | 2, "exclusive"),
    Insn("ldaxr", 0xC85FFC00 | PLAIN << 5 | 2, "exclusive"),
    Insn("ldxrb", 0x085F7C00 | PLAIN << 5 | 2, "exclusive"),
    Insn("ldaxrh", 0x485FFC00 | PLAIN << 5 | 2, "exclusive"),
    Insn("ldxr w", 0x885F7C00 | PLAIN << 5 | 2, "exclusive"),
    Insn("ldxp", 0xC87F0000 | PLAIN << 5 | 3 << 10 | 2, "exclusive"),
    Insn("ldaxp w", 0x887F8000 | PLAIN << 5 | 3 << 10 | 2, "exclusive"),
    Insn("casp", 0x48207C00 | 4 << 16 | PLAIN << 5 | 2, "next"),
    Insn("caspa", 0x48607C00 | 4 << 16 | PLAIN << 5 | 2, "next"),
    Insn("caspal", 0x4860FC00 | 4 << 16 | PLAIN << 5 | 2, "next"),
    Insn("casa", 0xC8E07C00 | 4 << 16 | PLAIN << 5 | 2, "next"),
    Insn("ldadda", 0xF8A40022, "next"),
    Insn("isb", ISB, "isb"),
    Insn("b", 0x14000002, "skip"),
    Insn("bl", 0x94000002, "skip"),
    Insn("cbz", 0xB400005F, "skip"),
    Insn("cbnz", 0xB500005F, "next"),
    Insn("tbz", 0x3600005F, "skip"),
    Insn("b.al", 0x5400004E, "skip"),
    Insn("svc", 0xD4000001 | 0x77 << 5, "svc", 0x77),
    hvc(0x33),
    Insn("smc", 0xD4000003 | 0x44 << 5, "smc", 0x44),
    Insn("brk", 0xD4200000 | 0x55 << 5, "brk", 0x55),
    Insn("udf", 0x00000000, "udf"),
    Insn("unallocated", 0xFFFFFFFF, "udf"),
    Insn("ldr absent", 0xF9400000 | ABSENT << 5 | 2, "abort2"),
    Insn("ldxr absent", 0xC85F7C00 | ABSENT << 5 | 2, "abort2"),
    Insn("ldxr crooked", 0xC85F7C00 | CROOKED << 5 | 2, "abort1", 0x21),
    Insn("stlr crooked", 0xC89FFC00 | CROOKED << 5 | 2, "abort1", 0x61),
    Insn("msr daifclr", 0xD50348FF, "daif", 0),
    Insn("msr daifset", 0xD50348DF, "daif", 1),
    to_mdscr(ON, SS | KDE),
    to_mdscr(OFF, 0),
    Insn("eret", ERET, "eret"),
]
BY_NAME = {insn.name: insn for insn in INSTRUCTIONS}


class Stepper(Rig):
    def __init__(self) -> None:
        super().__init__(lse=True)
        self.hcr |= 1 << 19  # TSC: SMC comes to EL2
        self.handlers: dict[int, Insn] = {}
        for vector in range(0, 0x800, 0x80):
            handler = hvc(0x100 + vector // 0x80)
            self.handlers[VECTORS + vector] = handler
            self.put(VECTORS + vector, [handler.word])

    def check(self, s: State, program: Sequence[Insn], *, elr: int = 2, spsr: int = 0) -> Left:
        """Run the program at CODE (two HVCs after it) to its exit to EL2. elr: the index of the
        instruction to which an ERET returns."""
        p = self.p
        everything = [*program, hvc(0x98), hvc(0x99)]
        self.code(CODE, [insn.word for insn in everything])
        self.set(s)
        for n, value in (
            (PLAIN, DATA), (ABSENT, 0x1000), (CROOKED, DATA + 1), (ON, SS | KDE), (OFF, 0)
        ):  # fmt: skip
            p.set_x(n, value)
        p.set_sysreg(ESR_EL1, 0)
        p.set_sysreg(ELR_EL1, CODE + 4 * elr)
        p.set_sysreg(SPSR_EL1, spsr)
        p.pc = CODE
        memory = {CODE + 4 * n: insn for n, insn in enumerate(everything)} | self.handlers
        permitted = Machine(s, memory).outcomes(CODE, CODE + 4 * elr, spsr)

        reason = p.run(p.instructions + 1000)
        shown = f"{[insn.name for insn in program]} in {s}"
        assert reason == EXIT_EL2, f"{shown}: run() returned {reason}, PC {p.pc:#x}"
        esr = p.esr_el2
        if esr >> 26 in (0x24, 0x18):
            esr >>= 26
        left = Left(
            esr,
            p.pc,
            p.pstate & COMPARED,
            p.get_sysreg(ESR_EL1),
            p.get_sysreg(ELR_EL1),
            p.get_sysreg(SPSR_EL1) & COMPARED,
        )
        expected = {
            one._replace(pstate=one.pstate & COMPARED, spsr_el1=one.spsr_el1 & COMPARED)
            for one in permitted
        }
        assert left in expected, (
            f"{shown}, ELR +{4 * elr:#x}, SPSR {spsr:#x}: {words(left)}; "
            f"permitted: {'; '.join(map(words, expected))}"
        )
        return left


def words(left: Left) -> str:
    return ", ".join(f"{name} {value:#x}" for name, value in left._asdict().items())


@pytest.fixture(scope="module")
def rig(tier: str) -> Stepper:
    return Stepper()


def states(rig: Rig) -> list[State]:
    """Every combination of what the state machine depends on."""
    return [
        rig.state(
            el=el,
            d=bool(d),
            pstate_ss=bool(ss),
            mdscr=step * SS | kde * KDE,
            tde=bool(tde),
            os_lock=bool(lock),
        )
        for el, d, ss, step, kde, tde, lock in itertools.product(*[(0, 1)] * 7)
    ]


@pytest.mark.parametrize("insn", INSTRUCTIONS, ids=lambda insn: insn.name)
def test_every_state_over_every_instruction(rig: Stepper, insn: Insn) -> None:
    for s in states(rig):
        rig.check(s, [insn, BY_NAME["nop"]])


def test_every_exception_return(rig: Stepper) -> None:
    """ERET to EL0 and EL1, legal and not, with SPSR.SS and SPSR.D each way, from every state,
    before instructions that the step's syndrome describes."""
    for s in states(rig):
        if s.el == 0:
            continue
        for mode, d, ss, il, after in itertools.product(
            (0, 4, 5, 9, 0x10, 0x1F), (0, 1), (0, 1), (0, 1), ("ldxr", "svc", "msr daifclr")
        ):
            spsr = mode | d << 9 | ss << 21 | il << 20 | AIF
            program = [BY_NAME["eret"], BY_NAME["udf"], BY_NAME[after], BY_NAME["nop"]]
            rig.check(s, program, spsr=spsr)


def test_pairs_of_what_changes_the_state(rig: Stepper) -> None:
    changing = ["msr daifclr", "msr daifset", f"msr mdscr_el1, {SS | KDE:#x}",
                "msr mdscr_el1, 0x0", "isb", "ldxr", "nop"]  # fmt: skip
    for s in states(rig):
        for first, second, third in itertools.product(changing, changing, ("nop", "isb", "ldxr")):
            rig.check(s, [BY_NAME[first], BY_NAME[second], BY_NAME[third]])


def test_random_programs(rig: Stepper) -> None:
    rng = random.Random(SEED)
    all_states = states(rig)
    steps = 0
    for _ in range(4000):
        program = [rng.choice(INSTRUCTIONS) for _ in range(rng.randrange(1, 7))]
        program = [
            insn for n, insn in enumerate(program) if insn.kind != "eret" or n == len(program) - 1
        ]
        s = rng.choice(all_states)
        if rng.random() < 0.6:
            s = rig.state(el=s.el, d=s.d, pstate_ss=s.pstate_ss, tde=s.tde, mdscr=SS | KDE)
        if rng.random() < 0.8:
            s.os_lock = False
        spsr = rng.choice((0, 5)) | rng.randrange(2) << 21 | rng.randrange(2) << 9 | AIF
        left = rig.check(s, program, elr=len(program), spsr=spsr)
        steps += left.esr_el2 >> 26 == 0x32
    assert steps > 500, "too few of these cases step for the test to mean anything"


def test_steps_one_after_the_other(rig: Stepper) -> None:
    """A debugger at EL2 steps through a program: each step executes one instruction and says so;
    what it says does not depend on what was stepped before."""
    rng = random.Random(SEED + 1)
    stepped = [insn for insn in INSTRUCTIONS if insn.kind in ("next", "exclusive", "isb")]
    stepped = [insn for insn in stepped if insn.kind != "isb"]
    p = rig.p
    for el in (0, 1):
        program = [rng.choice(stepped) for _ in range(200)]
        rig.code(CODE, [insn.word for insn in program])
        s = rig.state(el=el, mdscr=SS, tde=True, d=True)
        rig.set(s)
        p.set_x(PLAIN, DATA)
        p.pc = CODE
        for n, insn in enumerate(program):
            p.pstate |= 1 << 21
            before = p.instructions
            assert p.run() == EXIT_EL2
            assert p.pc == CODE + 4 * n + 4
            assert p.instructions == before + 1
            expected = 0x32 << 26 | 1 << 25 | 1 << 24 | (insn.kind == "exclusive") << 6 | 0x22
            assert p.esr_el2 == expected, f"{insn.name}: {p.esr_el2:#x} instead of {expected:#x}"
            assert not p.pstate >> 21 & 1
            if rng.random() < 0.2:
                # without PSTATE.SS the step is pending: nothing is executed, nothing was stepped
                assert p.run() == EXIT_EL2
                assert p.pc == CODE + 4 * n + 4
                assert p.esr_el2 == 0x32 << 26 | 1 << 25 | 0x22


def test_interrupts_while_stepping(rig: Stepper) -> None:
    """An interrupt comes before the instruction that was to be stepped: SPSR_EL1.SS keeps the step
    for the return, and a step exception to EL2 comes at the vector."""
    p = rig.p
    rig.code(CODE, [BY_NAME["ldxr"].word] * 2)
    for el, tde, ss, stepped_before in itertools.product(*[(0, 1)] * 4):
        s = rig.state(el=el, pstate_ss=bool(ss), mdscr=SS, tde=bool(tde))
        rig.set(s, others=0)
        p.pc = CODE
        p.set_x(PLAIN, DATA)
        if stepped_before and tde:
            p.pstate |= 1 << 21
            assert p.run() == EXIT_EL2
            p.pstate = p.pstate & ~(1 << 21) | ss << 21
        here = p.pc
        if s.step_pending():
            continue  # then the step exception may come first as well
        p.irq = True
        reason = p.run(p.instructions + 50)
        p.irq = False
        vector = VECTORS + 0x80 + (0x200 if el else 0x400)
        assert reason == EXIT_EL2
        assert p.get_sysreg(ELR_EL1) == here
        assert p.get_sysreg(SPSR_EL1) >> 21 & 1 in {ss, ss and s.step_enabled()}
        if tde:
            assert p.esr_el2 in (0xCA000022, 0xCB000022)
            assert p.pc == vector
        else:
            assert p.esr_el2 >> 26 == 0x16
            assert p.pc == vector + 4


def test_a_kernel_steps_its_user(rig: Stepper) -> None:
    """EL1 sets MDSCR_EL1.SS and returns to EL0 with SPSR.SS, again and again, TDE clear: each time
    one instruction of EL0, and the Software Step exception at EL1 with KDE off."""
    program = [BY_NAME["nop"], BY_NAME["ldxr"], BY_NAME["b"], BY_NAME["nop"], BY_NAME["add"]]
    stops = [1, 2, 4, 5]
    exclusive = [False, True, False, False]
    p = rig.p
    rig.code(CODE, [insn.word for insn in program])
    handler = CODE + 0x200
    rig.code(handler, [ERET])
    rig.set(rig.state(el=1, mdscr=SS, d=True))
    p.set_x(PLAIN, DATA)
    assert p.get_sysreg(MDSCR_EL1) & SS
    where = CODE
    for stop, ex in zip(stops, exclusive, strict=True):
        p.set_sysreg(ELR_EL1, where)
        p.set_sysreg(SPSR_EL1, 1 << 21)
        p.pc = handler
        assert p.run(p.instructions + 100) == EXIT_EL2
        assert p.esr_el2 == 0x16 << 26 | 1 << 25 | 0x100 + 0x400 // 0x80
        assert p.get_sysreg(ESR_EL1) == 0x32 << 26 | 1 << 25 | 1 << 24 | ex << 6 | 0x22
        where = CODE + 4 * stop
        assert p.get_sysreg(ELR_EL1) == where
        assert not p.get_sysreg(SPSR_EL1) >> 21 & 1
