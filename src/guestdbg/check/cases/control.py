"""KVM_SET_GUEST_DEBUG: which control words are accepted, and what each means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import RegisterPair, breakpoint, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import ENABLE, STEP, USE_HW, USE_SW_BP

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_CONTROL = "KVM API 4.87 (KVM_SET_GUEST_DEBUG, control)"
_FLAGS = {
    "off": 0,
    "enable": ENABLE,
    "singlestep": STEP,
    "use-sw-bp": USE_SW_BP,
    "use-hw": USE_HW,
    "everything": STEP | USE_SW_BP | USE_HW,
}


@case_for_each("control.accepts", _FLAGS, "The control word for {} is accepted.", _CONTROL)
def _(rig: Rig, control: int) -> None:
    rig.debug(control)
    rig.debug(0)


_UNKNOWN = [bit for bit in range(32) if not (STEP | USE_SW_BP | USE_HW) >> bit & 1]


@case_for_each(
    "control.refuses-bit",
    {str(bit): bit for bit in _UNKNOWN},
    "Bit {} of the control word is not a flag on arm64, and is refused with EINVAL.",
    _CONTROL,
)
def _(rig: Rig, bit: int) -> None:
    rig.refused(f"ENABLE | bit {bit}", lambda: rig.debug(ENABLE | 1 << bit))
    rig.refused(f"bit {bit} without ENABLE", lambda: rig.debug(1 << bit))


@case(
    "control.refused-changes-nothing",
    "A refused control word changes nothing: what was in force stays in force.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.refused("an unknown flag", lambda: rig.debug(ENABLE | 4, [breakpoint(code.at(2))]))
    rig.breaks(code.at(1))


@case(
    "control.flags-without-enable",
    "Without ENABLE nothing is debugged, whatever the other flags are.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    armed = ([breakpoint(code.at(1))], watchpoint(DATA, 8))
    with rig.positive_control():
        rig.debug(STEP | USE_HW, *armed)
        rig.steps(code.at(1))
        rig.breaks(code.at(1))
        rig.debug(STEP | USE_HW, (), armed[1])
        rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug((STEP | USE_HW) & ~ENABLE, *armed)
    rig.done()


@case(
    "control.off-ends-everything",
    "Control 0 ends stepping, breakpoints and watchpoints at once.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    armed = ([breakpoint(code.at(2))], watchpoint(DATA, 8))
    rig.debug(STEP | USE_HW, *armed)
    rig.steps(code.at(1))
    with rig.positive_control():
        rig.steps(code.at(2))
        rig.breaks(code.at(2))
        rig.debug(STEP | USE_HW, (), armed[1])
        rig.watches(code.at(2), DATA, DATA + 7, write=True)
    rig.debug(STEP | USE_HW, *armed)
    rig.debug(0, *armed)
    rig.done()


def _stops_for_both(
    rig: Rig, code: asm.Code, breakpoints: list[RegisterPair], watchpoints: list[RegisterPair]
) -> None:
    """With USE_HW, instruction 1 stops for the breakpoint, and then for the watchpoint."""
    rig.debug(USE_HW, breakpoints, watchpoints)
    rig.breaks(code.at(1))
    rig.debug(USE_HW, (), watchpoints)
    rig.watches(code.at(1), DATA, DATA + 7, write=True)


@case(
    "control.enable-alone-stops-nothing",
    "ENABLE without further flags stops no ordinary instruction: the registers in the call are not "
    "used.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    armed = ([breakpoint(code.at(1))], watchpoint(DATA, 8))
    with rig.positive_control():
        _stops_for_both(rig, code, *armed)
    rig.debug(ENABLE, *armed)
    rig.done()


@case(
    "control.use-hw-with-nothing-armed",
    "USE_HW with registers that are all disabled stops nothing.",
    _CONTROL + "; Arm ARM DBGBCR<n>_EL1.E, DBGWCR<n>_EL1.E",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    armed = ([breakpoint(code.at(1))], watchpoint(DATA, 8))
    with rig.positive_control():
        _stops_for_both(rig, code, *armed)
    rig.debug(USE_HW, *([RegisterPair(p.control & ~1, p.value) for p in pairs] for pairs in armed))
    rig.done()


@case(
    "control.use-hw-replaces-the-set",
    "Every call with USE_HW replaces the whole set: a register that it leaves zero is disarmed.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, {0: breakpoint(code.at(1)), 1: breakpoint(code.at(2))})
    rig.breaks(code.at(1))
    rig.debug(USE_HW, {0: breakpoint(code.at(3))})
    rig.breaks(code.at(3))


@case(
    "control.stays-in-force",
    "Guest debugging stays in force for every run until the next call.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.label("top"), asm.NOP, asm.b("top"))
    rig.debug(USE_HW, [breakpoint(code["top"])])
    for _ in range(5):
        rig.breaks(code["top"])
        rig.pc = code.at(1)


@case(
    "control.a-breakpoint-holds-its-instruction",
    "Running again from a breakpoint that is still armed stops there again: KVM does not step over "
    "it.",
    _CONTROL,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    for _ in range(3):
        rig.breaks(code.at(1))
