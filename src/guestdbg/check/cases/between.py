"""Between two runs: what userspace changes while the guest is stopped, and runs cut short."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint, context_breakpoint, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.describe import exit_words
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import EL0T, EL1H, STEP, USE_HW, USE_SW_BP
from guestdbg.check.verdict import Failure
from guestdbg.check.watchdog import Watchdog
from guestdbg.kvm import ExitIntr

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_KVM = "KVM API 4.87 (KVM_SET_GUEST_DEBUG)"
_ONE_REG = _KVM + "; 4.68 (KVM_SET_ONE_REG)"
_IMMEDIATE = _KVM + "; 5 (kvm_run.immediate_exit: KVM_RUN returns without entering the guest)"


def _cut_short(rig: Rig) -> None:
    """A KVM_RUN with immediate_exit."""
    rig.vcpu.immediate_exit = True
    try:
        exit_ = rig.vcpu.run()
    finally:
        rig.vcpu.immediate_exit = False
    if not isinstance(exit_, ExitIntr):
        raise Failure("KVM_RUN to end with EINTR, KVM_EXIT_INTR", exit_words(exit_))


@case_for_each(
    "between.cut-short",
    {"step": 0, "breakpoint": 1, "watchpoint": 2, "brk": 3},
    "A run with immediate_exit executes nothing, and the next run stops where it would have "
    "stopped without it: {}.",
    _IMMEDIATE,
)
def _(rig: Rig, what: int) -> None:
    code = rig.code(asm.add(0, 0, 1), asm.brk(7) if what == 3 else asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    match what:
        case 0:
            rig.debug(STEP)
        case 1:
            rig.debug(USE_HW, [breakpoint(code.at(1))])
        case 2:
            rig.debug(USE_HW, (), watchpoint(DATA, 8))
        case 3:
            rig.debug(USE_SW_BP)
    for _ in range(2):
        _cut_short(rig)
        rig.expect("PC", rig.pc, code.at(0))
        rig.expect("x0", rig.x(0), 0)
    match what:
        case 0:
            rig.steps(code.at(1))
        case 1:
            rig.breaks(code.at(1))
        case 2:
            rig.watches(code.at(1), DATA, DATA + 7, write=True)
        case 3:
            rig.brk(code.at(1), 7)
    rig.expect("x0: executed once", rig.x(0), 1)


@case_for_each(
    "between.level",
    {"from-el1-to-el0": 0, "from-el0-to-el1": 1},
    "After a step, userspace moves the vCPU to another Exception level; the next step is made "
    "there: {}.",
    _ONE_REG,
)
def _(rig: Rig, el: int) -> None:
    there = rig.machine.program(asm.add(2, 2, 1), asm.NOP, rig.finish(), el=el)
    code = rig.code(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(), el=1 - el)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.pc = there.address
    rig.pstate = EL1H if el else EL0T
    rig.steps(there.at(1))
    rig.expect("PSTATE.EL", rig.pstate >> 2 & 3, el)
    rig.expect("x0", rig.x(0), 1)
    rig.expect("x2", rig.x(2), 1)


@case(
    "between.level-of-a-breakpoint",
    "A breakpoint for EL0 alone does not match at EL1, but matches once userspace has put the vCPU "
    "at EL0: the current level counts.",
    _ONE_REG + "; Arm ARM DBGBCR<n>_EL1.PMC",
)
def _(rig: Rig) -> None:
    below = rig.machine.program(asm.NOP, asm.NOP, rig.finish(), el=0)
    rig.code(rig.finish())
    rig.debug(USE_HW, [breakpoint(below.at(1), el="el0")])
    rig.done()
    rig.start(below, el=0)
    rig.breaks(below.at(1))


@case_for_each(
    "between.address-register",
    {"away": 64, "onto": -64},
    "An access uses the registers as userspace left them: once userspace has moved its address {} "
    "the watched bytes, it stops or does not stop accordingly.",
    _ONE_REG + "; Arm ARM D2.10: a watchpoint exception is taken before the access",
)
def _(rig: Rig, distance: int) -> None:
    watched = DATA + 0x1000
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(0, 7)
    first, then = (watched, watched + 64) if distance > 0 else (watched + 64, watched)
    rig.set_x(1, first)
    rig.debug(USE_HW, (), watchpoint(watched, 8))
    if distance > 0:
        rig.watches(code.at(0), watched, watched + 7, write=True)
    else:
        _cut_short(rig)
    rig.set_x(1, then)
    if distance > 0:
        rig.done()
        rig.expect("what is watched", rig.machine.u64(watched), 0)
        rig.expect("what was stored to", rig.machine.u64(then), 7)
    else:
        rig.watches(code.at(0), watched, watched + 7, write=True)
        rig.expect("what was not stored to", rig.machine.u64(first), 0)


@case(
    "between.value-register",
    "At a watchpoint on a store, userspace may change the value that will be stored.",
    _ONE_REG + "; Arm ARM D2.10: a watchpoint exception is taken before the access",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.stp(2, 3, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, 1)
    rig.debug(USE_HW, (), watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.set_x(2, 0x1111)
    rig.set_x(3, 0x2222)
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.expect("the first doubleword", rig.machine.u64(DATA), 0x1111)
    rig.expect("the second doubleword", rig.machine.u64(DATA + 8), 0x2222)


@case(
    "between.memory",
    "At a watchpoint on a load, userspace may change the value that will be loaded.",
    _KVM + "; Arm ARM D2.10: a watchpoint exception is taken before the access",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.ldr(2, 1), rig.finish(2))
    rig.set_x(1, DATA)
    rig.debug(USE_HW, (), watchpoint(DATA, 8, "read"))
    rig.watches(code.at(0), DATA, DATA + 7, write=False)
    rig.machine.write(DATA, (0x5678).to_bytes(8, "little"))
    rig.debug(0)
    rig.done(value=0x5678)


@case(
    "between.flags-decide",
    "A step of a conditional branch follows the flags as userspace left them.",
    _ONE_REG + " of PSTATE",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.subs(0, 0, 0), asm.b_cond("eq", "there"), asm.NOP, asm.label("there"))
    rig.debug(STEP)
    rig.steps(code.at(1))
    rig.pstate = rig.pstate & ~(1 << 30)
    rig.steps(code.at(2))
    rig.pc = code.at(1)
    rig.pstate = rig.pstate | 1 << 30
    rig.steps(code["there"])


@case_for_each(
    "between.context",
    {"set": True, "changed-away": False},
    "A CONTEXTIDR_EL1 written by one-reg access is what linked breakpoints compare from the next "
    "run on: {}.",
    _ONE_REG + "; Arm ARM D2.8 (Breakpoint types and linking of breakpoints)",
)
def _(rig: Rig, to_match: bool) -> None:
    number = _highest(rig)
    code = rig.code(asm.NOP, asm.NOP, asm.NOP, rig.finish())
    linked = breakpoint(code.at(2), linked_to=number)
    rig.set_reg("CONTEXTIDR_EL1", 2 if to_match else 1)
    rig.debug(USE_HW, {0: breakpoint(code.at(1)), number: context_breakpoint(1, linked=True)})
    rig.breaks(code.at(1))
    rig.debug(USE_HW, {0: linked, number: context_breakpoint(1, linked=True)})
    rig.set_reg("CONTEXTIDR_EL1", 1 if to_match else 2)
    if to_match:
        rig.breaks(code.at(2))
        return
    with rig.positive_control():
        rig.set_reg("CONTEXTIDR_EL1", 1)
        rig.breaks(code.at(2))
    rig.done()


def _highest(rig: Rig) -> int:
    """The highest-numbered breakpoint: it is always context-aware."""
    return rig.breakpoints - 1


@case(
    "between.another-thread",
    "Guest debugging that one thread has set stays in force when another thread runs the vCPU.",
    _KVM + ": it is the vCPU that is debugged",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.add(0, 0, 1), asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, [breakpoint(code.at(1))])
    _in_threads(lambda: rig.breaks(code.at(1)))
    rig.debug(STEP)
    _in_threads(lambda: rig.steps(code.at(2)))
    rig.steps(code.at(3))


@case(
    "between.two-threads-at-once",
    "Two vCPUs that run at the same time each stop for their own debugging only: one at its "
    "breakpoint, in a loop that counts; the other after each step.",
    _KVM + ": it is the vCPU that is debugged",
)
def _(rig: Rig) -> None:
    other = rig.another_vcpu()
    loop = rig.code(asm.label("top"), asm.add(0, 0, 1), asm.NOP, asm.b("top"))
    other.start(loop)
    rig.debug(USE_HW, [breakpoint(loop.at(1))])
    other.debug(STEP)

    def breaks() -> None:
        for n in range(1, 51):
            rig.breaks(loop.at(1))
            rig.expect("x0 of the first", rig.x(0), n)
            rig.pc = loop.at(2)

    def steps() -> None:
        # A watchdog is for one vCPU at a time.
        watchdog = Watchdog(rig.machine.watchdog.seconds)
        try:
            for n in range(1, 151):
                with watchdog.watching(other.vcpu):
                    exit_ = other.vcpu.run()
                other.steps(loop.at(n % 3), exit_)
        finally:
            watchdog.close()
        rig.expect("x0 of the second", other.x(0), 50)

    _in_threads(breaks, steps)


def _in_threads(*actions: Callable[[], object]) -> None:
    """Do all of this at once, each in a thread of its own. Raises what the first of them raised."""
    problems: list[BaseException] = []

    def guarded(action: Callable[[], object]) -> None:
        try:
            action()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
