"""Breakpoint, watchpoint and step together, removed in every order; and hsr_high."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import STEP, USE_HW, USE_SW_BP
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitDebug
from guestdbg.kvm.constants import KVM_DEBUG_ARCH_HSR_HIGH_VALID

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig
    from guestdbg.kvm import Exit

_CONTROL = "KVM API 4.87 (KVM_SET_GUEST_DEBUG)"
_PARTS = ("breakpoint", "watchpoint", "step")


def _debug_with(rig: Rig, code: asm.Code, parts: set[str]) -> None:
    """Debug with these parts: a breakpoint on instruction 1, a watchpoint on what 3 stores to."""
    control = 0
    if parts & {"breakpoint", "watchpoint"}:
        control |= USE_HW
    if "step" in parts:
        control |= STEP
    rig.debug(
        control,
        [breakpoint(code.at(1))] if "breakpoint" in parts else (),
        watchpoint(DATA, 8) if "watchpoint" in parts else (),
    )


def _run_through(rig: Rig, code: asm.Code, parts: set[str]) -> None:
    """Run through the program; expect stops for these parts and for nothing else."""
    rig.start(code)
    _debug_with(rig, code, parts)
    for n in range(4):
        # The PC is at instruction n.
        if n == 1 and "breakpoint" in parts:
            rig.breaks(code.at(1))
            _debug_with(rig, code, parts - {"breakpoint"})
        if n == 3 and "watchpoint" in parts:
            rig.watches(code.at(3), DATA, DATA + 7, write=True)
            _debug_with(rig, code, parts - {"breakpoint", "watchpoint"})
        if "step" in parts:
            rig.steps(code.at(n + 1))
    if "step" in parts:
        rig.debug(0)
    rig.done()


@case_for_each(
    "order.with",
    {
        "-and-".join(part for n, part in enumerate(_PARTS) if bits >> n & 1) or "nothing": bits
        for bits in range(8)
    },
    "With {} in force, a program stops for these and for nothing else.",
    _CONTROL,
)
def _(rig: Rig, bits: int) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    _run_through(rig, code, {part for n, part in enumerate(_PARTS) if bits >> n & 1})


@case_for_each(
    "order.taking-away",
    {"-then-".join(order): order for order in permutations(_PARTS)},
    "All three in force, then removed one after the other ({}): those that are left still work, "
    "those that were removed stop nothing.",
    _CONTROL,
)
def _(rig: Rig, order: tuple[str, ...]) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    left = set(_PARTS)
    _run_through(rig, code, left)
    for part in order:
        left.discard(part)
        _run_through(rig, code, left)


@case_for_each(
    "order.adding",
    {"-then-".join(order): order for order in permutations(_PARTS)},
    "None in force, then added one after the other ({}): each works from then on.",
    _CONTROL,
)
def _(rig: Rig, order: tuple[str, ...]) -> None:
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    there: set[str] = set()
    for part in order:
        there.add(part)
        _run_through(rig, code, there)


@case_for_each(
    "order.disabling-register",
    {"first-to-last": 1, "last-to-first": -1},
    "Breakpoint registers disabled one by one, {}: those that are left still stop.",
    _CONTROL,
)
def _(rig: Rig, direction: int) -> None:
    count = rig.breakpoints
    code = rig.code([asm.NOP] * count, rig.finish())
    armed = {n: breakpoint(code.at(n)) for n in range(count)}
    for gone in list(range(count))[::direction]:
        del armed[gone]
        rig.start(code)
        left = dict(armed)
        for n in sorted(armed):
            rig.debug(USE_HW, left)
            rig.breaks(code.at(n))
            del left[n]
        rig.debug(USE_HW, left)
        rig.done()


def _expect_hsr_high_zero(exit_: Exit) -> None:
    if not isinstance(exit_, ExitDebug) or exit_.flags != KVM_DEBUG_ARCH_HSR_HIGH_VALID:
        raise Failure("KVM_EXIT_DEBUG with KVM_DEBUG_ARCH_HSR_HIGH_VALID", str(exit_))
    if exit_.hsr_high:
        raise Failure("hsr_high 0: none of these classes has an ISS2", f"{exit_.hsr_high:#x}")


@case_for_each(
    "hsr-high",
    {"breakpoint": 0, "watchpoint": 1, "step": 2, "brk": 3},
    "kvm_run.flags says that hsr_high is valid, and it holds ESR_EL2[63:32]: zero for {}.",
    "KVM API 5 (kvm_debug_exit_arch, KVM_DEBUG_ARCH_HSR_HIGH_VALID); Arm ARM ESR_EL2.ISS2",
    since=(5, 19),
)
def _(rig: Rig, what: int) -> None:
    code = rig.code((asm.NOP, asm.str_(0, 1), asm.NOP, asm.brk(1))[what], rig.finish())
    rig.set_x(1, DATA)
    if what == 0:
        rig.debug(USE_HW, [breakpoint(code.at(0))])
    elif what == 1:
        rig.debug(USE_HW, (), watchpoint(DATA, 8))
    else:
        rig.debug(STEP if what == 2 else USE_SW_BP)
    _expect_hsr_high_zero(rig.run())


@case(
    "far.of-a-watchpoint-alone",
    "FAR of a watchpoint exit belongs to this exit, also after another watchpoint, a breakpoint "
    "and a step.",
    "KVM API 5 (kvm_debug_exit_arch.far: for watchpoints)",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), asm.NOP, asm.str_(0, 2), rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, DATA + 64)
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    rig.breaks(code.at(1))
    rig.debug(USE_HW, (), watchpoint(DATA + 64, 8))
    rig.watches(code.at(2), DATA + 64, DATA + 71, write=True)
