"""BAS and MASK: which bytes a watchpoint watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.arm64.debug import DBGWCR, RegisterPair, watchpoint
from guestdbg.check import assembler as asm
from guestdbg.check.describe import exit_words
from guestdbg.check.layout import DATA, RAM, RAM_SIZE
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import USE_HW
from guestdbg.check.verdict import Failure
from guestdbg.kvm import ExitDebug

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_BAS = "Arm ARM DBGWCR<n>_EL1.BAS"
_MASK = "Arm ARM DBGWCR<n>_EL1.MASK"


def _pair(bas: int, address: int = DATA, mask: int = 0) -> RegisterPair:
    return RegisterPair(DBGWCR.encode(E=1, PAC=3, LSC=3, BAS=bas, MASK=mask), address)


def _contiguous(width: int) -> dict[str, int]:
    found = {}
    for first in range(width):
        for last in range(first, width):
            key = f"byte-{first}" if first == last else f"bytes-{first}-to-{last}"
            found[key] = (2 << last) - (1 << first)
    return found


def _each_byte(rig: Rig, pair: RegisterPair, first: int, watched: int) -> None:
    """Store to each byte around ``first``; those whose bit in ``watched`` is 1 must stop."""
    code = rig.code(asm.access("strb", 0, 1), rig.finish())
    rig.debug(USE_HW, watchpoints=[pair])
    for byte in range(-4, 12):
        address = first + byte
        rig.start(code)
        rig.set_x(1, address)
        if byte >= 0 and watched >> byte & 1:
            rig.watches(code.at(0), address, write=True)
        else:
            rig.done()


@case_for_each(
    "watchpoint.bas",
    _contiguous(8),
    "BAS selects {} of the doubleword: byte stores to these bytes match, and to no others.",
    _BAS,
)
def _(rig: Rig, bas: int) -> None:
    _each_byte(rig, _pair(bas), DATA, bas)


@case_for_each(
    "watchpoint.bas-of-a-word",
    _contiguous(4),
    "With DBGWVR[2] set, BAS[3:0] selects {} of that word, and nothing else of the doubleword.",
    _BAS + " and DBGWVR<n>_EL1.VA",
)
def _(rig: Rig, bas: int) -> None:
    _each_byte(rig, _pair(bas, DATA + 4), DATA + 4, bas)


@case("watchpoint.bas.none", "BAS = 0 selects no byte: the watchpoint never matches.", _BAS)
def _(rig: Rig) -> None:
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=[_pair(0xFF)])
        rig.watches(code.at(0), DATA, DATA + 7, write=True)
    rig.debug(USE_HW, watchpoints=[_pair(0)])
    rig.done()


@case_for_each(
    "watchpoint.bas-with-gaps",
    {f"{bas:08b}": bas for bas in (0b101, 0b10000001, 0b1010101, 0b11011111)},
    "With BAS {}, not contiguous, any byte of the doubleword may match, but none outside it.",
    _BAS + ": CONSTRAINED UNPREDICTABLE where the selected bytes are not contiguous",
)
def _(rig: Rig, bas: int) -> None:
    code = rig.code(asm.access("strb", 0, 1), rig.finish())
    rig.set_x(1, DATA)
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=[_pair(0xFF)])
        rig.watches(code.at(0), DATA, write=True)
    rig.debug(USE_HW, watchpoints=[_pair(bas)])
    for byte in range(-4, 12):
        rig.start(code)
        rig.set_x(1, DATA + byte)
        exit_ = rig.run()
        if 0 <= byte < 8 and isinstance(exit_, ExitDebug):
            rig.watches(code.at(0), DATA, DATA + 7, write=True, exit_=exit_)
        else:
            rig.done(exit_=exit_)


@case_for_each(
    "watchpoint.bas-under-a-wide-store",
    {f"byte-{n}": n for n in range(8)},
    "An 8-byte store matches a watchpoint on {} alone; FAR is between the start of the store and "
    "that byte.",
    _BAS + "; D2.10 (Determining the memory location that caused a watchpoint exception)",
)
def _(rig: Rig, byte: int) -> None:
    code = rig.code(asm.str_(0, 1), rig.finish())
    rig.set_x(1, DATA)
    rig.debug(USE_HW, watchpoints=[_pair(1 << byte)])
    rig.watches(code.at(0), DATA, DATA + byte, write=True)


def _store(rig: Rig, code: asm.Code, address: int) -> None:
    rig.start(code)
    rig.set_x(1, address)


@case_for_each(
    "watchpoint.mask",
    {str(n): n for n in range(3, 32)},
    "MASK = {}: the watchpoint matches every byte of its range of 2^{} bytes, and no other.",
    _MASK,
)
def _(rig: Rig, mask: int) -> None:
    size = 1 << mask
    base = (DATA + (1 << 20 if mask < 20 else 0)) & ~(size - 1)
    code = rig.code(asm.access("strb", 0, 1), rig.finish())
    rig.debug(USE_HW, watchpoints=[_pair(0xFF, base, mask)])
    # The range may contain the program itself; only its stores to data are judged.
    inside = (max(base, DATA), min(base + size, DATA + (4 << 20)) - 1)
    for address in inside:
        _store(rig, code, address)
        rig.watches(code.at(0), address, write=True)
    middle = sum(inside) // 2
    _store(rig, code, middle)
    rig.watches(code.at(0), middle, write=True)
    for address in (base - 1, base + size):
        if DATA <= address < DATA + (4 << 20):
            _store(rig, code, address)
            rig.done()
    assert base <= RAM + RAM_SIZE


@case_for_each(
    "watchpoint.mask-without-every-byte",
    {f"{bas:08b}": bas for bas in (0x0F, 0xF0, 0x7F)},
    "MASK with BAS {}, not all ones: any byte of the range may match, but none outside it.",
    _MASK + ": CONSTRAINED UNPREDICTABLE with BAS other than 0xFF",
)
def _(rig: Rig, bas: int) -> None:
    code = rig.code(asm.access("strb", 0, 1), rig.finish())
    rig.set_x(1, DATA + 100)
    with rig.positive_control():
        rig.debug(USE_HW, watchpoints=[_pair(0xFF, DATA + 64, 6)])
        rig.watches(code.at(0), DATA + 100, write=True)
    rig.debug(USE_HW, watchpoints=[_pair(bas, DATA + 64, 6)])
    for address in range(DATA + 56, DATA + 136, 4):
        _store(rig, code, address)
        exit_ = rig.run()
        if isinstance(exit_, ExitDebug):
            if not DATA + 64 <= address < DATA + 128:
                raise Failure("no match outside the range", exit_words(exit_))
            rig.watches(code.at(0), DATA + 64, DATA + 127, write=True, exit_=exit_)
        else:
            rig.done(exit_=exit_)


@case(
    "watchpoint.ranges-side-by-side",
    "Several registers watch adjacent ranges: every byte of them matches, and no others.",
    _MASK + "; " + _BAS,
)
def _(rig: Rig) -> None:
    start, length = DATA + 5, 3 + 8 + 16 + 2
    pairs = watchpoint(start, length, "write")
    rig.need_watchpoints(len(pairs))
    code = rig.code(asm.access("strb", 0, 1), rig.finish())
    rig.debug(USE_HW, watchpoints=pairs)
    for address in range(start - 3, start + length + 3):
        _store(rig, code, address)
        if start <= address < start + length:
            rig.watches(code.at(0), address, write=True)
        else:
            rig.done()
