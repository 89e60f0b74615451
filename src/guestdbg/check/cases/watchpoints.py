"""Watchpoints: every register, alone and together; before the access; which accesses match."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.evidence import own_debugging
from guestdbg.check.layout import DATA, RAM, TABLES
from guestdbg.check.registry import case, case_for_each, numbered
from guestdbg.check.rig import USE_HW

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_MATCH = "Arm ARM D2.10 (Watchpoint exceptions)"


@case_for_each(
    "watchpoint.register",
    numbered(),
    "Watchpoint register {} alone stops before a store to the bytes that it watches.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig, number: int) -> None:
    rig.need_watchpoints(number + 1)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints={number: watchpoint(DATA, 8)[0]})
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug(USE_HW)
    rig.done()


@case(
    "watchpoint.all-at-once",
    "With all watchpoint registers in use, each stops an access to its own doubleword.",
    _MATCH + "; KVM API 4.87",
)
def _(rig: Rig) -> None:
    count = rig.watchpoints
    code = rig.code(*(asm.str_(0, 1, 8 * n) for n in range(count)), rig.finish())
    rig.set_x(1, DATA)
    armed = {n: watchpoint(DATA + 8 * n, 8)[0] for n in range(count)}
    for n in range(count):
        rig.debug(USE_HW, watchpoints=armed)
        rig.watches(code.at(n), DATA + 8 * n, DATA + 8 * n + 7, write=True)
        del armed[n]
    rig.debug(USE_HW, watchpoints=armed)
    rig.done()


@case(
    "watchpoint.two-at-one-address",
    "Two registers that watch the same bytes cause one exception.",
    _MATCH,
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8) + watchpoint(DATA, 8))
    rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.debug(USE_HW)
    rig.done()


_ACCESS = {"store": asm.str_(0, 1), "load": asm.ldr(0, 1)}


@case_for_each(
    "watchpoint.lsc",
    {
        f"{watched}-of-a-{done}": (watched, done)
        for watched in ("read", "write", "any")
        for done in ("load", "store")
    },
    "LSC chooses whether loads, stores or both match: {}.",
    "Arm ARM DBGWCR<n>_EL1.LSC",
)
def _(rig: Rig, what: tuple[str, str]) -> None:
    watched, done = what
    code = rig.code(_ACCESS[done], rig.finish())
    rig.set_x(1, DATA)
    armed = watchpoint(DATA, 8, watched)  # type: ignore[arg-type]
    if watched == "any" or (watched == "read") == (done == "load"):
        rig.debug(USE_HW, watchpoints=armed)
        rig.watches(code.at(0), DATA, DATA + 7, write=done == "store")
        return
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8, "any"))
        rig.watches(code.at(0), DATA, DATA + 7, write=done == "store")
    rig.debug(USE_HW, watchpoints=armed)
    rig.done()


@case_for_each(
    "watchpoint.el",
    {f"{chosen}-at-el{el}": (chosen, el) for chosen in ("el0", "el1", "any") for el in (0, 1)},
    "PAC chooses the Exception levels whose accesses match: {}.",
    "Arm ARM DBGWCR<n>_EL1.PAC, table of HMC, SSC and PAC",
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    chosen, el = what
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish(), el=el)
    rig.set_x(1, DATA)
    armed = watchpoint(DATA, 8, el=chosen)  # type: ignore[arg-type]
    if chosen in ("any", f"el{el}"):
        rig.debug(USE_HW, watchpoints=armed)
        rig.watches(code.at(1), DATA, DATA + 7, write=True)
        return
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
        rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.debug(USE_HW, watchpoints=armed)
    rig.done()


@case_for_each(
    "watchpoint.unprivileged-access",
    {f"{chosen}-{name}": (chosen, name) for chosen in ("el0", "el1") for name in ("sttr", "ldtr")},
    "LDTR and STTR at EL1 are unprivileged accesses and match like those of EL0: {}.",
    "Arm ARM D2.10 (Watchpoint exceptions), unprivileged loads and stores",
)
def _(rig: Rig, what: tuple[str, str]) -> None:
    chosen, name = what
    word = asm.access("str" if name == "sttr" else "ldr", 0, 1, 0, mode="unprivileged")
    pair = watchpoint(DATA, 8, "any", el=chosen)[0]  # type: ignore[arg-type]
    own = own_debugging(rig, word, watchpoints={0: pair}, registers={1: DATA})
    if own is not (chosen == "el0"):
        rig.skip(
            "the processor treats LDTR and STTR as accesses of EL1: the guest's own watchpoint, "
            "without KVM, matches in the same way"
        )
    code = rig.code(word, rig.finish())
    rig.set_x(1, DATA)
    if chosen == "el0":
        rig.debug(USE_HW, watchpoints=[pair])
        rig.watches(code.at(0), DATA, DATA + 7, write=name == "sttr")
        return
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8, "any"))
        rig.watches(code.at(0), DATA, DATA + 7, write=name == "sttr")
    rig.debug(USE_HW, watchpoints=[pair])
    rig.done()


@case(
    "watchpoint.tagged-address",
    "With the top byte ignored (TBI0), an access through a tagged pointer matches; FAR may carry "
    "the tag.",
    "Arm ARM D8.8 (Address tagging) and FAR_EL2",
)
def _(rig: Rig) -> None:
    tag = 0xA5 << 56
    tcr = rig.reg("TCR_EL1") | 1 << 37
    store, pairs = asm.str_(0, 1), watchpoint(DATA, 8)
    if not own_debugging(
        rig, store, watchpoints={0: pairs[0]}, registers={1: DATA | tag}, system={"TCR_EL1": tcr}
    ):
        rig.skip(
            "the processor compares the tag: the guest's own watchpoint, without KVM, does not "
            "match either"
        )
    rig.set_reg("TCR_EL1", tcr)
    code = rig.code(store, rig.finish())
    rig.set_x(1, DATA | tag)
    rig.debug(USE_HW, watchpoints=pairs)
    exit_ = rig.run()
    far = getattr(exit_, "far", None) or 0
    low = DATA | tag if far >> 56 else DATA
    rig.watches(code.at(0), low, low + 7, write=True, exit_=exit_)


@case(
    "watchpoint.by-invalidating",
    "DC IVAC of a watched address matches like a store, with CM and WnR 1 in the syndrome.",
    "Arm ARM D2.10 (Watchpoint exceptions), cache maintenance; ESR_EL2.CM",
)
def _(rig: Rig) -> None:
    word, pairs = asm.dc_ivac(1), watchpoint(DATA, 64)
    if not own_debugging(rig, word, watchpoints={0: pairs[0]}, registers={1: DATA}):
        rig.skip(
            "the processor's DC IVAC matches nothing: the guest's own watchpoint, without KVM, "
            "does not match either"
        )
    code = rig.code(word, rig.finish())
    rig.set_x(1, DATA + 8)
    rig.debug(USE_HW, watchpoints=pairs)
    rig.watches(code.at(0), DATA, DATA + 63, write=True, cache=True)


@case(
    "watchpoint.two-under-one-access",
    "An access that two watchpoints match causes one exception; FAR is between its start and the "
    "highest watched address.",
    "Arm ARM D2.10 (Determining the memory location that caused a watchpoint exception)",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.stp(2, 3, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA + 4, 1) + watchpoint(DATA + 12, 2))
    rig.watches(code.at(0), DATA, DATA + 13, write=True)
    rig.debug(USE_HW)
    rig.done()


@case(
    "watchpoint.load-for-the-one-store-for-the-other",
    "Two watchpoints on one address, one for loads and one for stores: each matches its own "
    "direction.",
    "Arm ARM DBGWCR<n>_EL1.LSC",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.ldr(0, 1), asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    pairs = watchpoint(DATA, 8, "read") + watchpoint(DATA, 8, "write")
    rig.debug(USE_HW, watchpoints=pairs)
    rig.watches(code.at(0), DATA, DATA + 7, write=False)
    rig.pc = code.at(1)
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.pc = code.at(2)
    rig.done()


@case_for_each(
    "watchpoint.mmu-off",
    {"0": 0, "1": 1},
    "With the guest's MMU off, a watchpoint compares the untranslated address, also at EL{}.",
    _MATCH,
)
def _(rig: Rig, el: int) -> None:
    rig.set_reg("SCTLR_EL1", rig.reg("SCTLR_EL1") & ~1)
    code = rig.code(asm.NOP, asm.str_(0, 1), rig.finish(), el=el)
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
    rig.watches(code.at(1), DATA, DATA + 7, write=True)


@case(
    "watchpoint.held-until-disarmed",
    "Running again with the watchpoint still armed stops at the same access again: KVM does not "
    "step over it.",
    "KVM API 4.87",
)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
    for _ in range(3):
        rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.expect("the doubleword", rig.machine.u64(DATA), 0)


@case(
    "watchpoint.other-virtual-address",
    "Virtual addresses are compared: an access to the same memory through another one does not "
    "match.",
    _MATCH,
)
def _(rig: Rig) -> None:
    # The second gigabyte of the address space again, from 0x80000000 on.
    alias = 0x80000000 - RAM
    entry = rig.machine.u64(TABLES + 8 * (RAM >> 30))
    rig.machine.write(TABLES + 8 * (0x80000000 >> 30), entry.to_bytes(8, "little"))
    code = rig.code(asm.str_(0, 2), asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.set_x(2, DATA + alias)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA, 8))
    rig.watches(code.at(1), DATA, DATA + 7, write=True)
    rig.start(code)
    rig.debug(USE_HW, watchpoints=watchpoint(DATA + alias, 8))
    rig.watches(code.at(0), DATA + alias, DATA + alias + 7, write=True)
