"""Several vCPUs of one machine, each debugged by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import STEP, USE_HW, USE_SW_BP

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_EACH = "KVM API 4.87: KVM_SET_GUEST_DEBUG is a call of a vCPU"


def _both(rig: Rig, *items: asm.Item) -> tuple[Rig, asm.Code]:
    """A second vCPU; both are at the start of the same program."""
    other = rig.another_vcpu()
    code = rig.code(*items)
    other.start(code)
    return other, code


@case_for_each(
    "vcpus.only-the-one",
    {"breakpoint": 0, "watchpoint": 1, "step": 2, "brk": 3},
    "Of two vCPUs, only the debugged one stops: {}.",
    _EACH,
)
def _(rig: Rig, what: int) -> None:
    store = asm.brk(1) if what == 3 else asm.str_(0, 1)
    other, code = _both(rig, asm.NOP, store, rig.finish())
    rig.set_x(1, DATA)
    other.set_x(1, DATA)
    if what == 0:
        rig.debug(USE_HW, [breakpoint(code.at(1))])
    elif what == 1:
        rig.debug(USE_HW, (), watchpoint(DATA, 8))
    elif what == 2:
        rig.debug(STEP)
    else:
        rig.debug(USE_SW_BP)
        other.pc = code.at(2)
    other.done()
    if what == 0:
        rig.breaks(code.at(1))
    elif what == 1:
        rig.watches(code.at(1), DATA, DATA + 7, write=True)
    elif what == 2:
        rig.steps(code.at(1))
    else:
        rig.brk(code.at(1), 1)


@case(
    "vcpus.different-breakpoints",
    "Two vCPUs in one program, each with its own breakpoint in the same register.",
    _EACH,
)
def _(rig: Rig) -> None:
    other, code = _both(rig, [asm.NOP] * 5, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(2))])
    other.debug(USE_HW, [breakpoint(code.at(4))])
    rig.breaks(code.at(2))
    other.breaks(code.at(4))
    rig.debug(0)
    other.breaks(code.at(4))
    rig.done()
    other.debug(0)
    other.done()


@case(
    "vcpus.different-watchpoints",
    "Two vCPUs store to the same doubleword; the one that watches it stops, and the other stores.",
    _EACH,
)
def _(rig: Rig) -> None:
    other, code = _both(rig, asm.str_(0, 1), rig.finish())
    for one, value in ((rig, 1), (other, 2)):
        one.set_x(0, value)
        one.set_x(1, DATA)
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    other.debug(USE_HW, (), watchpoint(DATA + 8, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    other.done()
    rig.expect("the doubleword", rig.machine.u64(DATA), 2)
    rig.debug(0)
    rig.done()
    rig.expect("the doubleword, at the end", rig.machine.u64(DATA), 1)


@case(
    "vcpus.stepped-in-turns",
    "Two vCPUs stepped in turns each advance by one instruction of their own.",
    _EACH,
)
def _(rig: Rig) -> None:
    other, code = _both(rig, [asm.add(0, 0, 1)] * 6, rig.finish())
    rig.debug(STEP)
    other.debug(STEP)
    for n in range(4):
        rig.steps(code.at(n + 1))
        other.steps(code.at(n + 1))
        rig.expect("x0 of the first", rig.x(0), n + 1)
        rig.expect("x0 of the second", other.x(0), n + 1)


@case(
    "vcpus.one-steps-one-breaks",
    "One vCPU is stepped while another has a breakpoint: neither stops for the other's debugging.",
    _EACH,
)
def _(rig: Rig) -> None:
    other, code = _both(rig, [asm.NOP] * 6, rig.finish())
    rig.debug(STEP)
    other.debug(USE_HW, [breakpoint(code.at(3))])
    for n in range(5):
        rig.steps(code.at(n + 1))
        if n == 2:
            other.breaks(code.at(3))
    other.debug(USE_HW)
    other.done()


@case(
    "vcpus.added-later",
    "A vCPU created while another is debugged is not debugged.",
    _EACH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(STEP | USE_HW, [breakpoint(code.at(1))])
    rig.steps(code.at(1))
    other = rig.another_vcpu()
    other.start(code)
    other.done()
    rig.breaks(code.at(1))


@case_for_each(
    "vcpus.added-after-a-run",
    {"undebugged": False, "debugged": True},
    "A vCPU added to a machine after another has run ({}) runs to the end of its program, and can "
    "be debugged; the other stays as it was.",
    _EACH + "; 4.7 (KVM_CREATE_VCPU)",
)
def _(rig: Rig, debugged: bool) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    if debugged:
        rig.debug(USE_HW, [breakpoint(code.at(1))])
        rig.breaks(code.at(1))
    else:
        rig.done()
    other = rig.another_vcpu()
    other.start(code)
    other.set_x(1, DATA)
    other.done()
    other.start(code)
    other.debug(USE_HW, [breakpoint(code.at(0))], watchpoint(DATA, 8))
    other.breaks(code.at(0))
    other.debug(USE_HW, (), watchpoint(DATA, 8))
    other.watches(code.at(2), DATA, DATA + 7, write=True)
    rig.start(code)
    if debugged:
        rig.breaks(code.at(1))
    else:
        rig.done()


@case(
    "vcpus.own-registers",
    "One-reg access reaches each vCPU's own debug registers.",
    "KVM API 4.68 (KVM_SET_ONE_REG)",
)
def _(rig: Rig) -> None:
    other = rig.another_vcpu()
    rig.set_reg("DBGBVR0_EL1", 0x1000)
    other.set_reg("DBGBVR0_EL1", 0x2000)
    rig.expect("DBGBVR0_EL1 of the first", rig.reg("DBGBVR0_EL1"), 0x1000)
    rig.expect("DBGBVR0_EL1 of the second", other.reg("DBGBVR0_EL1"), 0x2000)


@case(
    "vcpus.machines-apart",
    "vCPUs of different machines are debugged independently, at the same addresses.",
    _EACH,
)
def _(rig: Rig) -> None:
    other = rig.another_machine()
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, rig.finish())
    there = other.code(asm.NOP, asm.NOP, asm.NOP, other.finish())
    rig.expect("the addresses", there.address, code.address)
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    other.debug(USE_HW, [breakpoint(code.at(2))])
    rig.breaks(code.at(1))
    other.breaks(code.at(2))


@case(
    "vcpus.reset",
    "Initialising a vCPU again resets its registers; userspace's debugging stays in force.",
    "KVM API 4.82 (KVM_ARM_VCPU_INIT); 4.87",
)
def _(rig: Rig) -> None:
    rig.set_reg("DBGBVR0_EL1", 0x1000)
    rig.set_reg("MDSCR_EL1", 1 << 15)
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.reset()
    for name in ("DBGBVR0_EL1", "MDSCR_EL1"):
        rig.expect(name, rig.reg(name), 0)
    rig.start(code)
    rig.breaks(code.at(1))
