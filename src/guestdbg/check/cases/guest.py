"""The guest's own debugging, by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC, Syndrome
from guestdbg.arm64.iss import SoftwareStepIss
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import KDE, MDE, debug_itself
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each, numbered
from guestdbg.check.rig import EL0T, EL1H, PSTATE_D

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_OWN = "Arm ARM D2 (AArch64 Self-hosted Debug)"
_SS, _SPSR_SS = 1, 1 << 21


@case_for_each(
    "guest.breakpoint",
    numbered(),
    "Without guest debugging, the guest's own breakpoint register {} works: the guest takes the "
    "exception itself.",
    _OWN,
)
def _(rig: Rig, number: int) -> None:
    rig.need_breakpoints(number + 1)
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    debug_itself(rig, {number: breakpoint(code.at(1))}, {})
    rig.takes(EC.BREAKPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))


@case_for_each(
    "guest.watchpoint",
    numbered(),
    "Without guest debugging, the guest's own watchpoint register {} works: the guest takes the "
    "exception itself, with FAR_EL1.",
    _OWN,
)
def _(rig: Rig, number: int) -> None:
    rig.need_watchpoints(number + 1)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    debug_itself(rig, {}, {number: watchpoint(DATA, 8)[0]})
    esr = rig.takes(EC.WATCHPT_CUR, 0x200)
    rig.expect("WnR", esr >> 6 & 1, 1)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))
    rig.expect_one_of("FAR_EL1", rig.reg("FAR_EL1"), range(DATA, DATA + 8))


@case(
    "guest.arms-itself",
    "What the guest writes into its debug registers takes effect: it arms a breakpoint and a "
    "watchpoint, and takes the exception of each.",
    _OWN,
)
def _(rig: Rig) -> None:
    code = rig.code(
        *(asm.msr("DBGBVR0_EL1", 2), asm.msr("DBGBCR0_EL1", 3)),
        *(asm.msr("DBGWVR0_EL1", 1), asm.msr("DBGWCR0_EL1", 5), asm.msr("MDSCR_EL1", 4), asm.ISB),
        *(asm.daifclr(8), asm.label("here"), asm.NOP),
        *(asm.label("store"), asm.str_(0, 1), rig.finish()),
    )
    pair = watchpoint(DATA, 8)[0]
    for n, value in (
        *((1, pair.value), (2, code["here"]), (3, breakpoint(0).control)),
        *((4, MDE | KDE), (5, pair.control)),
    ):
        rig.set_x(n, value)
    rig.takes(EC.BREAKPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code["here"])
    rig.start(code)
    rig.pc = code["store"]
    rig.pstate = EL1H & ~PSTATE_D
    rig.takes(EC.WATCHPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code["store"])


@case_for_each(
    "guest.masked",
    {
        "by-pstate-d": (MDE | KDE, EL1H),
        "without-kde": (MDE, EL1H & ~PSTATE_D),
        "without-mde": (KDE, EL1H & ~PSTATE_D),
    },
    "The guest's breakpoint at EL1 needs MDE and KDE set and PSTATE.D clear: {}, it stops nothing; "
    "with all three right, it does.",
    _OWN + "; MDSCR_EL1.MDE, .KDE; PSTATE.D",
)
def _(rig: Rig, what: tuple[int, int]) -> None:
    mdscr, pstate = what
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    debug_itself(rig, {0: breakpoint(code.at(1))}, {})
    rig.set_reg("MDSCR_EL1", mdscr)
    rig.pstate = pstate
    rig.done()
    # With all three right, it does.
    rig.start(code)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    rig.pstate = EL1H & ~PSTATE_D
    rig.takes(EC.BREAKPT_CUR, 0x200)


@case(
    "guest.step",
    "The guest steps its own EL0 with MDSCR_EL1.SS and SPSR_EL1.SS.",
    "Arm ARM D2.12 (Software Step exceptions)",
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(), el=0)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T | _SPSR_SS)
    rig.set_reg("MDSCR_EL1", _SS)
    rig.takes(EC.SOFTSTP_LOW, 0x400)
    rig.expect("x0: one instruction", rig.x(0), 1)
    rig.expect("ELR_EL1", rig.core("elr_el1"), below.at(1))


@case_for_each(
    "guest.step-isv",
    {
        "an-ordinary-instruction": (asm.NOP, True, 1, 0),
        "a-load-exclusive": (asm.load_exclusive(4, 1), True, 1, 1),
        "nothing": (asm.NOP, False, 0, 0),
    },
    "In the syndrome of the guest's own step of {}, ISV says whether an instruction was stepped, "
    "and EX whether it was a load-exclusive.",
    "Arm ARM ESR_EL1 (ISS of a Software Step exception); D2.12 (Software Step exceptions)",
)
def _(rig: Rig, what: tuple[int, bool, int, int]) -> None:
    word, active, isv, ex = what
    below = rig.machine.program(word, asm.NOP, rig.finish(), el=0)
    rig.code(asm.ERET)
    rig.set_x(1, DATA)
    rig.set_core("elr_el1", below.address)
    # With SPSR_EL1.SS clear, the step is pending at once.
    rig.set_core("spsr[0]", EL0T | (_SPSR_SS if active else 0))
    rig.set_reg("MDSCR_EL1", _SS)
    details = Syndrome.decode(rig.takes(EC.SOFTSTP_LOW, 0x400)).details
    assert isinstance(details, SoftwareStepIss)
    rig.expect("ISV", details.isv, isv)
    rig.expect("EX", details.ex, ex)
    rig.expect("ELR_EL1", rig.core("elr_el1"), below.at(int(active)))


@case_for_each(
    "guest.brk-handler",
    {"at-el1": 1, "at-el0": 0},
    "Without guest debugging, a guest that handles its BRK continues after it, {}.",
    "Arm ARM D2.7 (Breakpoint Instruction exceptions)",
)
def _(rig: Rig, el: int) -> None:
    handler = rig.machine.program(
        *([asm.NOP] * (0x80 if el else 0x100)),
        *(asm.mrs(10, "ELR_EL1"), asm.add(10, 10, 4), asm.msr("ELR_EL1", 10), asm.ERET),
    )
    rig.set_reg("VBAR_EL1", handler.address)
    rig.code(asm.brk(1), asm.add(0, 0, 1), rig.finish(0), el=el)
    rig.done(value=1)
