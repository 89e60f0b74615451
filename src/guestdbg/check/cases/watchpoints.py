"""Watchpoints: every register, alone and together; before the access; loads and stores."""

from guestdbg.arm64.debug import watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, cases, numbered
from guestdbg.check.rig import USE_HW, Rig

_MATCH = "Arm ARM D2.10 (Watchpoint exceptions)"


@cases(
    "watchpoint.register",
    numbered(),
    "Watchpoint register {} by itself stops before a store to what it watches.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig, number: int) -> None:
    rig.need_watchpoints(number + 1)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.tell())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints={number: watchpoint(DATA, 8)[0]})
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug(USE_HW)
    rig.done()


@case(
    "watchpoint.all-at-once",
    "All watchpoint registers together: each stops an access to its own doubleword.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig) -> None:
    count = rig.watchpoints
    code = rig.code(*(asm.str_(0, 1, 8 * n) for n in range(count)), rig.tell())
    rig.set_x(1, DATA)
    armed = {n: watchpoint(DATA + 8 * n, 8)[0] for n in range(count)}
    for n in range(count):
        rig.debug(USE_HW, watchpoints=armed)
        rig.watches(code.at(n), DATA + 8 * n, DATA + 8 * n + 7, write=True)
        del armed[n]
    rig.debug(USE_HW, watchpoints=armed)
    rig.done()


@case(
    "watchpoint.before-the-store",
    "A watchpoint exception is taken before the access: memory is as it was, and the PC is at the "
    "instruction.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.tell())
    rig.set_x(0, 7)
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.expect("the doubleword", rig.machine.u64(DATA), 0)
    rig.debug(0)
    rig.done()
    rig.expect("the doubleword after the store", rig.machine.u64(DATA), 7)
