"""One-reg access to the debug registers, and moving them from one machine to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import KDE, MDE
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import PSTATE_D, STEP, USE_HW
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_ONE_REG = "KVM API 4.68, 4.69 (KVM_SET_ONE_REG, KVM_GET_ONE_REG)"
_LIST = "KVM API 4.72 (KVM_GET_REG_LIST)"
_KINDS = ("DBGBVR", "DBGBCR", "DBGWVR", "DBGWCR")


def _value(kind: str, n: int) -> int:
    if kind.endswith("VR"):
        return DATA + 64 * n
    # Everything but the enable bit, so that nothing is armed.
    return (breakpoint(0) if kind == "DBGBCR" else watchpoint(DATA, 8)[0]).control & ~1


@case_for_each(
    "one-reg.keeps",
    {f"{kind.lower()}{n}": (kind, n) for kind in _KINDS for n in range(16)},
    "One-reg access writes and reads back {}.",
    _ONE_REG,
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    kind, n = what
    name = f"{kind}{n}_EL1"
    rig.set_reg(name, _value(kind, n))
    rig.expect(name, rig.reg(name), _value(kind, n))
    for other in _KINDS:
        if other != kind:
            rig.expect(f"{other}{n}_EL1, not written", rig.reg(f"{other}{n}_EL1"), 0)


@case_for_each(
    "one-reg.listed",
    {
        name.lower().replace("_", "-"): name
        for name in (
            *(f"{kind}{n}_EL1" for kind in _KINDS for n in (0, 1, 15)),
            "MDSCR_EL1",
        )
    },
    "{} is in the list of registers: it is saved and restored with the rest.",
    _LIST,
)
def _(rig: Rig, name: str) -> None:
    rig.expect(f"{name} in the list", sys_reg(name) in rig.vcpu.get_reg_list(), True)


@case(
    "one-reg.listed.oslsr-el1",
    "OSLSR_EL1 is in the list of registers: the OS Lock is saved and restored with the rest.",
    _LIST,
    since=(5, 18),
)
def _(rig: Rig) -> None:
    rig.expect("OSLSR_EL1 in the list", sys_reg("OSLSR_EL1") in rig.vcpu.get_reg_list(), True)


@case(
    "one-reg.all-of-the-list",
    "Every register of the list can be read.",
    _LIST,
)
def _(rig: Rig) -> None:
    for reg_id in rig.vcpu.get_reg_list():
        rig.vcpu.get_one_reg(reg_id)


@case(
    "one-reg.takes-effect",
    "What one-reg access writes into the guest's debug registers is in force at its next run.",
    _ONE_REG,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.done()
    rig.start(code)
    pair = breakpoint(code.at(1))
    rig.set_reg("DBGBCR0_EL1", pair.control)
    rig.set_reg("DBGBVR0_EL1", pair.value)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    rig.pstate = rig.pstate & ~PSTATE_D
    rig.takes(EC.BREAKPT_CUR, 0x200)


@case(
    "one-reg.while-debugged",
    "Writing the guest's registers by one-reg access while userspace debugs it changes the guest's "
    "registers, not userspace's.",
    _ONE_REG + "; 4.87",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.set_reg("DBGBVR0_EL1", code.at(2))
    rig.set_reg("DBGBCR0_EL1", 0)
    rig.pc = code.at(0)
    rig.breaks(code.at(1))
    rig.expect("DBGBVR0_EL1", rig.reg("DBGBVR0_EL1"), code.at(2))


@case_for_each(
    "one-reg.identity-stays",
    {"the-same": 0, "another": 1},
    "ID_AA64DFR0_EL1 may be written with its own value ({}), but never with more breakpoints than "
    "there are.",
    _ONE_REG + "; EINVAL for a value that the host cannot give",
)
def _(rig: Rig, change: int) -> None:
    value = rig.reg("ID_AA64DFR0_EL1")
    if change:
        if value >> 12 & 15 == 15:
            rig.skip("all 16 breakpoints are implemented")
        rig.refused(
            "ID_AA64DFR0_EL1 with one breakpoint more",
            lambda: rig.set_reg("ID_AA64DFR0_EL1", value + (1 << 12)),
        )
    else:
        rig.set_reg("ID_AA64DFR0_EL1", value)
    rig.expect("ID_AA64DFR0_EL1", rig.reg("ID_AA64DFR0_EL1"), value)


def _moved(rig: Rig) -> Rig:
    """A vCPU of another machine, with the debug registers of this one."""
    other = rig.another_machine()
    names = [f"{kind}{n}_EL1" for kind in _KINDS for n in range(16)]
    listed = set(rig.vcpu.get_reg_list())
    for name in (*names, "MDSCR_EL1", "OSLSR_EL1"):
        if sys_reg(name) in listed:
            other.set_reg(name, rig.reg(name))
    return other


@case_for_each(
    "migration.of",
    {"breakpoint": False, "watchpoint": True},
    "The guest's own {} moves to another machine with its registers, and works there.",
    _ONE_REG,
)
def _(rig: Rig, watch: bool) -> None:
    program = (asm.NOP, asm.str_(0, 1), rig.finish())
    code = rig.code(*program)
    kind, pair = ("W", watchpoint(DATA, 8)[0]) if watch else ("B", breakpoint(code.at(1)))
    rig.set_reg(f"DBG{kind}CR1_EL1", pair.control)
    rig.set_reg(f"DBG{kind}VR1_EL1", pair.value)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    other = _moved(rig)
    there = other.code(*program)
    other.expect("the program's address", there.address, code.address)
    other.set_x(1, DATA)
    other.pstate = other.pstate & ~PSTATE_D
    other.takes(EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR, 0x200)
    other.expect("ELR_EL1", other.core("elr_el1"), code.at(1))


@case(
    "migration.of-the-lock",
    "A locked OS Lock moves to another machine too: what it masked stays masked.",
    _ONE_REG + "; Arm ARM OSLSR_EL1",
    since=(5, 18),
)
def _(rig: Rig) -> None:
    code = rig.code(asm.msr("OSLAR_EL1", 2), asm.ISB, rig.finish())
    rig.set_x(2, 1)
    rig.done()
    pair = breakpoint(code.at(1))
    rig.set_reg("DBGBCR0_EL1", pair.control)
    rig.set_reg("DBGBVR0_EL1", pair.value)
    rig.set_reg("MDSCR_EL1", MDE | KDE)
    other = _moved(rig)
    there = other.code(asm.NOP, asm.NOP, other.finish())
    other.expect("the program's address", there.at(1), pair.value)
    other.pstate = other.pstate & ~PSTATE_D
    with other.positive_control():
        other.set_reg("OSLSR_EL1", 8)
        other.takes(EC.BREAKPT_CUR, 0x200)
    other.set_reg("OSLSR_EL1", 10)
    other.done()
    other.expect("OSLSR_EL1", other.reg("OSLSR_EL1"), 10)


@case(
    "migration.not-of-the-debugging",
    "Userspace's debugging does not move with the registers: it must be set again.",
    _ONE_REG + "; 4.87",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(STEP | USE_HW, [breakpoint(code.at(1))], watchpoint(DATA, 8))
    rig.steps(code.at(1))
    other = _moved(rig)
    there = other.code(asm.NOP, asm.NOP, other.finish())
    other.done()
    other.start(there)
    other.debug(USE_HW, [breakpoint(there.at(1))])
    other.breaks(there.at(1))


@case(
    "migration.in-the-middle-of-steps",
    "A vCPU that is moved to another machine between two steps continues exactly where it was.",
    _ONE_REG,
)
def _(rig: Rig) -> None:
    program = ([asm.add(0, 0, 1)] * 6, rig.finish())
    code = rig.code(*program)
    rig.debug(STEP)
    for n in range(3):
        rig.steps(code.at(n + 1))
    other = _moved(rig)
    there = other.code(*program)
    other.set_x(0, rig.x(0))
    other.pc = there.address + (rig.pc - code.address)
    other.pstate = rig.pstate
    other.debug(STEP)
    for n in range(3, 6):
        other.steps(there.at(n + 1))
        other.expect("x0", other.x(0), n + 1)
