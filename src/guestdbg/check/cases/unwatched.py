"""What generates no watchpoint exception: accesses other than loads and stores, near misses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import DBGWCR, RegisterPair, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA, TABLES
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_NOT = "Arm ARM D2.10 (Watchpoint exceptions): accesses that generate none"


def _expect_stop_at(rig: Rig, address: int) -> None:
    """Expect a load from there to stop: the watchpoint is armed, though it has not matched yet."""
    code = rig.code(asm.ldr(0, 1))
    rig.set_x(1, address)
    rig.watches(code.at(0), address, address + 7, write=False)


@case(
    "watchpoint.registers-beyond-the-last",
    "Registers that the processor does not have are ignored: what userspace puts there watches "
    "nothing.",
    "KVM API 4.87: only as many as KVM_CAP_GUEST_DEBUG_HW_WPS",
)
def _(rig: Rig) -> None:
    if rig.watchpoints == 16:
        rig.skip("all 16 registers are implemented")
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    pair = watchpoint(DATA, 8)[0]
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=dict.fromkeys(range(rig.watchpoints - 1, 16), pair))
        rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.debug(USE_HW, watchpoints=dict.fromkeys(range(rig.watchpoints, 16), pair))
    rig.done()


@case("watchpoint.disabled", "A watchpoint with E = 0 does not match.", "Arm ARM DBGWCR<n>_EL1.E")
def _(rig: Rig) -> None:
    rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    pair = watchpoint(DATA, 8)[0]
    off = RegisterPair(DBGWCR.encode(base=pair.control, E=0), pair.value)
    rig.debug(USE_HW, watchpoints=[off])
    rig.done()
    rig.debug(USE_HW, watchpoints=[pair])
    code = rig.code(asm.str_(0, 1))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)


@case(
    "watchpoint.not-by-fetching",
    "Fetching an instruction from a watched address is not a data access, and does not match.",
    _NOT,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.NOP, asm.NOP, rig.finish())
    rig.debug(USE_HW, watchpoints=watchpoint(code.address, 64, "any"))
    rig.done()
    _expect_stop_at(rig, code.address)


@case(
    "watchpoint.not-by-translation",
    "A translation table walk that reads a watched descriptor does not match.",
    _NOT,
)
def _(rig: Rig) -> None:
    rig.code(asm.str_(0, 1), asm.str_(0, 2), rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, DATA + (2 << 20))
    rig.debug(USE_HW, watchpoints=watchpoint(TABLES, 8192, "any"))
    rig.done()
    _expect_stop_at(rig, TABLES)


@case(
    "watchpoint.not-by-prefetch",
    "A prefetch of a watched address (PRFM) is a hint and generates no watchpoint exception.",
    _NOT,
)
def _(rig: Rig) -> None:
    rig.code(asm.prefetch(1), asm.prefetch(1, 16), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8, "any"))
    rig.done()
    _expect_stop_at(rig, DATA)


@case_for_each(
    "watchpoint.not-by-cleaning",
    {name: name for name in ("cvac", "cvau", "civac")},
    "DC {} of a watched address generates no watchpoint exception, because it changes no data.",
    _NOT + " (cache maintenance other than DC IVAC and DC ZVA)",
)
def _(rig: Rig, name: str) -> None:
    rig.code(asm.dc(name, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 64, "any"))
    rig.done()
    _expect_stop_at(rig, DATA)


@case(
    "watchpoint.not-by-kvm",
    "What userspace writes to watched memory, and KVM's own accesses, stop nothing.",
    "KVM API 4.87: only the guest is debugged",
)
def _(rig: Rig) -> None:
    rig.code(asm.NOP, rig.finish())
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8, "any"))
    rig.machine.write(DATA, b"written!")
    rig.done()
    _expect_stop_at(rig, DATA)


@case_for_each(
    "watchpoint.neighbours",
    {"below": -8, "above": 8, "a-page-on": 4096, "the-same-offset-2-mib-on": 2 << 20},
    "An access to a doubleword that is not watched ({}) does not match.",
    "Arm ARM D2.10 (Watchpoint exceptions)",
)
def _(rig: Rig, distance: int) -> None:
    watched = DATA + 0x1000
    rig.code(asm.str_(0, 1), asm.ldr(0, 1), rig.finish())
    rig.set_x(1, watched + distance)
    rig.debug(USE_HW, watchpoints=watchpoint(watched, 8, "any"))
    rig.done()
    _expect_stop_at(rig, watched)
