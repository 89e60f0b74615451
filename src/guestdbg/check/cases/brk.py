"""BRK: software breakpoints, with and without KVM_GUESTDBG_USE_SW_BP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import ENABLE, STEP, USE_HW, USE_SW_BP

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_BRK = "Arm ARM D2.7 (Breakpoint Instruction exceptions); KVM API 4.87 (KVM_GUESTDBG_USE_SW_BP)"
_CONTROLS = {
    "enable": ENABLE,
    "use-sw-bp": USE_SW_BP,
    "use-hw": USE_HW,
    "singlestep": STEP,
    "everything": STEP | USE_SW_BP | USE_HW,
}


@case_for_each(
    "brk.exits",
    {f"{name}-at-el{el}": (control, el) for name, control in _CONTROLS.items() for el in (1, 0)},
    "While userspace debugs the guest, BRK exits to userspace, with the PC at the BRK: {}.",
    _BRK,
)
def _(rig: Rig, what: tuple[int, int]) -> None:
    control, el = what
    code = rig.code(asm.brk(0x123), rig.finish(), el=el)
    rig.debug(control)
    rig.brk(code.at(0), 0x123)


@case_for_each(
    "brk.comment",
    {f"{value:04x}": value for value in (0, 1, 0x3E8, 0x8000, 0xFFFF)},
    "The syndrome holds the immediate of the BRK: {}.",
    "Arm ARM ESR_EL2 (ISS of a Breakpoint Instruction exception)",
)
def _(rig: Rig, value: int) -> None:
    code = rig.code(asm.NOP, asm.brk(value), rig.finish())
    rig.debug(USE_SW_BP)
    rig.brk(code.at(1), value)


@case_for_each(
    "brk.undebugged",
    {"at-el1": 1, "at-el0": 0},
    "Without guest debugging, the guest takes its BRK itself, {}.",
    _BRK,
)
def _(rig: Rig, el: int) -> None:
    code = rig.code(asm.brk(0x123), el=el)
    esr = rig.takes(EC.BRK64, 0x200 if el else 0x400)
    rig.expect("the comment in ESR_EL1", esr & 0x1FFFFFF, 0x123)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(0))


@case(
    "brk.after-debugging",
    "Once debugging is off, the guest takes its BRK itself again.",
    _BRK,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.brk(5))
    rig.debug(USE_SW_BP)
    rig.brk(code.at(0), 5)
    rig.debug(0)
    rig.takes(EC.BRK64, 0x200)


@case("brk.again", "Running again from a BRK stops at it again: KVM does not step over it.", _BRK)
def _(rig: Rig) -> None:
    code = rig.code(asm.brk(5), rig.finish())
    rig.debug(USE_SW_BP)
    for _ in range(3):
        rig.brk(code.at(0), 5)
    rig.pc = code.at(1)
    rig.done()


@case(
    "brk.not-executed",
    "A BRK that is branched over stops nothing.",
    _BRK,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.b("over"), asm.brk(5), asm.label("over"), rig.finish())
    rig.debug(USE_SW_BP)
    with rig.positive_control():
        rig.pc = code.at(1)
        rig.brk(code.at(1), 5)
    rig.done()


@case(
    "brk.steps-to-it",
    "The step that reaches a BRK is a step exit. The next one is the BRK's exit, and the PC stays.",
    _BRK + "; D2.12 (Software Step exceptions)",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.brk(5), rig.finish())
    rig.debug(STEP | USE_SW_BP)
    rig.steps(code.at(1))
    rig.brk(code.at(1), 5)
    rig.brk(code.at(1), 5)


@case_for_each(
    "brk.hlt",
    {"debugged": USE_SW_BP, "undebugged": 0},
    "HLT is for external debuggers. Without one it is UNDEFINED in the guest ({}).",
    "Arm ARM C6.2 (HLT): UNDEFINED where halting is not allowed",
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(asm.hlt(1), asm.brk(1))
    rig.debug(control)
    if control:
        with rig.positive_control():
            rig.pc = code.at(1)
            rig.brk(code.at(1), 1)
    rig.takes(EC.UNKNOWN, 0x200)
