"""Single step: every class of instruction, into and out of exceptions, at EL1 and EL0."""

from collections.abc import Callable
from dataclasses import dataclass

from guestdbg.arm64.esr import EC, Syndrome
from guestdbg.arm64.iss import SoftwareStepIss
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA, NOWHERE, RAM, RAM_SIZE, VECTORS
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import EL0T, EL1H, ENABLE, STEP, USE_HW, Rig
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitMmio

_STEP = "Arm ARM D2.12 (Software Step exceptions); KVM API 4.87 (KVM_GUESTDBG_SINGLESTEP)"
_ABOVE = RAM + RAM_SIZE


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction, where it goes, and what it leaves."""

    word: int
    to: int = 4
    after: Callable[[Rig], bool] | None = None
    exclusive: bool = False


def _x(n: int, value: int) -> Callable[[Rig], bool]:
    return lambda rig: rig.x(n) == value


def _memory(value: int) -> Callable[[Rig], bool]:
    return lambda rig: rig.machine.u64(DATA) == value


# x1 is DATA, x2 is 7, x3 is 0, v2 is 7; the doubleword at DATA is 0x1234.
_ANYWHERE: dict[str, _Step] = {
    "nop": _Step(asm.NOP),
    "hint": _Step(asm.YIELD),
    "add": _Step(asm.add(4, 2, 1), after=_x(4, 8)),
    "subs": _Step(asm.subs(4, 2, 7), after=lambda rig: rig.pstate >> 30 & 1 == 1),
    "multiply": _Step(asm.madd(4, 2, 2), after=_x(4, 49)),
    "divide-by-zero": _Step(asm.udiv(4, 2, 3), after=_x(4, 0)),
    "csel": _Step(asm.csel(4, 2, 3, asm.CONDITIONS["al"]), after=_x(4, 7)),
    "adr": _Step(asm.adr(4, 0), after=lambda rig: rig.x(4) == rig.pc - 4),
    "load": _Step(asm.ldr(4, 1), after=_x(4, 0x1234)),
    "load-byte": _Step(asm.access("ldrb", 4, 1), after=_x(4, 0x34)),
    "load-post-indexed": _Step(
        asm.access("ldr", 4, 1, 8, mode="post"), after=lambda rig: rig.x(1) == DATA + 8
    ),
    "load-pair": _Step(asm.ldp(4, 5, 1), after=_x(4, 0x1234)),
    "load-literal": _Step(asm.load_literal(4, 8), after=lambda rig: rig.x(4) != 0),
    "store": _Step(asm.str_(2, 1), after=_memory(7)),
    "store-pair": _Step(asm.stp(2, 2, 1), after=_memory(7)),
    "store-vector": _Step(asm.access("str_q", 2, 1), after=_memory(7)),
    "load-structures": _Step(asm.structure("ld4", 4, 1)),
    "store-structures": _Step(asm.structure("st1", 2, 1, registers=4), after=_memory(7)),
    "load-acquire": _Step(asm.ordered_load(4, 1), after=_x(4, 0x1234)),
    "store-release": _Step(asm.ordered_store(2, 1), after=_memory(7)),
    "load-exclusive": _Step(asm.load_exclusive(4, 1), after=_x(4, 0x1234), exclusive=True),
    "load-exclusive-pair": _Step(
        asm.load_pair_exclusive(4, 5, 1), after=_x(4, 0x1234), exclusive=True
    ),
    "store-exclusive-without-monitor": _Step(asm.store_exclusive(4, 2, 1), after=_x(4, 1)),
    "clrex": _Step(asm.CLREX),
    "prefetch": _Step(asm.prefetch(1)),
    "dsb": _Step(asm.DSB),
    "dmb": _Step(asm.DMB),
    "isb": _Step(asm.ISB),
    "branch": _Step(asm.b(16), 16),
    "branch-back": _Step(asm.b(-4), -4),
    "branch-to-itself": _Step(asm.b(0), 0),
    "conditional-taken": _Step(asm.b_cond("al", 16), 16),
    "compare-and-branch-taken": _Step(asm.cbz(3, 12), 12),
    "compare-and-branch-not-taken": _Step(asm.cbnz(3, 12)),
    "test-and-branch-taken": _Step(asm.tbnz(2, 0, 8), 8),
    "test-and-branch-not-taken": _Step(asm.tbz(2, 0, 8)),
    "call": _Step(asm.bl(16), 16, after=lambda rig: rig.x(30) == rig.pc - 12),
    "branch-to-register": _Step(asm.br(6), 16),
    "call-to-register": _Step(asm.blr(6), 16, after=lambda rig: rig.x(30) == rig.pc - 12),
    "return": _Step(asm.ret(6), 16),
    "read-of-a-register": _Step(asm.mrs(4, "TPIDRRO_EL0")),
    "read-of-an-identity": _Step(asm.mrs(4, "DCZID_EL0")),
    "write-of-a-register": _Step(
        asm.msr("TPIDR_EL0", 2), after=lambda rig: rig.reg("TPIDR_EL0") == 7
    ),
    "clean": _Step(asm.dc("cvac", 1)),
    "zero": _Step(asm.dc_zva(1), after=_memory(0)),
}
_AT_EL1: dict[str, _Step] = {
    "trapped-read": _Step(asm.mrs(4, "OSLSR_EL1"), after=lambda rig: rig.x(4) & 8 == 8),
    "trapped-write": _Step(
        asm.msr("DBGBVR0_EL1", 1), after=lambda rig: rig.reg("DBGBVR0_EL1") == DATA
    ),
    "msr": _Step(asm.msr("CONTEXTIDR_EL1", 2), after=lambda rig: rig.reg("CONTEXTIDR_EL1") == 7),
    "mask-interrupts": _Step(asm.daifset(15), after=lambda rig: rig.pstate >> 6 & 15 == 15),
    "unmask-debug": _Step(asm.daifclr(8), after=lambda rig: rig.pstate >> 6 & 15 == 7),
    "id-register": _Step(asm.mrs(4, "ID_AA64DFR0_EL1"), after=lambda rig: rig.x(4) != 0),
    "hvc": _Step(asm.hvc(), after=lambda rig: rig.x(0) != 0x84000000),
    "wfe": _Step(asm.WFE),
    "invalidate": _Step(asm.dc_ivac(1)),
}


@case_for_each(
    "step.over",
    {f"{name}-at-el{el}": (step, el) for el in (1, 0) for name, step in _ANYWHERE.items()}
    | {f"{name}-at-el1": (step, 1) for name, step in _AT_EL1.items()},
    "One step executes exactly one instruction and stops before the next: {}.",
    _STEP,
)
def _(rig: Rig, what: tuple[_Step, int]) -> None:
    step, el = what
    code = rig.code([asm.NOP] * 8, step.word, [asm.NOP] * 8, rig.tell(), el=el)
    at = code.at(8)
    rig.machine.write(DATA, (0x1234).to_bytes(8, "little"))
    rig.pc = at
    for n, value in ((0, 0x84000000), (1, DATA), (2, 7), (3, 0), (4, 0), (6, at + 16)):
        rig.set_x(n, value)
    rig.set_core("v2", 7)
    rig.debug(STEP)
    rig.steps(at + step.to, exclusive=step.exclusive)
    if step.after and not step.after(rig):
        raise Failure("the instruction to have been executed, once", f"x4 = {rig.x(4):#x}")
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, el)


@case_for_each(
    "step.isv",
    {"an-ordinary-instruction": asm.NOP, "a-load-exclusive": asm.load_exclusive(4, 1)},
    "The step of {} says so: ISV is 1, and EX whether it was a load-exclusive.",
    "Arm ARM ESR_EL2 (ISS of a Software Step exception)",
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word, asm.NOP, rig.tell())
    rig.set_x(1, DATA)
    rig.debug(STEP)
    exit_ = rig.steps(code.at(1), exclusive=word != asm.NOP)
    details = Syndrome.decode(exit_.hsr).details
    assert isinstance(details, SoftwareStepIss)
    rig.expect("ISV", details.isv, 1)


@case_for_each(
    "step.count",
    {"1": 1, "10": 10, "100": 100},
    "So many steps execute so many instructions: {}.",
    _STEP,
)
def _(rig: Rig, count: int) -> None:
    code = rig.code([asm.add(0, 0, 1)] * (count + 1), rig.tell())
    rig.debug(STEP)
    for n in range(count):
        rig.steps(code.at(n + 1))
    rig.expect("x0", rig.x(0), count)
    rig.debug(0)
    rig.done()
    rig.expect("x0, after running on", rig.x(0), count + 1)


@case(
    "step.through-a-loop",
    "Steps follow a loop to its end, instruction by instruction.",
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
    "A step of an instruction that takes an exception stops at the exception's vector, before its "
    "first instruction: {}.",
    _STEP + "; D2.12 (entering the active-pending state by taking an exception)",
)
def _(rig: Rig, what: tuple[int, int, EC]) -> None:
    word, el, ec = what
    code = rig.code(asm.NOP, word, asm.NOP, el=el)
    rig.pc = code.at(1)
    rig.set_x(7, _ABOVE)
    rig.set_x(8, VECTORS)
    rig.set_x(9, DATA + 4)
    vector = VECTORS + (0x200 if el else 0x400)
    rig.debug(STEP)
    rig.steps(vector)
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, 1)
    rig.expect("the class in ESR_EL1", rig.reg("ESR_EL1") >> 26 & 0x3F, int(ec))
    back = code.at(2) if ec is EC.SVC64 else code.at(1)
    rig.expect("ELR_EL1", rig.core("elr_el1"), back)
    rig.steps(vector + 4)


@case(
    "step.into-an-instruction-abort",
    "A step of a branch to an address without translation stops there; the next one stops at the "
    "vector of the instruction abort.",
    _STEP,
)
def _(rig: Rig) -> None:
    rig.code(asm.br(7))
    rig.set_x(7, _ABOVE)
    rig.debug(STEP)
    rig.steps(_ABOVE)
    rig.steps(VECTORS + 0x200)
    rig.expect("the class in ESR_EL1", rig.reg("ESR_EL1") >> 26 & 0x3F, int(EC.IABT_CUR))
    rig.expect("ELR_EL1", rig.core("elr_el1"), _ABOVE)


@case_for_each(
    "step.eret",
    {"to-el0": EL0T, "to-el1": EL1H},
    "A step of ERET stops at what it returns to: {}.",
    _STEP + "; D2.12 (exception returns)",
)
def _(rig: Rig, pstate: int) -> None:
    el = 0 if pstate == EL0T else 1
    target = rig.machine.program(asm.add(0, 0, 1), asm.NOP, rig.tell(), el=el)
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
    "Steps follow the guest from EL1 to EL0, back by SVC, and down again.",
    _STEP,
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.add(0, 0, 1), asm.svc(1), asm.NOP, rig.tell(), el=0)
    handler = rig.machine.program([asm.NOP] * 0x100, asm.NOP, asm.ERET)
    # Its vector for synchronous exceptions from EL0 is word 0x100.
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
    "A {} outside memory exits for its data first; completed, it is one step.",
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
    "Stepping holds for every run until the next KVM_SET_GUEST_DEBUG.",
    _STEP,
)
def _(rig: Rig) -> None:
    code = rig.code([asm.NOP] * 5)
    rig.debug(STEP)
    for n in range(4):
        rig.steps(code.at(n + 1))


@case(
    "step.asked-for-anew",
    "Asking for steps again before every run changes nothing: each is one instruction.",
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
    "After a step userspace moves the PC; the next step is of the instruction there.",
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
    "PSTATE.SS is not left behind: userspace sees the guest's own after a step.",
    "KVM API 4.87: the guest does not see that it is debugged; Arm ARM PSTATE.SS",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.tell())
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.expect("PSTATE.SS", rig.pstate >> 21 & 1, 0)
    rig.debug(0)
    rig.done()
    rig.expect("PSTATE.SS, after running on", rig.pstate >> 21 & 1, 0)


@case_for_each(
    "step.to-run-to-step",
    {"enable": ENABLE, "off": 0, "use-hw": USE_HW},
    "Stepping, then running on with control {}, then stepping again: each does as it says.",
    _STEP,
)
def _(rig: Rig, control: int) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.tell())
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.debug(control)
    rig.done()
    rig.start(code)
    rig.debug(STEP)
    rig.steps(code.at(1))


@case(
    "step.over-a-sequence-with-exclusives",
    "Stepping clears the exclusive monitor: a stepped store-exclusive fails, and says so.",
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
