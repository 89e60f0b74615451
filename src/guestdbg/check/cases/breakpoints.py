"""Address breakpoints: every register, alone and together, what matches and what does not."""

from guestdbg.arm64.debug import DBGBCR, RegisterPair, breakpoint
from guestdbg.check import assembler as asm
from guestdbg.check.registry import case, cases, numbered
from guestdbg.check.rig import USE_HW, Rig

_MATCH = "Arm ARM D2.8 (Breakpoint exceptions)"


@cases(
    "breakpoint.register",
    numbered(),
    "Breakpoint register {} by itself stops before the instruction at its address.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig, number: int) -> None:
    rig.need_breakpoints(number + 1)
    code = rig.code(asm.NOP, asm.add(0, 0, 1), asm.NOP, rig.tell())
    rig.debug(USE_HW, {number: breakpoint(code.at(1))})
    rig.breaks(code.at(1))
    rig.expect("x0: the instruction is not executed yet", rig.x(0), 0)
    rig.debug(USE_HW)
    rig.done()


@case(
    "breakpoint.all-at-once",
    "All breakpoint registers together: each stops at its own address.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig) -> None:
    count = rig.breakpoints
    code = rig.code([asm.NOP] * (count + 1), rig.tell())
    armed = {n: breakpoint(code.at(n + 1)) for n in range(count)}
    for n in range(count):
        rig.debug(USE_HW, armed)
        rig.breaks(code.at(n + 1))
        del armed[n]
    rig.debug(USE_HW, armed)
    rig.done()


@case(
    "breakpoint.two-at-one-address",
    "Two registers with one address make one exception.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.tell())
    rig.debug(USE_HW, [breakpoint(code.at(1)), breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.debug(USE_HW)
    rig.done()


@case(
    "breakpoint.registers-beyond-the-last",
    "Registers that the processor has not are not used: what userspace puts there stops nothing.",
    "KVM API 4.87: only as many as KVM_CAP_GUEST_DEBUG_HW_BPS",
)
def _(rig: Rig) -> None:
    if rig.breakpoints == 16:
        rig.skip("all 16 registers are there")
    code = rig.code(asm.NOP, asm.NOP, rig.tell())
    rig.debug(USE_HW, {n: breakpoint(code.at(1)) for n in range(rig.breakpoints, 16)})
    rig.done()


@cases(
    "breakpoint.el",
    {f"{chosen}-at-el{el}": (chosen, el) for chosen in ("el0", "el1", "any") for el in (0, 1)},
    "PMC chooses the Exception levels at which a breakpoint matches: {}.",
    "Arm ARM DBGBCR<n>_EL1.PMC, table of HMC, SSC and PMC",
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    chosen, el = what
    code = rig.code(asm.NOP, asm.NOP, rig.tell(), el=el)
    rig.debug(USE_HW, [breakpoint(code.at(1), el=chosen)])  # type: ignore[arg-type]
    if chosen in ("any", f"el{el}"):
        rig.breaks(code.at(1))
    else:
        rig.done()


@case(
    "breakpoint.fetched-not-executed",
    "Only the instruction about to be executed matches: one that is branched over does not.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.b("over"), asm.NOP, asm.label("over"), rig.tell())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.done()


@case(
    "breakpoint.disabled",
    "A breakpoint with E = 0 does not match.",
    "Arm ARM DBGBCR<n>_EL1.E",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.tell())
    pair = breakpoint(code.at(1))
    rig.debug(USE_HW, [RegisterPair(DBGBCR.encode(base=pair.control, E=0), pair.value)])
    rig.done()
