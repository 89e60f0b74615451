"""FAR and syndrome for every sort of access, and that the access has not been made yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import watchpoint
from guestdbg.arm64.registers import by_name
from guestdbg.check import assembler as asm
from guestdbg.check.accesses import ACCESSES, choose, fill
from guestdbg.check.layout import DATA
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import USE_HW
from guestdbg.kvm import ExitDebug

if TYPE_CHECKING:
    from guestdbg.check.accesses import Access
    from guestdbg.check.rig import Rig

_FAR = (
    "Arm ARM D2.10 (Determining the memory location that caused a watchpoint exception); ESR_EL2, "
    "FAR_EL2"
)
_BASE = DATA + 0x2000


def _need(rig: Rig, access: Access) -> None:
    if access.needs:
        name, field, least = access.needs
        if by_name(name).get(rig.reg(name), field) < least:
            rig.skip(f"{name}.{field} says that the processor does not have these instructions")


def _state(rig: Rig) -> dict[str, int]:
    names = ["sp", "pstate", *(f"x{n}" for n in range(28)), *(f"v{n}" for n in range(2, 6))]
    return {name: rig.core(name) for name in names}


def _unchanged(rig: Rig, before: dict[str, int]) -> None:
    for name, value in _state(rig).items():
        rig.expect(f"{name}, as before the access", value, before[name])


def _run_up_to(rig: Rig, access: Access, address: int) -> asm.Code:
    """Place a program with one access to ``address``, and run what comes before the access."""
    count = len(access.before)
    code = rig.code(*access.before, access.word, rig.finish())
    rig.machine.write(address - 64, bytes(192))
    fill(rig)
    rig.set_x(1, address - access.offset)
    rig.set_x(6, 0)
    rig.set_x(7, 0)
    assert count <= 1
    return code


@case_for_each(
    "access",
    ACCESSES,
    "{}: a watchpoint on all of its bytes stops it before memory or registers change, with the FAR "
    "and WnR of the access. Once the watchpoint is removed, the access is made.",
    _FAR,
)
def _(rig: Rig, access: Access) -> None:
    _need(rig, access)
    code = _run_up_to(rig, access, _BASE)
    pc = code.at(len(access.before))
    kind = "any" if access.reads and access.writes else "write" if access.writes else "read"
    watched = watchpoint(_BASE, access.size, kind)  # type: ignore[arg-type]
    rig.need_watchpoints(len(watched))
    rig.debug(USE_HW, watchpoints=watched)
    before = _state(rig)
    if access.before:
        # The load-exclusive that comes first writes x5 and x6.
        before |= {"x5": 0, "x6": 0}
    rig.watches(pc, _BASE, _BASE + access.size - 1, write=access.wnr)
    _unchanged(rig, before)
    rig.expect("memory, as before the access", rig.machine.read(_BASE - 64, 192), bytes(192))
    if access.before:
        # The exit has cleared the monitor: run the whole sequence again.
        rig.start(code)
    rig.debug(0)
    rig.done()
    after = rig.machine.read(_BASE, access.size)
    if access.writes:
        rig.expect("memory was written", any(after), True)
        outside = rig.machine.read(_BASE - 64, 64) + rig.machine.read(_BASE + access.size, 32)
        rig.expect("memory beside what was accessed", any(outside), False)
    else:
        rig.expect("memory, after a load", any(after), False)


@case_for_each(
    "access.last-byte",
    choose(lambda a: a.size > 1 and not a.needs),
    "{}: a watchpoint on its last byte alone matches; FAR is between the first address accessed "
    "and that byte.",
    _FAR,
)
def _(rig: Rig, access: Access) -> None:
    code = _run_up_to(rig, access, _BASE)
    last = _BASE + access.size - 1
    kind = "write" if access.writes else "read"
    rig.debug(USE_HW, watchpoints=watchpoint(last, 1, kind))  # type: ignore[arg-type]
    rig.watches(code.at(len(access.before)), _BASE, last, write=access.wnr)


def _stops_on(rig: Rig, code: asm.Code, access: Access, watched: int, beside: int) -> None:
    """The positive control of the next case: one of its two watchpoints is on the access."""
    kind = "write" if access.writes else "read"
    armed = watchpoint(watched, 1, kind) + watchpoint(beside, 1, "any")  # type: ignore[arg-type]
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=armed)
        rig.watches(code.at(len(access.before)), _BASE, watched, write=access.wnr)


@case_for_each(
    "access.just-beside",
    choose(lambda a: not a.needs),
    "{}: watchpoints on the byte before it and the byte after it do not match.",
    _FAR,
)
def _(rig: Rig, access: Access) -> None:
    code = _run_up_to(rig, access, _BASE)
    before, last, after = _BASE - 1, _BASE + access.size - 1, _BASE + access.size
    _stops_on(rig, code, access, _BASE, beside=after)
    _stops_on(rig, code, access, last, beside=before)
    rig.debug(USE_HW, watchpoints=watchpoint(before, 1, "any") + watchpoint(after, 1, "any"))
    rig.done()


@case_for_each(
    "access.other-direction",
    choose(lambda a: not a.needs and not a.before),
    "{}: a watchpoint for the other direction (loads or stores) does not match.",
    "Arm ARM DBGWCR<n>_EL1.LSC",
)
def _(rig: Rig, access: Access) -> None:
    code = _run_up_to(rig, access, _BASE)
    own, other = ("write", "read") if access.writes else ("read", "write")
    watched = watchpoint(_BASE, access.size, other)  # type: ignore[arg-type]
    rig.need_watchpoints(len(watched))
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=watchpoint(_BASE, access.size, own))  # type: ignore[arg-type]
        rig.watches(code.at(0), _BASE, _BASE + access.size - 1, write=access.wnr)
    rig.debug(USE_HW, watchpoints=watched)
    rig.done()


_PLAIN = choose(lambda a: not a.aligned and a.size > 1 and not a.offset and not a.needs)


@case_for_each(
    "access.unaligned",
    _PLAIN,
    "{}, unaligned: a watchpoint on a byte in the middle matches; FAR is between the first address "
    "accessed and that byte.",
    _FAR,
)
def _(rig: Rig, access: Access) -> None:
    first = _BASE + 1
    code = _run_up_to(rig, access, first)
    middle = first + access.size // 2
    kind = "write" if access.writes else "read"
    rig.debug(USE_HW, watchpoints=watchpoint(middle, 1, kind))  # type: ignore[arg-type]
    rig.watches(code.at(0), first, middle, write=access.wnr)


@case_for_each(
    "access.across-pages",
    {
        f"{name}-watched-{where}": (access, where == "after")
        for name, access in _PLAIN.items()
        if not name.startswith(("stt", "ldt"))
        for where in ("before", "after")
    },
    "{} the page boundary: a watchpoint on either page stops an access that crosses from one page "
    "to the other. Registers are unchanged, except those that a load of several registers loads.",
    _FAR + "; D1.3 (registers that are UNKNOWN after an exception of a load of several registers)",
)
def _(rig: Rig, what: tuple[Access, bool]) -> None:
    access, after = what
    boundary = DATA + 0x10000
    first = boundary - access.size // 2
    code = _run_up_to(rig, access, first)
    watched = boundary if after else boundary - 1
    kind = "write" if access.writes else "read"
    rig.debug(USE_HW, watchpoints=watchpoint(watched, 1, kind))  # type: ignore[arg-type]
    before = _state(rig)
    rig.watches(code.at(0), first, watched, write=access.wnr)
    if access.registers > 1 and access.reads:
        # The registers that it loads are UNKNOWN after the exception.
        for name in list(before):
            if name in ("x2", "x3", "v2", "v3", "v4", "v5"):
                before[name] = rig.core(name)
    _unchanged(rig, before)
    rig.debug(0)
    rig.done()
    if access.writes:
        rig.expect("all bytes were stored", all(rig.machine.read(first, access.size)), True)


_LSE = choose(lambda a: a.needs is not None and a.reads and a.writes)


@case_for_each(
    "access.atomic-for-loads",
    _LSE,
    "{}: an atomic reads and writes, so a watchpoint for loads matches it, with WnR 0.",
    "Arm ARM D2.10 (Watchpoint exceptions), atomic instructions; ESR_EL2.WnR",
)
def _(rig: Rig, access: Access) -> None:
    _need(rig, access)
    code = _run_up_to(rig, access, _BASE)
    rig.debug(USE_HW, watchpoints=watchpoint(_BASE, access.size, "read"))
    rig.watches(code.at(0), _BASE, _BASE + access.size - 1, write=False)


@case_for_each(
    "access.atomic-for-stores",
    _LSE,
    "{}: an atomic reads and writes, so a watchpoint for stores matches it.",
    "Arm ARM D2.10 (Watchpoint exceptions), atomic instructions",
)
def _(rig: Rig, access: Access) -> None:
    _need(rig, access)
    code = _run_up_to(rig, access, _BASE)
    rig.debug(USE_HW, watchpoints=watchpoint(_BASE, access.size, "write"))
    rig.watches(code.at(0), _BASE, _BASE + access.size - 1, write=(True, False))


@case(
    "access.store-exclusive-that-fails",
    "A store-exclusive whose monitor is clear: whether its watchpoint matches is IMPLEMENTATION "
    "DEFINED. If it does not match, the store reports failure and memory is unchanged.",
    "Arm ARM D2.10 (Watchpoint exceptions), store-exclusive instructions",
)
def _(rig: Rig) -> None:
    store = asm.store_exclusive(4, 2, 1)
    fill(rig)
    rig.set_x(1, _BASE)
    rig.debug(USE_HW, watchpoints=watchpoint(_BASE, 8))
    # The positive control: with the monitor it stops.
    code = rig.code(asm.load_exclusive(5, 1), store)
    rig.watches(code.at(1), _BASE, _BASE + 7, write=True)
    code = rig.code(asm.CLREX, store, rig.finish(4))
    exit_ = rig.run()
    if isinstance(exit_, ExitDebug):
        rig.watches(code.at(1), _BASE, _BASE + 7, write=True, exit_=exit_)
    else:
        rig.done(value=1, exit_=exit_)
    rig.expect("memory", rig.machine.u64(_BASE), 0)


def _zva_size(rig: Rig) -> int:
    code = rig.code(asm.mrs(2, "DCZID_EL0"), rig.finish(2))
    assert code
    dczid = rig.done()
    if dczid & 16:
        rig.skip("DCZID_EL0.DZP: DC ZVA is not permitted")
    return 4 << (dczid & 15)


@case_for_each(
    "access.dc-zva",
    {"first-byte": 0, "inner-byte": 21, "last-byte": -1},
    "DC ZVA stores zeros: a watchpoint on the {} of its block stops it before that, as a write.",
    "Arm ARM D2.10 (Watchpoint exceptions), DC ZVA; FAR_EL2",
)
def _(rig: Rig, byte: int) -> None:
    size = _zva_size(rig)
    code = rig.code(asm.dc_zva(1), rig.finish())
    block = DATA + 4 * size
    rig.machine.write(block, b"\xff" * size)
    watched = block + byte % size
    # Any address inside the block means the whole block.
    rig.set_x(1, block + 8)
    rig.debug(USE_HW, watchpoints=watchpoint(watched, 1))
    exit_ = rig.run()
    # The address in the instruction is permitted too, as for cache maintenance.
    rig.watches(code.at(0), block, max(watched, block + 8), write=True, exit_=exit_)
    rig.expect("the block", rig.machine.read(block, size), b"\xff" * size)
    rig.debug(0)
    rig.done()
    rig.expect("the block, zeroed", rig.machine.read(block, size), bytes(size))


@case(
    "access.dc-zva-beside",
    "DC ZVA does not match watchpoints on the bytes just before and just after its block.",
    "Arm ARM D2.10 (Watchpoint exceptions), DC ZVA",
)
def _(rig: Rig) -> None:
    size = _zva_size(rig)
    code = rig.code(asm.dc_zva(1), rig.finish())
    block = DATA + 4 * size
    rig.set_x(1, block)
    before, after = watchpoint(block - 1, 1, "any"), watchpoint(block + size, 1, "any")
    for armed in (
        watchpoint(block, 1, "any") + after,
        before + watchpoint(block + size - 1, 1, "any"),
    ):
        with rig.positive_control():
            rig.debug(USE_HW, watchpoints=armed)
            rig.watches(code.at(0), block, block + size - 1, write=True)
    rig.debug(USE_HW, watchpoints=before + after)
    rig.done()
