"""Breakpoints that compare CONTEXTIDR_EL1, and breakpoints and watchpoints linked to them.

Only the highest-numbered breakpoints are context-aware (ID_AA64DFR0_EL1.CTX_CMPs + 1 of them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import (
    DBGBCR,
    RegisterPair,
    breakpoint,
    context_breakpoint,
    watchpoint,
)
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import own_debugging
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_LINK = "Arm ARM D2.8 (Breakpoint types and linking of breakpoints)"
_CONTEXT = 0x1234


def _skip_unless_the_processor_compares_contexts(rig: Rig) -> None:
    """By the guest's own breakpoint of the same type."""
    highest = rig.context_aware()[0]
    pair = context_breakpoint(_CONTEXT)
    if not own_debugging(
        rig, asm.NOP, breakpoints={highest: pair}, system={"CONTEXTIDR_EL1": _CONTEXT}
    ):
        rig.skip(
            "the processor has no unlinked context breakpoints: the guest's own, without KVM's "
            "help, matches nothing either"
        )


def _linked_program(rig: Rig, context: int) -> asm.Code:
    rig.set_reg("CONTEXTIDR_EL1", context)
    rig.set_x(1, DATA)
    return rig.code(asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())


@case_for_each(
    "linked.breakpoint",
    {"same-context": _CONTEXT, "other-context": _CONTEXT + 1},
    "An address breakpoint linked to a context breakpoint matches where both match ({}).",
    _LINK + "; DBGBCR<n>_EL1.BT 0b0001 and 0b0011",
)
def _(rig: Rig, context: int) -> None:
    number = rig.context_aware()[0]
    code = _linked_program(rig, context)
    rig.debug(
        USE_HW,
        {
            0: breakpoint(code.at(1), linked_to=number),
            number: context_breakpoint(_CONTEXT, linked=True),
        },
    )
    if context == _CONTEXT:
        rig.breaks(code.at(1))
        return
    with rig.positive_control():
        rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
        rig.breaks(code.at(1))
    rig.done()


@case_for_each(
    "linked.watchpoint",
    {"same-context": _CONTEXT, "other-context": _CONTEXT + 1},
    "A watchpoint linked to a context breakpoint matches where both match ({}).",
    _LINK + "; DBGWCR<n>_EL1.WT",
)
def _(rig: Rig, context: int) -> None:
    number = rig.context_aware()[0]
    code = _linked_program(rig, context)
    rig.debug(
        USE_HW,
        {number: context_breakpoint(_CONTEXT, linked=True)},
        watchpoint(DATA, 8, linked_to=number),
    )
    if context == _CONTEXT:
        rig.watches(code.at(2), DATA, DATA + 7, write=True)
        return
    with rig.positive_control():
        rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
        rig.watches(code.at(2), DATA, DATA + 7, write=True)
    rig.done()


@case_for_each(
    "linked.to-each-context-breakpoint",
    {f"{n}-from-the-highest": n for n in range(16)},
    "Every context-aware breakpoint can be linked to: the {}.",
    _LINK + "; ID_AA64DFR0_EL1.CTX_CMPs",
)
def _(rig: Rig, which: int) -> None:
    numbers = rig.context_aware()
    if which >= len(numbers):
        rig.skip(f"there are {len(numbers)} context-aware breakpoints")
    number = numbers[which]
    own = 0 if number else 1
    code = _linked_program(rig, _CONTEXT)
    rig.debug(
        USE_HW,
        {
            own: breakpoint(code.at(1), linked_to=number),
            number: context_breakpoint(_CONTEXT, linked=True),
        },
    )
    rig.breaks(code.at(1))


@case(
    "linked.several-to-one",
    "Breakpoints and watchpoints can be linked to one context breakpoint together.",
    _LINK,
)
def _(rig: Rig) -> None:
    number = rig.context_aware()[0]
    code = _linked_program(rig, _CONTEXT)
    context = {number: context_breakpoint(_CONTEXT, linked=True)}
    watched = watchpoint(DATA, 8, linked_to=number)
    rig.debug(USE_HW, context | {0: breakpoint(code.at(1), linked_to=number)}, watched)
    rig.breaks(code.at(1))
    rig.debug(USE_HW, context, watched)
    rig.watches(code.at(2), DATA, DATA + 7, write=True)


@case(
    "linked.context-alone-stops-nothing",
    "A linked context breakpoint (BT 0b0011) generates no exception by itself.",
    _LINK,
)
def _(rig: Rig) -> None:
    number = rig.context_aware()[0]
    code = _linked_program(rig, _CONTEXT)
    alone = {number: context_breakpoint(_CONTEXT, linked=True)}
    with rig.positive_control():
        rig.debug(USE_HW, alone | {0: breakpoint(code.at(1), linked_to=number)})
        rig.breaks(code.at(1))
    rig.debug(USE_HW, alone)
    rig.done()


def _linked_to(rig: Rig, code: asm.Code, other: RegisterPair, watch: bool) -> None:
    """Arm a breakpoint on instruction 1, or a watchpoint, that is linked to ``other``."""
    number = rig.context_aware()[0]
    if watch:
        rig.debug(USE_HW, {number: other}, watchpoint(DATA, 8, linked_to=number))
    else:
        rig.debug(USE_HW, {number: other, 0: breakpoint(code.at(1), linked_to=number)})


def _stops_if_linked_to_a_context(rig: Rig, code: asm.Code, watch: bool) -> None:
    """The positive control of the next two cases."""
    with rig.positive_control():
        _linked_to(rig, code, context_breakpoint(_CONTEXT, linked=True), watch)
        if watch:
            rig.watches(code.at(2), DATA, DATA + 7, write=True)
        else:
            rig.breaks(code.at(1))


@case_for_each(
    "linked.to-a-disabled-one",
    {"breakpoint": False, "watchpoint": True},
    "A {} linked to a context breakpoint that is disabled never matches.",
    _LINK,
)
def _(rig: Rig, watch: bool) -> None:
    code = _linked_program(rig, _CONTEXT)
    _stops_if_linked_to_a_context(rig, code, watch)
    pair = context_breakpoint(_CONTEXT, linked=True)
    off = RegisterPair(DBGBCR.encode(base=pair.control, E=0), pair.value)
    _linked_to(rig, code, off, watch)
    rig.done()


@case_for_each(
    "linked.to-an-unlinked-one",
    {"breakpoint": False, "watchpoint": True},
    "A {} linked to a breakpoint whose type is not a linked context match never matches.",
    _LINK,
)
def _(rig: Rig, watch: bool) -> None:
    code = _linked_program(rig, _CONTEXT)
    _stops_if_linked_to_a_context(rig, code, watch)
    # An address breakpoint that is never reached: its type cannot be linked to.
    _linked_to(rig, code, breakpoint(DATA), watch)
    rig.done()


@case(
    "linked.follows-the-context",
    "The context is compared at every access: a guest that changes CONTEXTIDR_EL1 stops where it "
    "matches, and only there.",
    _LINK + "; CONTEXTIDR_EL1",
)
def _(rig: Rig) -> None:
    number = rig.context_aware()[0]
    store = asm.str_(0, 1)
    code = rig.code(
        *(store, asm.msr("CONTEXTIDR_EL1", 2), asm.ISB),
        *(store, asm.msr("CONTEXTIDR_EL1", 3), asm.ISB),
        *(store, rig.finish()),
    )
    rig.set_x(1, DATA)
    rig.set_x(2, _CONTEXT)
    rig.set_x(3, _CONTEXT ^ 0x80000000)
    context = {number: context_breakpoint(_CONTEXT, linked=True)}
    rig.debug(USE_HW, context, watchpoint(DATA, 8, linked_to=number))
    rig.watches(code.at(3), DATA, DATA + 7, write=True)
    rig.pc = code.at(4)
    rig.done()


@case_for_each(
    "linked.at-el",
    {"0": 0, "1": 1},
    "Linked breakpoints compare CONTEXTIDR_EL1 at EL{} too.",
    _LINK,
)
def _(rig: Rig, el: int) -> None:
    number = rig.context_aware()[0]
    rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
    code = rig.code(asm.NOP, asm.NOP, rig.finish(), el=el)
    rig.debug(
        USE_HW,
        {
            0: breakpoint(code.at(1), linked_to=number),
            number: context_breakpoint(_CONTEXT, linked=True),
        },
    )
    rig.breaks(code.at(1))


@case(
    "context.matches-every-instruction",
    "An unlinked context breakpoint (BT 0b0010) stops before any instruction while CONTEXTIDR_EL1 "
    "has its value.",
    _LINK + "; DBGBCR<n>_EL1.BT 0b0010",
)
def _(rig: Rig) -> None:
    _skip_unless_the_processor_compares_contexts(rig)
    code = _linked_program(rig, _CONTEXT)
    rig.debug(USE_HW, {rig.context_aware()[0]: context_breakpoint(_CONTEXT)})
    rig.breaks(code.at(0))
    rig.pc = code.at(1)
    rig.breaks(code.at(1))


@case(
    "context.other-context",
    "An unlinked context breakpoint stops nothing while CONTEXTIDR_EL1 has another value.",
    _LINK,
)
def _(rig: Rig) -> None:
    _skip_unless_the_processor_compares_contexts(rig)
    code = _linked_program(rig, _CONTEXT + 1)
    rig.debug(USE_HW, {rig.context_aware()[0]: context_breakpoint(_CONTEXT)})
    with rig.positive_control():
        rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
        rig.breaks(code.at(0))
    rig.done()


@case(
    "context.from-its-change-on",
    "An unlinked context breakpoint stops a guest once the guest has written that value to "
    "CONTEXTIDR_EL1 and synchronized it.",
    _LINK + "; CONTEXTIDR_EL1",
)
def _(rig: Rig) -> None:
    _skip_unless_the_processor_compares_contexts(rig)
    code = rig.code(asm.NOP, asm.msr("CONTEXTIDR_EL1", 2), asm.ISB, asm.NOP, rig.finish())
    rig.set_x(2, _CONTEXT)
    rig.debug(USE_HW, {rig.context_aware()[0]: context_breakpoint(_CONTEXT)})
    exit_ = rig.run()
    # Without synchronization the ISB itself may match already.
    rig.expect_one_of("PC", rig.pc, (code.at(2), code.at(3)))
    rig.breaks(rig.pc, exit_)


@case_for_each(
    "context.el",
    {f"{chosen}-at-el{el}": (chosen, el) for chosen in ("el0", "el1") for el in (0, 1)},
    "PMC chooses the Exception levels of a context breakpoint: {}.",
    _LINK + "; DBGBCR<n>_EL1.PMC",
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    chosen, el = what
    _skip_unless_the_processor_compares_contexts(rig)
    rig.set_reg("CONTEXTIDR_EL1", _CONTEXT)
    code = rig.code(asm.NOP, rig.finish(), el=el)
    number = rig.context_aware()[0]
    if chosen != f"el{el}":
        with rig.positive_control():
            rig.debug(USE_HW, {number: context_breakpoint(_CONTEXT)})
            rig.breaks(code.at(0))
    pair = context_breakpoint(_CONTEXT, el=chosen)  # type: ignore[arg-type]
    rig.debug(USE_HW, {number: pair})
    if chosen == f"el{el}":
        rig.breaks(code.at(0))
    else:
        rig.done()
