"""Address breakpoints: every register, alone and together, what matches and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import DBGBCR, RegisterPair, breakpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA, VECTORS
from guestdbg.check.registry import case, case_for_each, numbered
from guestdbg.check.rig import EL0T, STEP, USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_MATCH = "Arm ARM D2.8 (Breakpoint exceptions)"


@case_for_each(
    "breakpoint.register",
    numbered(),
    "Breakpoint register {} alone stops before the instruction at its address.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig, number: int) -> None:
    rig.need_breakpoints(number + 1)
    code = rig.code(asm.NOP, asm.add(0, 0, 1), asm.NOP, rig.finish())
    rig.debug(USE_HW, {number: breakpoint(code.at(1))})
    rig.breaks(code.at(1))
    rig.expect("x0: the instruction is not executed yet", rig.x(0), 0)
    rig.debug(USE_HW)
    rig.done()


@case(
    "breakpoint.all-at-once",
    "With all breakpoint registers in use, each stops at its own address.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig) -> None:
    count = rig.breakpoints
    code = rig.code([asm.NOP] * (count + 1), rig.finish())
    armed = {n: breakpoint(code.at(n + 1)) for n in range(count)}
    for n in range(count):
        rig.debug(USE_HW, armed)
        rig.breaks(code.at(n + 1))
        del armed[n]
    rig.debug(USE_HW, armed)
    rig.done()


@case(
    "breakpoint.two-at-one-address",
    "Two registers with the same address cause one exception.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1)), breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.debug(USE_HW)
    rig.done()


@case(
    "breakpoint.registers-beyond-the-last",
    "Registers that the processor does not have are ignored: what userspace puts there stops "
    "nothing.",
    "KVM API 4.87: only as many as KVM_CAP_GUEST_DEBUG_HW_BPS",
)
def _(rig: Rig) -> None:
    if rig.breakpoints == 16:
        rig.skip("all 16 registers are implemented")
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    with rig.positive_control():
        rig.debug(USE_HW, {n: breakpoint(code.at(1)) for n in range(rig.breakpoints - 1, 16)})
        rig.breaks(code.at(1))
    rig.debug(USE_HW, {n: breakpoint(code.at(1)) for n in range(rig.breakpoints, 16)})
    rig.done()


@case_for_each(
    "breakpoint.el",
    {f"{chosen}-at-el{el}": (chosen, el) for chosen in ("el0", "el1", "any") for el in (0, 1)},
    "PMC chooses the Exception levels at which a breakpoint matches: {}.",
    "Arm ARM DBGBCR<n>_EL1.PMC, table of HMC, SSC and PMC",
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    chosen, el = what
    code = rig.code(asm.NOP, asm.NOP, rig.finish(), el=el)
    armed = [breakpoint(code.at(1), el=chosen)]  # type: ignore[arg-type]
    if chosen in ("any", f"el{el}"):
        rig.debug(USE_HW, armed)
        rig.breaks(code.at(1))
        return
    with rig.positive_control():
        rig.debug(USE_HW, [breakpoint(code.at(1))])
        rig.breaks(code.at(1))
    rig.debug(USE_HW, armed)
    rig.done()


@case(
    "breakpoint.fetched-not-executed",
    "Only the instruction about to be executed matches: one that is branched over does not.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.b("over"), asm.NOP, asm.label("over"), rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.done()
    rig.start(code)
    rig.pc = code.at(1)
    rig.breaks(code.at(1))


@case(
    "breakpoint.disabled",
    "A breakpoint with E = 0 does not match.",
    "Arm ARM DBGBCR<n>_EL1.E",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    pair = breakpoint(code.at(1))
    with rig.positive_control():
        rig.debug(USE_HW, [pair])
        rig.breaks(code.at(1))
    rig.debug(USE_HW, [RegisterPair(DBGBCR.encode(base=pair.control, E=0), pair.value)])
    rig.done()


_BEFORE: dict[str, int] = {
    "nop": asm.NOP,
    "add": asm.add(2, 2, 1),
    "store": asm.str_(2, 1),
    "load": asm.ldr(3, 1),
    "pair": asm.stp(2, 3, 1),
    "load-exclusive": asm.load_exclusive(3, 1),
    "taken-branch": asm.b(8),
    "call": asm.bl(8),
    "branch-to-register": asm.br(1),
    "svc": asm.svc(1),
    "hvc": asm.hvc(1),
    "eret": asm.ERET,
    "msr": asm.msr("TPIDR_EL1", 1),
    "trapped-mrs": asm.mrs(3, "OSLSR_EL1"),
    "wfi": asm.WFI,
    "isb": asm.ISB,
    "vector-add": asm.fadd(2, 2, 2),
}


@case_for_each(
    "breakpoint.before",
    _BEFORE,
    "A breakpoint on {} stops before it: registers, memory and Exception level are unchanged.",
    _MATCH,
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(asm.NOP, word, asm.NOP, asm.NOP, rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, 7)
    rig.set_core("elr_el1", code.at(3))
    rig.set_core("spsr[0]", rig.pstate)
    names = ["sp", "pstate", "sp_el1", "elr_el1", "spsr[0]", *(f"x{n}" for n in range(31)), "v2"]
    before = {name: rig.core(name) for name in names}
    tpidr = rig.reg("TPIDR_EL1")
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    for name, value in before.items():
        rig.expect(f"{name}, as before", rig.core(name), value)
    rig.expect("memory, as before", rig.machine.u64(DATA), 0)
    rig.expect("TPIDR_EL1, as before", rig.reg("TPIDR_EL1"), tpidr)


@case(
    "breakpoint.on-a-vector",
    "A breakpoint on an exception vector stops the guest when it takes the exception, with ELR_EL1 "
    "and ESR_EL1 already written.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.svc(5), rig.finish())
    rig.debug(USE_HW, [breakpoint(VECTORS + 0x200)])
    rig.breaks(VECTORS + 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(2))
    rig.expect("ESR_EL1", rig.reg("ESR_EL1") & 0xFFFFFFFF, 0x56000005)


@case(
    "breakpoint.after-eret",
    "A breakpoint on the instruction that ERET returns to, at EL0, stops there.",
    _MATCH,
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.NOP, rig.finish(), el=0)
    rig.code(asm.NOP, asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T)
    rig.debug(USE_HW, [breakpoint(below.address)])
    rig.breaks(below.address)
    rig.expect("PSTATE.EL", rig.pstate & 15, 0)


@case(
    "breakpoint.branch-to-itself",
    "A breakpoint on a branch to itself stops every time the branch is about to be executed.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.b(0))
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))


@case_for_each(
    "breakpoint.page",
    {"last-instruction-of": -4, "first-instruction-of-the-next": 0},
    "A breakpoint on the {} page stops there.",
    _MATCH,
)
def _(rig: Rig, offset: int) -> None:
    code = rig.code([asm.NOP] * 1030, rig.finish())
    at = code.address + 4096 + offset
    rig.debug(USE_HW, [breakpoint(at)])
    rig.breaks(at)


@case(
    "breakpoint.every-instruction-of-a-program",
    "A breakpoint that is moved to the next instruction after each stop follows the whole program.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig) -> None:
    code = rig.code(*(asm.add(0, 0, 1) for _ in range(20)), rig.finish())
    for n in range(20):
        rig.debug(USE_HW, [breakpoint(code.at(n))])
        rig.breaks(code.at(n))
        rig.expect("x0", rig.x(0), n)


@case_for_each(
    "breakpoint.not",
    {
        "one-instruction-on": 4,
        "one-before": -4,
        "the-same-offset-2-mib-on": 2 << 20,
        "the-same-offset-4-gib-on": 4 << 30,
    },
    "A breakpoint at another address ({}) does not match.",
    "Arm ARM DBGBVR<n>_EL1.VA",
)
def _(rig: Rig, distance: int) -> None:
    # Another program below, so that the word before the first instruction is executable too.
    rig.machine.program(asm.NOP)
    code = rig.code(asm.NOP, asm.NOP, asm.b("over"), asm.NOP, asm.label("over"), rig.finish())
    # Instructions 0, 1 and 2 are executed, 3 is not.
    at = {4: code.at(3), -4: code.at(0) - 4}.get(distance, code.at(1) + distance)
    with rig.positive_control():
        rig.debug(USE_HW, [breakpoint(code.at(1))])
        rig.breaks(code.at(1))
    rig.debug(USE_HW, [breakpoint(at)])
    rig.done()
    if distance < 4 << 30:
        # The breakpoint is armed: at its own address it stops.
        rig.start(code)
        rig.pc = at
        rig.breaks(at)


@case_for_each(
    "breakpoint.mmu-off",
    {"0": 0, "1": 1},
    "With the guest's MMU off, a breakpoint compares the untranslated address, also at EL{}.",
    _MATCH,
)
def _(rig: Rig, el: int) -> None:
    rig.set_reg("SCTLR_EL1", rig.reg("SCTLR_EL1") & ~1)
    code = rig.code(asm.NOP, asm.NOP, rig.finish(), el=el)
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
