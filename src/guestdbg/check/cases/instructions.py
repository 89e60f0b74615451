"""Single step over every class of instruction, at EL1 and EL0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guestdbg.arm64.esr import Syndrome
from guestdbg.arm64.iss import SoftwareStepIss
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case_for_each
from guestdbg.check.rig import STEP
from guestdbg.check.verdict import Failure

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_STEP = "Arm ARM D2.12 (Software Step exceptions); KVM API 4.87 (KVM_GUESTDBG_SINGLESTEP)"


@dataclass(frozen=True, slots=True)
class _Step:
    """An instruction, the offset of the next one, and the registers afterwards."""

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
    "load-structures": _Step(
        asm.structure("ld4", 4, 1),
        # The first bytes of four structures: 0x34, then zeros.
        after=lambda rig: rig.core("v4") != 0 and rig.core("v7") == 0,
    ),
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
    "read-of-a-register": _Step(asm.mrs(4, "TPIDRRO_EL0"), after=_x(4, 0x6789)),
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
    code = rig.code([asm.NOP] * 8, step.word, [asm.NOP] * 8, rig.finish(), el=el)
    at = code.at(8)
    rig.machine.write(DATA, (0x1234).to_bytes(8, "little"))
    rig.pc = at
    for n, value in ((0, 0x84000000), (1, DATA), (2, 7), (3, 0), (4, 0), (6, at + 16)):
        rig.set_x(n, value)
    rig.set_core("v2", 7)
    rig.set_core("v7", 7)
    rig.set_reg("TPIDRRO_EL0", 0x6789)
    rig.debug(STEP)
    rig.steps(at + step.to, exclusive=step.exclusive)
    if step.after and not step.after(rig):
        raise Failure("the instruction to have been executed, once", f"x4 = {rig.x(4):#x}")
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, el)


@case_for_each(
    "step.isv",
    {"an-ordinary-instruction": asm.NOP, "a-load-exclusive": asm.load_exclusive(4, 1)},
    "The syndrome of a step of {} is valid: ISV is 1, and EX says whether it was a load-exclusive.",
    "Arm ARM ESR_EL2 (ISS of a Software Step exception)",
)
def _(rig: Rig, word: int) -> None:
    code = rig.code(word, asm.NOP, rig.finish())
    rig.set_x(1, DATA)
    rig.debug(STEP)
    exit_ = rig.steps(code.at(1), exclusive=word != asm.NOP)
    details = Syndrome.decode(exit_.hsr).details
    assert isinstance(details, SoftwareStepIss)
    rig.expect("ISV", details.isv, 1)
