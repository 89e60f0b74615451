"""Which exception comes first where an instruction would cause several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import own_exception
from guestdbg.check.layout import DATA, EL1_CODE, NOWHERE, RAM, RAM_SIZE, VECTORS
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import STEP, USE_HW, USE_SW_BP
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitMmio

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_ORDER = "Arm ARM D1.3 (Synchronous exception prioritization)"
_ABOVE = RAM + RAM_SIZE


@case(
    "priority.breakpoint-before-watchpoint",
    "A breakpoint and a watchpoint on one store: the breakpoint comes first, then the watchpoint.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, [breakpoint(code.at(0))], watchpoint(DATA, 8))
    rig.breaks(code.at(0))
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.debug(USE_HW)
    rig.done()


@case(
    "priority.breakpoint-while-stepping",
    "A step onto a breakpoint: the step comes first, then the breakpoint, and nothing is executed "
    "in between.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.add(0, 0, 1), rig.finish())
    rig.debug(STEP | USE_HW, [breakpoint(code.at(1))])
    rig.steps(code.at(1))
    rig.breaks(code.at(1))
    rig.expect("x0", rig.x(0), 0)
    rig.debug(STEP)
    rig.steps(code.at(2))
    rig.expect("x0", rig.x(0), 1)


@case(
    "priority.watchpoint-while-stepping",
    "A step of an access that a watchpoint matches: the watchpoint stops it, and no step is "
    "completed.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), asm.NOP)
    rig.set_x(0, 7)
    rig.set_x(1, DATA)
    rig.debug(STEP | USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.expect("memory", rig.machine.u64(DATA), 0)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.expect("memory, after the step", rig.machine.u64(DATA), 7)


@case(
    "priority.all-three",
    "Breakpoint, watchpoint and step on one instruction: each stops in turn, and the instruction "
    "is executed once.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.access("str", 0, 1, 8, mode="post"), asm.NOP)
    rig.set_x(1, DATA)
    both = ([breakpoint(code.at(1))], watchpoint(DATA, 8))
    rig.debug(STEP | USE_HW, *both)
    rig.steps(code.at(1))
    rig.breaks(code.at(1))
    rig.debug(STEP | USE_HW, (), both[1])
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug(STEP)
    rig.steps(code.at(2))
    rig.expect("x1: executed once", rig.x(1), DATA + 8)


@case_for_each(
    "priority.breakpoint-before",
    {"brk": asm.brk(1), "undefined": asm.udf(), "svc": asm.svc(1), "hvc": asm.hvc(1)},
    "A breakpoint on {} comes before what the instruction itself does.",
    _ORDER,
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word, rig.finish())
    rig.debug(USE_HW | USE_SW_BP, [breakpoint(code.at(0))])
    rig.breaks(code.at(0))


@case(
    "priority.breakpoint-before-a-data-abort",
    "A breakpoint on a load that would abort comes before the abort.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.ldr(2, 1))
    rig.set_x(1, _ABOVE)
    rig.debug(USE_HW, [breakpoint(code.at(0))])
    rig.breaks(code.at(0))
    rig.debug(USE_HW)
    rig.takes(EC.DABT_CUR, 0x200)


@case(
    "priority.instruction-abort-before-breakpoint",
    "A breakpoint at an address without translation does not stop: the guest takes the instruction "
    "abort.",
    _ORDER,
)
def _(rig: Rig) -> None:
    own = {0: breakpoint(_ABOVE - EL1_CODE)}
    if own_exception(rig, asm.br(1), breakpoints=own, registers={1: _ABOVE}) == EC.BREAKPT_CUR:
        rig.skip(
            "the processor compares breakpoints before it fetches: the guest's own breakpoint, "
            "without KVM, comes first too"
        )
    mapped = rig.machine.program(asm.NOP)
    rig.code(asm.br(1))
    with rig.positive_control():
        rig.set_x(1, mapped.address)
        rig.debug(USE_HW, [breakpoint(mapped.address)])
        rig.breaks(mapped.address)
    rig.set_x(1, _ABOVE)
    rig.debug(USE_HW, [breakpoint(_ABOVE)])
    rig.takes(EC.IABT_CUR, 0x200)


def _stops_in_memory(rig: Rig, code: asm.Code, word: int) -> None:
    """The positive control of the cases below: the same access stops where there is memory."""
    with rig.positive_control():
        rig.set_x(1, DATA)
        rig.debug(USE_HW, (), watchpoint(DATA, 8, "any"))
        rig.watches(code.at(0), DATA, DATA + 7, write=word == asm.str_(0, 1))


@case_for_each(
    "priority.abort-before-watchpoint",
    {"translation-of-a-store": asm.str_(0, 1), "translation-of-a-load": asm.ldr(0, 1)},
    "An access that aborts ({}) does not match a watchpoint: the guest takes the data abort.",
    _ORDER,
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word)
    _stops_in_memory(rig, code, word)
    rig.set_x(1, _ABOVE)
    rig.debug(USE_HW, (), watchpoint(_ABOVE, 8, "any"))
    rig.takes(EC.DABT_CUR, 0x200)


@case(
    "priority.permission-fault-before-watchpoint",
    "An access that EL0 has no permission for does not match a watchpoint: the guest takes the "
    "fault.",
    _ORDER,
)
def _(rig: Rig) -> None:
    rig.code(asm.ldr(0, 1), el=0)
    rig.set_x(1, VECTORS)
    rig.debug(USE_HW, (), watchpoint(VECTORS, 8, "any"))
    rig.takes(EC.DABT_LOW, 0x400)
    # EL1 has permission, and is stopped.
    code = rig.code(asm.ldr(0, 1))
    rig.watches(code.at(0), VECTORS, VECTORS + 7, write=False)


@case(
    "priority.alignment-fault-before-watchpoint",
    "An unaligned exclusive access matches no watchpoint: the guest takes the fault.",
    _ORDER + "; B2.2.1 and B2.8 (exclusive accesses that are not aligned, FEAT_LSE2)",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.load_exclusive(2, 1))
    # It crosses a 16-byte boundary: within 16 bytes FEAT_LSE2 permits it.
    rig.set_x(1, DATA + 12)
    rig.debug(USE_HW, (), watchpoint(DATA, 32, "any"))
    rig.takes(EC.DABT_CUR, 0x200)
    # An aligned one is stopped.
    rig.start(code)
    rig.set_x(1, DATA + 8)
    rig.watches(code.at(0), DATA + 8, DATA + 15, write=False)


@case_for_each(
    "priority.mmio-before-watchpoint",
    {"store": asm.str_(0, 1), "load": asm.ldr(0, 1)},
    "A watched {} outside memory: the stage 2 abort comes first, and the exit is KVM_EXIT_MMIO.",
    _ORDER + "; KVM API 5 (KVM_EXIT_MMIO)",
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word)
    _stops_in_memory(rig, code, word)
    rig.set_x(1, NOWHERE + 0x100)
    rig.debug(USE_HW, (), watchpoint(NOWHERE + 0x100, 8, "any"))
    exit_ = rig.run()
    if not isinstance(exit_, ExitMmio) or exit_.phys_addr != NOWHERE + 0x100:
        raise Failure("KVM_EXIT_MMIO", str(exit_))


@case(
    "priority.pc-alignment-before-breakpoint",
    "An unaligned PC is a PC alignment fault; a breakpoint on the word that contains it does not "
    "come first.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.add(1, 1, 0), asm.br(1), asm.NOP, asm.NOP)
    rig.set_x(1, code.at(3) + 2)
    rig.debug(USE_HW, [breakpoint(code.at(3))])
    rig.takes(EC.PC_ALIGN, 0x200)
    rig.start(code)
    rig.pc = code.at(3)
    rig.breaks(code.at(3))


@case(
    "priority.step-before-next-breakpoint",
    "A step of one instruction stops at the next, whether or not a breakpoint is on the next too.",
    _ORDER,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP)
    rig.debug(STEP | USE_HW, [breakpoint(code.at(0)), breakpoint(code.at(1))])
    rig.breaks(code.at(0))
    rig.debug(STEP | USE_HW, [breakpoint(code.at(1))])
    rig.steps(code.at(1))
    rig.breaks(code.at(1))
