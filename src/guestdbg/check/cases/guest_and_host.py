"""The guest's own debugging while the host debugs it, and afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.describe import taken_vector
from guestdbg.check.evidence import KDE, MDE, debug_itself
from guestdbg.check.layout import DATA, VECTORS
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import EL0T, ENABLE, STEP, USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_SHARED = "KVM API 4.87: userspace's registers replace the guest's own while in force"
_SS, _SPSR_SS = 1, 1 << 21


def _program_with_own_stop(rig: Rig, watch: bool) -> asm.Code:
    """A program with the guest's own watchpoint, or breakpoint, on its second instruction."""
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    arm_own_stop(rig, code, watch)
    return code


def arm_own_stop(rig: Rig, code: asm.Code, watch: bool) -> None:
    """The guest's own watchpoint, or breakpoint, on the second instruction, a store to [X1]."""
    rig.set_x(1, DATA)
    if watch:
        debug_itself(rig, {}, {0: watchpoint(DATA, 8)[0]})
    else:
        debug_itself(rig, {0: breakpoint(code.at(1))}, {})


def run_to_the_fifth(rig: Rig, code: asm.Code, control: int) -> None:
    """Run to the fifth instruction, a BRK: by four steps, or to userspace's breakpoint there.

    With a control word that has neither, the BRK itself exits.
    """
    if control == STEP:
        for n in range(4):
            rig.steps(code.at(n + 1))
    elif control == USE_HW:
        rig.breaks(code.at(4))
    else:
        rig.brk(code.at(4), 0)


@case_for_each(
    "guest.hidden",
    {"breakpoint": False, "watchpoint": True},
    "While userspace uses the registers, the guest's own {} stops nothing.",
    _SHARED,
)
def _(rig: Rig, watch: bool) -> None:
    _program_with_own_stop(rig, watch)
    with rig.positive_control():
        rig.takes(EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR, 0x200)
    rig.debug(USE_HW)
    rig.done()


@case_for_each(
    "guest.back-afterwards",
    {"breakpoint": False, "watchpoint": True},
    "Once userspace no longer uses the registers, the guest's own {} is in force again.",
    _SHARED,
)
def _(rig: Rig, watch: bool) -> None:
    code = _program_with_own_stop(rig, watch)
    rig.debug(USE_HW, [breakpoint(code.at(0))])
    rig.breaks(code.at(0))
    rig.debug(0)
    rig.takes(EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR, 0x200)


@case(
    "guest.armed-while-debugged",
    "What the guest arms while userspace debugs it stops nothing at that time, and is in force "
    "afterwards.",
    _SHARED,
)
def _(rig: Rig) -> None:
    code = rig.code(
        *(asm.msr("DBGWVR0_EL1", 1), asm.msr("DBGWCR0_EL1", 3), asm.msr("MDSCR_EL1", 4), asm.ISB),
        *(asm.daifclr(8), asm.str_(0, 1), asm.NOP, asm.str_(0, 1), rig.finish()),
    )
    for n, value in ((1, DATA), (3, watchpoint(DATA, 8)[0].control), (4, MDE | KDE)):
        rig.set_x(n, value)
    rig.debug(USE_HW, [breakpoint(code.at(6))])
    rig.breaks(code.at(6))
    rig.debug(0)
    rig.takes(EC.WATCHPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(7))


@case(
    "guest.the-hosts-set-stays",
    "What the guest writes into its registers does not change userspace's.",
    _SHARED,
)
def _(rig: Rig) -> None:
    code = rig.code(
        *(asm.msr("DBGBVR0_EL1", 31), asm.msr("DBGBCR0_EL1", 31), asm.msr("MDSCR_EL1", 31)),
        *(asm.ISB, asm.NOP, asm.NOP, rig.finish()),
    )
    rig.debug(USE_HW, [breakpoint(code.at(5))])
    rig.breaks(code.at(5))


_SETS = {"use-hw": USE_HW, "enable": ENABLE, "singlestep": STEP}
_REGISTERS = ("DBGBVR0_EL1", "DBGBCR0_EL1", "DBGWVR0_EL1", "DBGWCR0_EL1")


@case_for_each(
    "guest.reads",
    _SETS,
    "A guest that reads its debug registers while userspace debugs it ({}) sees its own values.",
    _SHARED,
)
def _(rig: Rig, control: int) -> None:
    values = {
        "DBGBVR0_EL1": VECTORS,
        "DBGBCR0_EL1": breakpoint(0).control & ~1,
        "DBGWVR0_EL1": DATA + 8,
        "DBGWCR0_EL1": watchpoint(DATA, 8)[0].control & ~1,
    }
    for name, value in values.items():
        rig.set_reg(name, value)
    code = rig.code(*(asm.mrs(2 + n, name) for n, name in enumerate(values)), asm.brk())
    host = ([breakpoint(code.at(4))], watchpoint(DATA + 64, 8))
    rig.debug(control, *host)
    run_to_the_fifth(rig, code, control)
    for n, (name, value) in enumerate(values.items()):
        rig.expect(f"{name} as the guest reads it", rig.x(2 + n), value)


@case_for_each(
    "guest.one-reg",
    _SETS,
    "One-reg access shows the guest's registers, never userspace's ({}).",
    _SHARED + "; KVM API 4.69 (KVM_GET_ONE_REG)",
)
def _(rig: Rig, control: int) -> None:
    code = rig.code([asm.NOP] * 4, asm.brk())
    rig.debug(control, [breakpoint(code.at(4))], watchpoint(DATA, 8))
    run_to_the_fifth(rig, code, control)
    for name in (*_REGISTERS, "MDSCR_EL1"):
        rig.expect(name, rig.reg(name), 0)


@case_for_each(
    "guest.mdscr",
    _SETS,
    "MDSCR_EL1 is the guest's own while userspace debugs it ({}): the guest reads what it wrote, "
    "and what it writes stays.",
    _SHARED + "; Arm ARM MDSCR_EL1",
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(
        *(asm.mrs(2, "MDSCR_EL1"), asm.msr("MDSCR_EL1", 3), asm.ISB, asm.mrs(4, "MDSCR_EL1")),
        asm.brk(),
    )
    rig.set_reg("MDSCR_EL1", KDE)
    rig.set_x(3, MDE)
    rig.debug(control, [breakpoint(code.at(4))])
    run_to_the_fifth(rig, code, control)
    rig.expect("MDSCR_EL1, first", rig.x(2), KDE)
    rig.expect("MDSCR_EL1, as written", rig.x(4), MDE)
    rig.expect("MDSCR_EL1 by one-reg access", rig.reg("MDSCR_EL1"), MDE)


@case_for_each(
    "guest.to-userspace",
    {"enable": ENABLE, "singlestep": STEP},
    "With {} and without USE_HW, the guest's own breakpoint is in the hardware, and its exception "
    "exits to userspace, which must inject it into the guest.",
    "KVM API 4.87; Arm ARM MDCR_EL2.TDE",
    until=(6, 14),
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(asm.NOP, rig.finish())
    debug_itself(rig, {0: breakpoint(code.at(0))}, {})
    rig.debug(control)
    rig.breaks(code.at(0))


@case(
    "guest.steps-itself-while-debugged",
    "The guest's own MDSCR_EL1.SS is not in force while userspace debugs it without SINGLESTEP.",
    _SHARED + "; Arm ARM MDSCR_EL1.SS",
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.NOP, asm.NOP, asm.NOP, rig.finish(), el=0)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T | _SPSR_SS)
    rig.set_reg("MDSCR_EL1", _SS)
    rig.debug(USE_HW, [breakpoint(below.at(2))])
    rig.breaks(below.at(2))


@case(
    "guest.both-step",
    "Userspace can also step a guest that steps its own EL0, one instruction at a time.",
    _SHARED + "; Arm ARM D2.12",
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(), el=0)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T)
    rig.set_reg("MDSCR_EL1", _SS)
    rig.debug(STEP)
    rig.steps(below.at(0))
    rig.steps(below.at(1))
    rig.expect("x0", rig.x(0), 1)


_TDCC = 1 << 12
_TRAPPED = "Arm ARM MDSCR_EL1.TDCC; D1.3 (traps to EL1 come before traps to EL2)"


def _set_tdcc(rig: Rig, *, stop: bool) -> tuple[asm.Code, asm.Code]:
    """A guest that sets MDSCR_EL1.TDCC, reads it into x4, and goes to EL0, which reads MDCCSR.

    With ``stop``, the fifth instruction is a BRK.
    """
    below = rig.machine.program(asm.mrs(5, "MDCCSR_EL0"), rig.finish(), el=0)
    code = rig.code(
        *(asm.msr("MDSCR_EL1", 3), asm.ISB, asm.mrs(4, "MDSCR_EL1"), asm.NOP),
        *(asm.brk() if stop else asm.NOP, asm.ERET),
    )
    rig.set_x(3, _TDCC)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T)
    return code, below


@case_for_each(
    "guest.tdcc",
    _SETS,
    "MDSCR_EL1.TDCC, which the guest sets while userspace debugs it ({}), is kept: it reads as "
    "written, also once debugging has ended.",
    _SHARED + "; Arm ARM MDSCR_EL1.TDCC",
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(
        *(asm.msr("MDSCR_EL1", 3), asm.ISB, asm.mrs(4, "MDSCR_EL1"), asm.NOP, asm.brk()),
        *(asm.mrs(6, "MDSCR_EL1"), rig.finish(6)),
    )
    rig.set_x(3, _TDCC)
    rig.debug(control, [breakpoint(code.at(4))])
    run_to_the_fifth(rig, code, control)
    rig.expect("MDSCR_EL1 as the guest reads it", rig.x(4), _TDCC)
    rig.expect("MDSCR_EL1 by one-reg access", rig.reg("MDSCR_EL1"), _TDCC)
    rig.debug(0)
    rig.pc = code.at(5)
    rig.done(value=_TDCC)


@case_for_each(
    "guest.tdcc-traps",
    _SETS | {"undebugged": 0},
    "With MDSCR_EL1.TDCC, which the guest has set, an access of its EL0 to the debug "
    "communications channel is trapped to its EL1, also while userspace debugs it ({}).",
    _TRAPPED,
)
def _(rig: Rig, control: int) -> None:
    own = rig.another_machine()
    _set_tdcc(own, stop=False)
    exit_ = own.run()
    if taken_vector(exit_) is None:
        own.done(exit_=exit_)
        rig.skip("the processor does not trap these accesses for the guest's own EL1 (TDCC)")
    own.takes(EC.SYS64, 0x400, exit_=exit_)
    code, below = _set_tdcc(rig, stop=bool(control))
    if control:
        rig.debug(control, [breakpoint(code.at(4))])
        run_to_the_fifth(rig, code, control)
        rig.debug(control)
        rig.pc = code.at(5)
    if control == STEP:
        for at in (below.at(0), VECTORS + 0x400):
            rig.steps(at)
        rig.debug(0)
    rig.takes(EC.SYS64, 0x400)
    rig.expect("MDSCR_EL1 as the guest read it", rig.x(4), _TDCC)
    rig.expect("ELR_EL1", rig.core("elr_el1"), below.at(0))


_READABLE = {
    "oslsr": ("OSLSR_EL1", 8),
    "osdlr": ("OSDLR_EL1", 0),
    "mdccsr": ("MDCCSR_EL0", 0),
}


@case_for_each(
    "guest.reads-register",
    {
        f"{name}-{how}": (*what, control)
        for name, what in _READABLE.items()
        for how, control in (("undebugged", 0), ("debugged", USE_HW))
    },
    "The guest may read {}: KVM emulates it, with the same value whether or not userspace debugs "
    "the guest.",
    "Arm ARM D19.3 (Debug registers); KVM emulates them for the guest",
)
def _(rig: Rig, what: tuple[str, int, int]) -> None:
    name, expected, control = what
    code = rig.code(asm.mrs(2, name), rig.finish(2))
    rig.set_x(2, 0xDEAD)
    if control:
        rig.debug(control, [breakpoint(code.at(1))])
        rig.breaks(code.at(1))
        rig.debug(control)
    rig.done(value=expected)


@case_for_each(
    "guest.every-register",
    {"breakpoints": "B", "watchpoints": "W"},
    "All of the guest's {} keep what it writes into them, also while userspace uses its own.",
    "Arm ARM D2 (AArch64 Self-hosted Debug); " + _SHARED,
)
def _(rig: Rig, kind: str) -> None:
    count = rig.breakpoints if kind == "B" else rig.watchpoints
    names = [f"DBG{kind}VR{n}_EL1" for n in range(count)]
    words: list[int] = []
    for n, name in enumerate(names):
        words += [asm.add(2, 1, 8 * n), asm.msr(name, 2)]
    code = rig.code(
        words, asm.NOP, *(asm.mrs(3 + n, name) for n, name in enumerate(names)), rig.finish()
    )
    rig.set_x(1, DATA)
    rig.debug(USE_HW, [breakpoint(code.at(len(words)))])
    rig.breaks(code.at(len(words)))
    rig.debug(0)
    rig.done()
    for n, name in enumerate(names):
        rig.expect(f"{name} as the guest reads it", rig.x(3 + n), DATA + 8 * n)
        rig.expect(f"{name} by one-reg access", rig.reg(name), DATA + 8 * n)
