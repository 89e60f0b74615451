"""HMC and SSC: the combinations that are not reserved, for a guest at EL1 and EL0, Non-secure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import DBGBCR, DBGWCR, RegisterPair, breakpoint, watchpoint
from guestdbg.arm64.registers import by_name
from guestdbg.check import assembler as asm
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case_for_each
from guestdbg.check.rig import USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_TABLE = "Arm ARM D2.8 and D2.10, table of HMC, SSC and PMC or PAC"

#: HMC, SSC, PxC: at which of EL1 and EL0 it matches, and whether the values need EL3.
_COMBINATIONS: dict[str, tuple[int, int, int, frozenset[int], bool]] = {
    "hmc-1-ssc-0-el1": (1, 0, 1, frozenset({1}), False),
    "hmc-1-ssc-0-any": (1, 0, 3, frozenset({0, 1}), False),
    "hmc-1-ssc-3-el2-alone": (1, 3, 0, frozenset(), False),
    "hmc-0-ssc-1-el1": (0, 1, 1, frozenset({1}), True),
    "hmc-0-ssc-1-el0": (0, 1, 2, frozenset({0}), True),
    "hmc-0-ssc-1-any": (0, 1, 3, frozenset({0, 1}), True),
    "hmc-0-ssc-2-el1": (0, 2, 1, frozenset(), True),
    "hmc-0-ssc-2-el0": (0, 2, 2, frozenset(), True),
    "hmc-0-ssc-2-any": (0, 2, 3, frozenset(), True),
    "hmc-1-ssc-1-el1": (1, 1, 1, frozenset({1}), True),
    "hmc-1-ssc-1-any": (1, 1, 3, frozenset({0, 1}), True),
    "hmc-1-ssc-2-el3-alone": (1, 2, 0, frozenset(), True),
    "hmc-1-ssc-2-el1": (1, 2, 1, frozenset(), True),
    "hmc-1-ssc-2-any": (1, 2, 3, frozenset(), True),
}
_EACH = {
    f"{name}-at-el{el}": (*values, el) for name, values in _COMBINATIONS.items() for el in (1, 0)
}
_What = tuple[int, int, int, frozenset[int], bool, int]


def _need_el3(rig: Rig, needed: bool) -> None:
    if needed and not by_name("ID_AA64PFR0_EL1").get(rig.reg("ID_AA64PFR0_EL1"), "EL3"):
        rig.skip("ID_AA64PFR0_EL1.EL3 is 0: without EL3 these values are reserved")


@case_for_each(
    "breakpoint.levels",
    _EACH,
    "A breakpoint with {} matches as the table of HMC, SSC and PMC says.",
    _TABLE,
)
def _(rig: Rig, what: _What) -> None:
    hmc, ssc, pmc, levels, el3, el = what
    _need_el3(rig, el3)
    code = rig.code(asm.NOP, asm.NOP, rig.finish(), el=el)
    pair = breakpoint(code.at(1))
    control = DBGBCR.encode(base=pair.control, HMC=hmc, SSC=ssc, PMC=pmc)
    if el not in levels:
        with rig.positive_control():
            rig.debug(USE_HW, [pair])
            rig.breaks(code.at(1))
    rig.debug(USE_HW, [RegisterPair(control, pair.value)])
    if el in levels:
        rig.breaks(code.at(1))
    else:
        rig.done()


@case_for_each(
    "watchpoint.levels",
    _EACH,
    "A watchpoint with {} matches as the table of HMC, SSC and PAC says.",
    _TABLE,
)
def _(rig: Rig, what: _What) -> None:
    hmc, ssc, pac, levels, el3, el = what
    _need_el3(rig, el3)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish(), el=el)
    rig.set_x(1, DATA)
    pair = watchpoint(DATA, 8)[0]
    control = DBGWCR.encode(base=pair.control, HMC=hmc, SSC=ssc, PAC=pac)
    if el not in levels:
        with rig.positive_control():
            rig.debug(USE_HW, watchpoints=[pair])
            rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug(USE_HW, watchpoints=[RegisterPair(control, pair.value)])
    if el in levels:
        rig.watches(code.at(1), DATA, DATA + 7, write=True)
    else:
        rig.done()
