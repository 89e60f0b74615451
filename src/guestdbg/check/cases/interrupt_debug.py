"""Interrupts and guest debug: stops in a handler, steps with an interrupt pending, both together"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import ready
from guestdbg.check.evidence import KDE, MDE, debug_itself
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import PSTATE_D, STEP, USE_HW, USE_SW_BP

if TYPE_CHECKING:
    from guestdbg.arm64.debug import RegisterPair
    from guestdbg.check.controller import Controller
    from guestdbg.check.rig import Rig

_EXIT = "KVM API 5, KVM_EXIT_DEBUG; 4.87 (KVM_SET_GUEST_DEBUG)"
_STEP = "Arm ARM D2.12 (Software Step exceptions); KVM API 4.87 (KVM_GUESTDBG_SINGLESTEP)"
_OWN = "Arm ARM D2.3 (routing and masking of debug exceptions: PSTATE.D), D1.10.2"
_SPI = 40
_PSTATE_I, _PSTATE_SS = 1 << 7, 1 << 21


def _guest(rig: Rig, *handler: asm.Item) -> tuple[Controller, asm.Code]:
    """A guest with an edge-triggered SPI enabled, and its vectors."""
    controller = ready(rig)
    vectors = irq.install(rig, *handler)
    rig.code(irq.start(), irq.enable(_SPI, edge=True), rig.finish())
    rig.done()
    return controller, vectors


def _edge(controller: Controller) -> None:
    controller.line(_SPI, 1)
    controller.line(_SPI, 0)


def _unmasked(rig: Rig) -> None:
    rig.pstate = rig.pstate & ~_PSTATE_I


@case(
    "interrupts.debug.breakpoint-in-the-handler",
    "A breakpoint in the interrupt handler stops there; the interrupt is active, the guest's "
    "ELR_EL1 and SPSR_EL1 are those of the interrupted program, and it goes on.",
    _EXIT,
)
def _(rig: Rig) -> None:
    controller, vectors = _guest(rig)
    code = rig.code(irq.TAKE, asm.add(0, 0, 1), rig.finish(0))
    # After the acknowledge.
    at = vectors["irq"] + 4
    rig.debug(USE_HW, [breakpoint(at)])
    with rig.positive_control():
        _edge(controller)
        rig.breaks(at)
        rig.debug(0)
        rig.reports("INTID", _SPI)
        rig.done(value=1)
        rig.set_x(0, 0)
    rig.debug(USE_HW, [breakpoint(at)])
    rig.done(value=1)
    rig.start(code)
    _edge(controller)
    rig.breaks(at)
    rig.expect_one_of("ELR_EL1", rig.core("elr_el1"), (code.at(1), code.at(2)))
    rig.expect("SPSR_EL1.I", rig.core("spsr[0]") >> 7 & 1, 0)
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), True)
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.done(value=2)


@case(
    "interrupts.debug.watchpoint-in-the-handler",
    "A watchpoint stops the handler before its access; the interrupt is acknowledged once.",
    _EXIT,
)
def _(rig: Rig) -> None:
    stores = [asm.str_(20, 21)]
    controller, vectors = _guest(rig, *stores, *irq.ACKNOWLEDGE_AND_END)
    rig.set_x(20, 7)
    rig.set_x(21, DATA)
    rig.code(irq.TAKE, rig.finish())
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    _edge(controller)
    rig.watches(vectors["irq"], DATA, DATA + 7, write=True)
    rig.expect("the doubleword", rig.machine.u64(DATA), 0)
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.expect("the doubleword", rig.machine.u64(DATA), 7)
    rig.done()


@case(
    "interrupts.debug.brk-in-the-handler",
    "A software breakpoint in the interrupt handler exits, and goes on after it.",
    _EXIT + " (KVM_GUESTDBG_USE_SW_BP)",
)
def _(rig: Rig) -> None:
    controller, vectors = _guest(rig, asm.brk(5), *irq.ACKNOWLEDGE_AND_END)
    rig.code(irq.TAKE, rig.finish())
    rig.debug(USE_SW_BP)
    _edge(controller)
    rig.brk(vectors["irq"], 5)
    rig.expect("pending", controller.is_set(irq.ISPENDR, _SPI), True)
    rig.pc = vectors["irq"] + 4
    rig.reports("INTID", _SPI)
    rig.done()


@case(
    "interrupts.debug.breakpoint-of-the-interrupted",
    "With an interrupt pending at an instruction with a breakpoint, both come, in any order; the "
    "instruction is executed once.",
    _EXIT + "; Arm ARM D1.13 (prioritization of interrupts is not defined)",
)
def _(rig: Rig) -> None:
    controller, _ = _guest(rig)
    code = rig.code(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(0))
    _unmasked(rig)
    rig.debug(USE_HW, [breakpoint(code.at(0))])
    _edge(controller)
    exit_ = rig.run()
    if rig.pc == code.at(0):
        rig.breaks(code.at(0), exit_)
        rig.debug(0)
        rig.reports("INTID", _SPI)
    else:
        rig.reports("INTID", _SPI, exit_)
        rig.breaks(code.at(0))
        rig.debug(0)
    rig.expect("x0", rig.x(0), 0)
    rig.done(value=2)


@case_for_each(
    "interrupts.debug.step-while-pending",
    {"el1": 1, "el0": 0},
    "A step with an unmasked interrupt pending stops at the vector, before the handler's first "
    "instruction; the interrupted instruction is not executed: {}.",
    _STEP + "; KVM does not mask interrupts while stepping",
)
def _(rig: Rig, el: int) -> None:
    controller, vectors = _guest(rig)
    code = rig.code(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(0), el=el)
    _unmasked(rig)
    rig.debug(STEP)
    rig.steps(code.at(1))
    _edge(controller)
    vector = vectors.address + (irq.IRQ_EL1 if el else irq.IRQ_EL0)
    rig.steps(vector)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))
    rig.expect("x0", rig.x(0), 1)
    # Nothing was stepped yet. The guest can see this.
    rig.expect("SPSR_EL1.SS", rig.core("spsr[0]") & _PSTATE_SS, _PSTATE_SS)
    rig.steps(vectors["irq"])
    rig.steps(vectors["irq"] + 4)
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.done(value=2)


@case(
    "interrupts.debug.step-while-masked",
    "Steps with PSTATE.I set do not take the pending interrupt; without it, the next one does.",
    _STEP,
)
def _(rig: Rig) -> None:
    controller, vectors = _guest(rig)
    code = rig.code([asm.add(0, 0, 1)] * 4, rig.finish(0))
    _edge(controller)
    rig.debug(STEP)
    for n in range(1, 4):
        rig.steps(code.at(n))
    _unmasked(rig)
    rig.steps(vectors.address + irq.IRQ_EL1)
    rig.expect("x0", rig.x(0), 3)
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.done(value=4)


@case(
    "interrupts.debug.step-that-unmasks",
    "A step over MSR DAIFClr with an interrupt pending stops after it, or at the vector with the "
    "return address after it; the next step does not lose an instruction.",
    _STEP + "; Arm ARM D1.13 (prioritization of interrupts is not defined)",
)
def _(rig: Rig) -> None:
    controller, vectors = _guest(rig)
    code = rig.code(asm.daifclr(2), asm.add(0, 0, 1), rig.finish(0))
    vector = vectors.address + irq.IRQ_EL1
    _edge(controller)
    rig.debug(STEP)
    exit_ = rig.run()
    if rig.pc == code.at(1):
        rig.steps(code.at(1), exit_)
        rig.steps(vector)
    else:
        rig.steps(vector, exit_)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.done(value=1)


@case(
    "interrupts.debug.step-through-the-handler",
    "Steps through a whole handler, with its exit to userspace, come back to the interrupted "
    "instruction, which is then executed once.",
    _STEP,
)
def _(rig: Rig) -> None:
    handler: list[asm.Item] = [asm.mrs(24, "ICC_IAR1_EL1"), *irq.end(), asm.ERET]
    controller, vectors = _guest(rig, *handler)
    code = rig.code([asm.add(0, 0, 1)] * 3, rig.finish(0))
    _unmasked(rig)
    rig.debug(STEP)
    for n in range(1, 4):
        _edge(controller)
        rig.steps(vectors.address + irq.IRQ_EL1)
        for offset in range(0, 16, 4):
            rig.steps(vectors["irq"] + offset)
        rig.expect("INTID", rig.x(24), _SPI)
        rig.steps(code.at(n - 1))
        rig.expect("x0", rig.x(0), n - 1)
        rig.steps(code.at(n))
        rig.expect("x0", rig.x(0), n)
    rig.debug(0)
    rig.done(value=3)


@case(
    "interrupts.debug.step-over-wfi",
    "A step over WFI with a pending interrupt that is masked stops after it.",
    _STEP + "; Arm ARM D1.16.2 (Wait For Interrupt)",
)
def _(rig: Rig) -> None:
    controller, _ = _guest(rig)
    code = rig.code(asm.WFI, asm.NOP, rig.finish())
    _edge(controller)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.steps(code.at(2))
    rig.debug(0)
    rig.done()


@case(
    "interrupts.debug.step-of-the-acknowledge",
    "Steps over ICC_IAR1_EL1, EOI and ICC_PMR_EL1 stop after each, and have their effect.",
    _STEP,
)
def _(rig: Rig) -> None:
    controller, _ = _guest(rig)
    code = rig.code(
        *(asm.mrs(0, "ICC_IAR1_EL1"), asm.mrs(1, "ICC_RPR_EL1"), asm.msr("ICC_EOIR1_EL1", 0)),
        *(asm.mrs(2, "ICC_RPR_EL1"), rig.finish()),
    )
    _edge(controller)
    rig.debug(STEP)
    for n in range(1, 5):
        rig.steps(code.at(n))
    rig.expect("IAR1, RPR", [rig.x(n) for n in range(3)], [_SPI, irq.PRIORITY, 0xFF])
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), False)
    rig.debug(0)
    rig.done()


@case(
    "interrupts.debug.step-of-an-sgi",
    "A step over ICC_SGI1R_EL1, which KVM traps, stops after it or at the vector, and the SGI is "
    "taken.",
    _STEP + "; Arm ARM IHI 0069, ICC_SGI1R_EL1",
)
def _(rig: Rig) -> None:
    _, vectors = _guest(rig)
    rig.code(irq.enable(3), rig.finish())
    rig.done()
    code = rig.code(asm.msr("ICC_SGI1R_EL1", 1), asm.add(0, 0, 1), rig.finish(0))
    rig.set_x(1, 3 << 24 | 1)
    _unmasked(rig)
    rig.debug(STEP)
    exit_ = rig.run()
    if rig.pc == code.at(1):
        rig.steps(code.at(1), exit_)
        exit_ = rig.run()
    rig.steps(vectors.address + irq.IRQ_EL1, exit_)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))
    rig.expect("x0", rig.x(0), 0)
    rig.debug(0)
    rig.reports("INTID", 3)
    rig.done(value=1)


@case(
    "interrupts.debug.timer-while-stepping",
    "A timer whose time has come interrupts a stepped program: within a few steps PC is at the "
    "vector, and no instruction of the program is lost.",
    _STEP + "; Arm ARM D11.2.4 (Generic Timer)",
)
def _(rig: Rig) -> None:
    off = [asm.msr("CNTV_CTL_EL0", 31), asm.ISB]
    _, vectors = _guest(rig, *irq.acknowledge(), *off, *irq.end(), asm.ERET)
    setup = [asm.msr("CNTV_CVAL_EL0", 31), *irq.set_icc("CNTV_CTL_EL0", 1)]
    rig.code(irq.enable(27), setup, rig.finish())
    rig.done()
    code = rig.code([asm.add(0, 0, 1)] * 100, rig.finish(0))
    _unmasked(rig)
    rig.debug(STEP)
    for n in range(100):
        exit_ = rig.run()
        if rig.pc == vectors.address + irq.IRQ_EL1:
            break
        rig.steps(code.at(n + 1), exit_)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(rig.x(0)))
    rig.steps(vectors["irq"])
    rig.debug(0)
    rig.reports("INTID", 27)
    rig.done(value=100)


def _own(rig: Rig, *addresses: int) -> None:
    """The guest's own breakpoints, enabled at EL1."""
    pairs: dict[int, RegisterPair] = {n: breakpoint(at) for n, at in enumerate(addresses)}
    debug_itself(rig, pairs, {})


@case_for_each(
    "interrupts.debug.own-breakpoint-in-the-handler",
    {"masked": False, "unmasked": True},
    "Taking an interrupt sets PSTATE.D: the guest's own breakpoint in the handler matches once the "
    "handler has cleared it, not before: {}.",
    _OWN,
)
def _(rig: Rig, unmasks: bool) -> None:
    at_start = [asm.daifclr(8), asm.ISB] if unmasks else [asm.NOP, asm.NOP]
    controller, vectors = _guest(rig, *at_start, *irq.ACKNOWLEDGE_AND_END)
    code = rig.code(irq.TAKE, rig.finish())
    at = vectors["irq"] + 8
    _own(rig, at, code.at(4))
    _edge(controller)
    if unmasks:
        rig.takes(EC.BREAKPT_CUR, 0x200)
        rig.expect("ELR_EL1", rig.core("elr_el1"), at)
        return
    rig.reports("INTID", _SPI)
    # The neighbouring thing: after the return PSTATE.D is clear again.
    rig.takes(EC.BREAKPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(4))


@case(
    "interrupts.debug.own-step",
    "The guest steps itself with an interrupt pending: the handler is not stepped, and after its "
    "return the step is made.",
    _OWN + "; D2.12 (Software Step exceptions)",
)
def _(rig: Rig) -> None:
    controller, _ = _guest(rig)
    code = rig.code([asm.add(0, 0, 1)] * 3, rig.finish())
    rig.set_reg("MDSCR_EL1", MDE | KDE | 1)
    rig.pstate = rig.pstate & ~(PSTATE_D | _PSTATE_I) | _PSTATE_SS
    _edge(controller)
    rig.reports("INTID", _SPI)
    rig.expect("SPSR_EL1.SS", rig.core("spsr[0]") & _PSTATE_SS, _PSTATE_SS)
    rig.takes(EC.SOFTSTP_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(1))
    rig.expect("x0", rig.x(0), 1)


@case(
    "interrupts.debug.own-and-userspaces",
    "While userspace debugs with USE_HW, an interrupt stops at its breakpoint in the handler, and "
    "the guest's own is hidden; afterwards it is taken.",
    _OWN + "; KVM API 4.87 (KVM_GUESTDBG_USE_HW)",
)
def _(rig: Rig) -> None:
    controller, vectors = _guest(rig)
    code = rig.code(irq.TAKE, asm.add(0, 0, 1), rig.finish(0))
    at = vectors["irq"]
    _own(rig, code.at(3))
    rig.debug(USE_HW, {1: breakpoint(at)})
    _edge(controller)
    rig.breaks(at)
    rig.debug(USE_HW)
    rig.reports("INTID", _SPI)
    rig.done(value=1)
    rig.debug(0)
    rig.start(code)
    rig.pstate = rig.pstate & ~PSTATE_D
    _edge(controller)
    rig.reports("INTID", _SPI)
    rig.takes(EC.BREAKPT_CUR, 0x200)
    rig.expect("ELR_EL1", rig.core("elr_el1"), code.at(3))


@case(
    "interrupts.debug.only-the-one",
    "Of two vCPUs that take interrupts, only the debugged one stops in the handler.",
    _EXIT,
)
def _(rig: Rig) -> None:
    other = rig.another_vcpu()
    controller, vectors = _guest(rig)
    other.set_reg("VBAR_EL1", vectors.address)
    other.code(irq.start(), irq.enable(20, vcpu=1), irq.enable(20), other.finish())
    other.done()
    for one in (rig, other):
        one.code(irq.TAKE, one.finish())
        controller.line(20, 1, vcpu=one.number)
    rig.debug(USE_HW, [breakpoint(vectors["irq"])])
    other.reports("INTID", 20)
    controller.line(20, 0, vcpu=1)
    other.done()
    rig.breaks(vectors["irq"])
    rig.debug(0)
    rig.reports("INTID", 20)
    controller.line(20, 0)
    rig.done()
