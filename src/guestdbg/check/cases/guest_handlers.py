"""The guest's own debugging with handlers that continue, and with linked registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, context_breakpoint, watchpoint
from guestdbg.arm64.esr import EC
from guestdbg.check import assembler as asm
from guestdbg.check import handlers
from guestdbg.check.evidence import KDE, debug_itself
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each, numbered

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_OWN = "Arm ARM D2 (AArch64 Self-hosted Debug)"
_LINK = "Arm ARM D2.8 (Breakpoint types and linking of breakpoints)"
_STEP = "Arm ARM D2.12 (Software Step exceptions)"
_SS = 1
_CONTEXT = 0xABCDEF


@case_for_each(
    "guest.breakpoint-then",
    {"svc": (asm.svc(), EC.SVC64, 4), "brk": (asm.brk(), EC.BRK64, 0)},
    "The guest's own breakpoint on {} comes first; once its handler has masked debug exceptions, "
    "the instruction is executed.",
    _OWN + "; D1.3 (Synchronous exception prioritization)",
)
def _(rig: Rig, what: tuple[int, EC, int]) -> None:
    word, ec, back = what
    handlers.install(rig)
    code = rig.code(asm.NOP, word, asm.add(0, 0, 1), rig.finish(0))
    debug_itself(rig, {0: breakpoint(code.at(1))}, {})
    rig.done(value=1)
    seen = [(one.ec, one.elr) for one in handlers.handled(rig)]
    rig.expect("exceptions", seen, [(EC.BREAKPT_CUR, code.at(1)), (ec, code.at(1) + back)])


@case(
    "guest.watchpoint-handler",
    "The guest's own watchpoint stops its store; once its handler has masked debug exceptions, the "
    "store is made, once.",
    _OWN,
)
def _(rig: Rig) -> None:
    handlers.install(rig)
    code = rig.code(asm.access("str", 0, 1, 8, mode="post"), rig.finish(1))
    rig.set_x(0, 7)
    rig.set_x(1, DATA)
    debug_itself(rig, {}, {0: watchpoint(DATA, 8)[0]})
    rig.done(value=DATA + 8)
    rig.expect("the doubleword", rig.machine.u64(DATA), 7)
    seen = handlers.handled(rig)
    rig.expect("exceptions", [(s.ec, s.elr) for s in seen], [(EC.WATCHPT_CUR, code.at(0))])
    rig.expect_one_of("FAR_EL1", seen[0].far, range(DATA, DATA + 8))


@case(
    "guest.steps-itself-at-el1",
    "The guest steps its own EL1 (MDSCR_EL1.KDE and .SS, PSTATE.D clear), one instruction at a "
    "time, until it sets PSTATE.D.",
    _STEP + "; MDSCR_EL1.KDE",
)
def _(rig: Rig) -> None:
    handlers.install(rig)
    code = _stepping_itself(rig)
    rig.done(value=2)
    _expect_own_steps(rig, code)


def _stepping_itself(rig: Rig) -> asm.Code:
    """A program that steps its own instructions from "first" on, and ends that at "last"."""
    return rig.code(
        *(asm.mov(0, 0), asm.mov(4, KDE | _SS), asm.daifclr(8)),
        *(asm.msr("MDSCR_EL1", 4), asm.label("isb"), asm.ISB),
        *(asm.label("first"), asm.add(0, 0, 1), asm.add(0, 0, 1)),
        *(asm.label("last"), asm.daifset(8), asm.label("after"), rig.finish(0)),
    )


def _expect_own_steps(rig: Rig, code: asm.Code) -> None:
    """Expect the steps of ``_stepping_itself``, in the log of the handlers."""
    steps = [one.elr for one in handlers.handled(rig) if one.ec == EC.SOFTSTP_CUR]
    rig.expect("exceptions of other classes", len(handlers.handled(rig)) - len(steps), 0)
    # If KVM traps the write of MDSCR_EL1, its return to the guest synchronizes it: the ISB is
    # stepped too. And some emulated processors complete the step of what masks steps.
    if steps[:1] == [code["isb"]]:
        del steps[0]
    if steps[-1:] == [code["after"]]:
        del steps[-1]
    rig.expect("steps", steps, [code["first"], code["first"] + 4, code["last"]])


@case(
    "guest.linked-breakpoint.follows-the-context",
    "The guest's own breakpoint, linked to a context breakpoint of its own, stops only once the "
    "guest has written the context to CONTEXTIDR_EL1.",
    _LINK,
)
def _(rig: Rig) -> None:
    _in_context_only(rig, watch=False)


@case(
    "guest.linked-watchpoint.follows-the-context",
    "The guest's own watchpoint, linked to a context breakpoint of its own, stops only once the "
    "guest has written the context to CONTEXTIDR_EL1.",
    _LINK + "; DBGWCR<n>_EL1.WT",
)
def _(rig: Rig) -> None:
    _in_context_only(rig, watch=True)


def _in_context_only(rig: Rig, *, watch: bool) -> None:
    number = rig.context_aware()[0]
    handlers.install(rig)
    code = rig.code(
        *(asm.msr("CONTEXTIDR_EL1", 2), asm.ISB, asm.str_(0, 1), asm.msr("CONTEXTIDR_EL1", 31)),
        *(asm.ISB, rig.finish()),
    )
    rig.set_x(1, DATA)
    context = {number: context_breakpoint(_CONTEXT, linked=True)}
    for value in (_CONTEXT, _CONTEXT ^ 1 << 23, _CONTEXT):
        rig.start(code)
        rig.set_x(2, value)
        handlers.empty(rig)
        if watch:
            debug_itself(rig, context, {0: watchpoint(DATA, 8, linked_to=number)[0]})
        else:
            debug_itself(rig, context | {0: breakpoint(code.at(2), linked_to=number)}, {})
        rig.done()
        ec = EC.WATCHPT_CUR if watch else EC.BREAKPT_CUR
        stops = [(ec, code.at(2))] if value == _CONTEXT else []
        seen = [(one.ec, one.elr) for one in handlers.handled(rig)]
        rig.expect(f"exceptions in context {value:#x}", seen, stops)


@case_for_each(
    "guest.linked-breakpoint",
    numbered(),
    "The guest's own breakpoint {} can be linked to each of its context-aware breakpoints.",
    _LINK + "; ID_AA64DFR0_EL1.CTX_CMPs",
)
def _(rig: Rig, number: int) -> None:
    rig.need_breakpoints(number + 1)
    contexts = [n for n in rig.context_aware() if n != number]
    if not contexts:
        rig.skip("there is no other context-aware breakpoint (ID_AA64DFR0_EL1.CTX_CMPs)")
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
    for context in contexts:
        rig.start(code)
        linked = breakpoint(code.at(1), linked_to=context)
        other = context_breakpoint(_CONTEXT, linked=True)
        debug_itself(rig, {number: linked, context: other}, {})
        rig.takes(EC.BREAKPT_CUR, 0x200)
        rig.expect(f"ELR_EL1, linked to {context}", rig.core("elr_el1"), code.at(1))
        rig.set_reg(f"DBGBCR{context}_EL1", 0)


@case_for_each(
    "guest.linked-watchpoint",
    numbered(),
    "The guest's own watchpoint {} can be linked to each of its context-aware breakpoints.",
    _LINK + "; DBGWCR<n>_EL1.WT",
)
def _(rig: Rig, number: int) -> None:
    rig.need_watchpoints(number + 1)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
    for context in rig.context_aware():
        rig.start(code)
        linked = watchpoint(DATA, 8, linked_to=context)[0]
        debug_itself(rig, {context: context_breakpoint(_CONTEXT, linked=True)}, {number: linked})
        rig.takes(EC.WATCHPT_CUR, 0x200)
        rig.expect(f"ELR_EL1, linked to {context}", rig.core("elr_el1"), code.at(1))
        rig.set_reg(f"DBGBCR{context}_EL1", 0)


@case(
    "lock.masks-the-guests-step-at-el1",
    "While the guest's OS Lock is locked, the guest's own steps of EL1 do nothing; once unlocked, "
    "it steps.",
    "Arm ARM D2 and H6 (OS Lock), OSLAR_EL1; D2.12 (Software Step exceptions)",
    since=(5, 18),
)
def _(rig: Rig) -> None:
    handlers.install(rig)
    code = _stepping_itself(rig)
    with rig.positive_control():
        rig.done(value=2)
        _expect_own_steps(rig, code)
    handlers.empty(rig)
    rig.set_reg("OSLSR_EL1", 10)
    rig.done(value=2)
    rig.expect("exceptions", handlers.handled(rig), [])
    rig.set_reg("OSLSR_EL1", 8)
    rig.set_reg("MDSCR_EL1", 0)
    rig.start(code)
    rig.done(value=2)
    _expect_own_steps(rig, code)
