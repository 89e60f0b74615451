"""Single step: instruction by instruction, into and out of exceptions, and what remains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.esr import EC
from guestdbg.arm64.exception_class import exception_class
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA, DONE, NOWHERE, RAM, RAM_SIZE, VECTORS
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import EL0T, EL1H, ENABLE, STEP, USE_HW
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitMmio

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_STEP = "Arm ARM D2.12 (Software Step exceptions); KVM API 4.87 (KVM_GUESTDBG_SINGLESTEP)"
_ABOVE = RAM + RAM_SIZE


@case_for_each(
    "step.count",
    {"1": 1, "10": 10, "100": 100},
    "N steps execute N instructions: {}.",
    _STEP,
)
def _(rig: Rig, count: int) -> None:
    code = rig.code([asm.add(0, 0, 1)] * (count + 1), rig.finish())
    rig.debug(STEP)
    for n in range(count):
        rig.steps(code.at(n + 1))
    rig.expect("x0", rig.x(0), count)
    rig.debug(0)
    rig.done()
    rig.expect("x0, after running without steps", rig.x(0), count + 1)


@case(
    "step.through-a-loop",
    "Steps follow a loop to its end, one instruction at a time.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code(
        asm.mov(0, 3), asm.label("again"), asm.subs(0, 0, 1), asm.b_cond("ne", "again"), asm.NOP
    )
    rig.debug(STEP)
    path = [1, 2, 1, 2, 1, 2, 3]
    for n in path:
        rig.steps(code.at(n))


@case(
    "step.across-pages",
    "A step from the last instruction of a page stops at the first of the next.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code([asm.NOP] * 1030)
    rig.pc = code.address + 4092
    rig.debug(STEP)
    rig.steps(code.address + 4096)


_INTO = {
    "svc-at-el1": (asm.svc(3), 1, EC.SVC64),
    "svc-at-el0": (asm.svc(3), 0, EC.SVC64),
    "undefined-at-el1": (asm.udf(), 1, EC.UNKNOWN),
    "undefined-at-el0": (asm.udf(), 0, EC.UNKNOWN),
    "trap-at-el0": (asm.mrs(4, "SCTLR_EL1"), 0, EC.UNKNOWN),
    "load-abort-at-el1": (asm.ldr(4, 7), 1, EC.DABT_CUR),
    "load-abort-at-el0": (asm.ldr(4, 7), 0, EC.DABT_LOW),
    "store-abort-at-el1": (asm.str_(4, 7), 1, EC.DABT_CUR),
    "store-abort-at-el0": (asm.str_(4, 7), 0, EC.DABT_LOW),
    "permission-fault-at-el0": (asm.ldr(4, 8), 0, EC.DABT_LOW),
    "alignment-fault-at-el1": (asm.load_exclusive(4, 9), 1, EC.DABT_CUR),
}


@case_for_each(
    "step.into",
    _INTO,
    "A step of an instruction that takes an exception stops at the exception vector, before the "
    "first instruction there: {}.",
    _STEP + "; D2.12 (entering the active-pending state by taking an exception)",
)
def _(rig: Rig, what: tuple[int, int, EC]) -> None:
    word, el, ec = what
    code = rig.code(asm.NOP, word, asm.NOP, el=el)
    rig.pc = code.at(1)
    rig.set_x(7, _ABOVE)
    rig.set_x(8, VECTORS)
    # It crosses a 16-byte boundary: within 16 bytes FEAT_LSE2 permits an unaligned exclusive.
    rig.set_x(9, DATA + 12)
    vector = VECTORS + (0x200 if el else 0x400)
    rig.debug(STEP)
    rig.steps(vector)
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, 1)
    rig.expect("the class in ESR_EL1", exception_class(rig.reg("ESR_EL1")), int(ec))
    back = code.at(2) if ec is EC.SVC64 else code.at(1)
    rig.expect("ELR_EL1", rig.core("elr_el1"), back)
    rig.steps(vector + 4)


@case(
    "step.into-an-instruction-abort",
    "A step of a branch to an unmapped address stops at that address; the next step stops at the "
    "vector of the instruction abort.",
    _STEP,
)
def _(rig: Rig) -> None:
    rig.code(asm.br(7))
    rig.set_x(7, _ABOVE)
    rig.debug(STEP)
    rig.steps(_ABOVE)
    rig.steps(VECTORS + 0x200)
    rig.expect("the class in ESR_EL1", exception_class(rig.reg("ESR_EL1")), int(EC.IABT_CUR))
    rig.expect("ELR_EL1", rig.core("elr_el1"), _ABOVE)


@case_for_each(
    "step.eret",
    {"to-el0": EL0T, "to-el1": EL1H},
    "A step of ERET stops at the address that it returns to: {}.",
    _STEP + "; D2.12 (exception returns)",
)
def _(rig: Rig, pstate: int) -> None:
    el = 0 if pstate == EL0T else 1
    target = rig.machine.program(asm.add(0, 0, 1), asm.NOP, rig.finish(), el=el)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", target.address)
    rig.set_core("spsr[0]", pstate)
    rig.debug(STEP)
    rig.steps(target.address)
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, el)
    rig.expect("x0", rig.x(0), 0)
    rig.steps(target.at(1))
    rig.expect("x0", rig.x(0), 1)


@case(
    "step.down-and-up",
    "Steps follow the guest from EL1 to EL0, back to EL1 by SVC, and to EL0 again.",
    _STEP,
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.add(0, 0, 1), asm.svc(1), asm.NOP, rig.finish(), el=0)
    handler = rig.machine.program([asm.NOP] * 0x100, asm.NOP, asm.ERET)
    # Word 0x100 is the vector for synchronous exceptions from EL0.
    rig.set_reg("VBAR_EL1", handler.address)
    rig.code(asm.ERET)
    rig.set_core("elr_el1", below.address)
    rig.set_core("spsr[0]", EL0T)
    rig.debug(STEP)
    for at in (
        *(below.at(0), below.at(1), handler.at(0x100), handler.at(0x101)),
        *(below.at(2), below.at(3)),
    ):
        rig.steps(at)


@case_for_each(
    "step.mmio",
    {"store": asm.str_(2, 7), "load": asm.ldr(2, 7)},
    "A step of a {} outside memory first exits with KVM_EXIT_MMIO; once the access is completed, "
    "it is one step.",
    _STEP + "; KVM API 5 (KVM_EXIT_MMIO)",
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word, asm.add(0, 0, 1), asm.NOP)
    rig.set_x(7, NOWHERE + 0x100)
    rig.debug(STEP)
    exit_ = rig.run()
    if not isinstance(exit_, ExitMmio):
        raise Failure("KVM_EXIT_MMIO", str(exit_))
    if not exit_.is_write:
        rig.vcpu.complete_mmio((0x55).to_bytes(8, "little"))
    rig.steps(code.at(1))
    if not exit_.is_write:
        rig.expect("x2", rig.x(2), 0x55)
    rig.expect("x0", rig.x(0), 0)
    rig.steps(code.at(2))
    rig.expect("x0", rig.x(0), 1)


@case(
    "step.stays-in-force",
    "Stepping stays in force for every run until the next KVM_SET_GUEST_DEBUG.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code([asm.NOP] * 5)
    rig.debug(STEP)
    for n in range(4):
        rig.steps(code.at(n + 1))


@case(
    "step.asked-for-anew",
    "Setting SINGLESTEP again before every run changes nothing: each run is one instruction.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code([asm.add(0, 0, 1)] * 5)
    for n in range(4):
        rig.debug(STEP)
        rig.steps(code.at(n + 1))
    rig.expect("x0", rig.x(0), 4)


@case(
    "step.from-where-userspace-put-the-pc",
    "After a step, userspace changes the PC; the next step is of the instruction there.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.add(0, 0, 1), asm.add(2, 2, 1), asm.NOP)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.pc = code.at(2)
    rig.steps(code.at(3))
    rig.expect("x0", rig.x(0), 0)
    rig.expect("x2", rig.x(2), 1)


@case(
    "step.does-not-show-in-mdscr",
    "A guest that reads MDSCR_EL1 while it is stepped sees its own value.",
    "KVM API 4.87: the guest does not see that it is debugged; Arm ARM MDSCR_EL1.SS",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.mrs(2, "MDSCR_EL1"), asm.NOP)
    rig.set_x(2, 0xFFFF)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.expect("MDSCR_EL1 as the guest reads it", rig.x(2) & 0xA001, 0)
    rig.expect("MDSCR_EL1 by one-reg access", rig.reg("MDSCR_EL1") & 0xA001, 0)


@case(
    "step.leaves-no-ss-in-pstate",
    "PSTATE.SS does not stay set: after a step userspace sees the guest's own value.",
    "KVM API 4.87: the guest does not see that it is debugged; Arm ARM PSTATE.SS",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.expect("PSTATE.SS", rig.pstate >> 21 & 1, 0)
    rig.debug(0)
    rig.done()
    rig.expect("PSTATE.SS, after running without steps", rig.pstate >> 21 & 1, 0)


@case_for_each(
    "step.to-run-to-step",
    {"enable": ENABLE, "off": 0, "use-hw": USE_HW},
    "Stepping, then running with control {}, then stepping again: each run follows its control "
    "word.",
    _STEP,
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.debug(control)
    rig.done()
    rig.start(code)
    rig.debug(STEP)
    rig.steps(code.at(1))


@case(
    "step.enable-in-between",
    "Stepping and running with ENABLE alone, again and again, changes no register: the guest reads "
    "back from its debug registers what it wrote.",
    _STEP + "; KVM API 4.69 (KVM_GET_ONE_REG)",
)
def _(rig: Rig) -> None:
    code = rig.code(
        *(asm.label("top"), asm.msr("DBGBVR0_EL1", 2), asm.msr("DBGWVR0_EL1", 2)),
        *(asm.mrs(3, "DBGBVR0_EL1"), asm.mrs(4, "DBGWVR0_EL1")),
        *(asm.label("run"), asm.add(2, 2, 8), asm.str_(4, 28), asm.b("top")),
    )
    kept = {n: 0x0101_0101_0101_0101 * n for n in range(5, 28)}
    for n, value in kept.items():
        rig.set_x(n, value)
    rig.set_x(2, DATA)
    rig.set_x(28, DONE)
    for n in range(50):
        rig.debug(STEP)
        if n:
            # The branch back, after the store that ended the last run.
            rig.steps(code["top"])
        for at in range(1, 5):
            rig.steps(code.at(at))
        value = DATA + 8 * n
        rig.expect("DBGBVR0_EL1 as the guest reads it", rig.x(3), value)
        rig.expect("DBGWVR0_EL1 as the guest reads it", rig.x(4), value)
        rig.debug(ENABLE)
        rig.done(value=value)
        rig.complete()
        rig.expect("DBGBVR0_EL1 by one-reg access", rig.reg("DBGBVR0_EL1"), value)
    for n, value in kept.items():
        rig.expect(f"x{n}", rig.x(n), value)


@case(
    "step.over-a-sequence-with-exclusives",
    "Stepping clears the exclusive monitor: a stepped store-exclusive fails, with status 1.",
    "Arm ARM D2.12 (stepping over load-exclusive and store-exclusive instructions), B2.9",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.load_exclusive(4, 1), asm.store_exclusive(5, 2, 1), asm.NOP)
    rig.set_x(1, DATA)
    rig.set_x(2, 7)
    rig.debug(STEP)
    rig.steps(code.at(1), exclusive=True)
    rig.steps(code.at(2))
    rig.expect("the status of the store-exclusive", rig.x(5) & 0xFFFFFFFF, 1)
    rig.expect("memory", rig.machine.u64(DATA), 0)
