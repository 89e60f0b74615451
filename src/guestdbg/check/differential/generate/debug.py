"""Random debug registers. Most can match, in every way there is; some are reserved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check.differential import layout
from guestdbg.check.differential.generate.source import PLACES

if TYPE_CHECKING:
    from guestdbg.check.differential.generate.source import Source

#: The length of programs, in instructions, approximately.
LENGTH = 64
#: The bits of (DBGBCR, DBGBVR), of (DBGWCR, DBGWVR), and of MDSCR_EL1 that a processor keeps. The
#: other bits are lost once the register has been in the hardware.
BREAKPOINT = 0x00FFE1E7, (1 << 64) - 4
WATCHPOINT = 0x1F1FFFFF, (1 << 64) - 4
MDSCR = 0xB001
#: The bits of MDSCR_EL1 that show the state of the Debug Communications Channel.
_DCC = 3 << 29


def own(s: Source, pair: tuple[int, int], kept: tuple[int, int]) -> tuple[int, int]:
    """A pair of values for the guest's own registers: usually only bits that the processor keeps.

    BAS of a breakpoint has only the values that AArch32 uses, because a processor may change
    others.
    """
    control, value = pair[0] & kept[0], pair[1] & kept[1]
    if kept is BREAKPOINT and control >> 5 & 15 not in (0, 3, 12, 15):
        control |= 15 << 5
    if s.reserved:
        control |= s.choice((0, 1 << 9, 1 << 31, 1 << 60, s.bits(64) & ~kept[0]))
        value |= s.below(4)
    return control, value


def own_mdscr(s: Source) -> int:
    """A value of MDSCR_EL1, for the guest."""
    value = s.bits(16) & MDSCR
    return value | s.bits(64) & ~MDSCR & ~_DCC if s.reserved else value


def _condition(s: Source) -> int:
    """SSC, HMC, PAC or PMC, and E, which have the same bits in both control registers."""
    enable = 0 if s.chance(5) else 1
    if s.chance(75):
        return enable | s.weighted(((3, 6), (1, 3), (2, 3))) << 1
    # SSC is 0 where there is no EL3 (DDI 0487, D2.8.5, table of execution conditions).
    hmc, ssc = s.below(2), 0
    privilege = s.choice((1, 3)) if hmc else s.choice((1, 2, 3))
    if s.chance(4):
        hmc, ssc, privilege = s.below(2), s.below(4), s.below(4)
    return enable | privilege << 1 | hmc << 13 | ssc << 14


def breakpoint(s: Source, number: int) -> tuple[int, int]:
    """(DBGBCR, DBGBVR); the numbers 4 and 5 are sometimes context-aware."""
    address = layout.CODE + 4 * s.below(LENGTH // s.choice((1, 2, 3)))
    if s.chance(6):
        address = layout.VECTORS + s.choice((0x200, 0x204, 0x400, 0x404, 0x800, 0x810))
    control = _condition(s) | 0xF << 5
    if number >= 4 and s.chance(50):
        # Only linked context matches: QEMU implements neither the other types nor VMIDs.
        return control | 3 << 20, s.below(4)
    if s.chance(10):
        control |= 1 << 20 | (s.choice((4, 5)) if s.chance(80) else s.below(16)) << 16
    if s.chance(1):
        control = s.bits(24)  # any value
    if s.chance(2):
        address |= s.below(4) if s.chance(50) else s.bits(8) << 56
    return control, address


def watchpoint(s: Source) -> tuple[int, int]:
    """(DBGWCR, DBGWVR), near where the programs' base registers point."""
    address = s.weighted(PLACES) + s.random.randint(-16, 48)
    control = _condition(s) | s.weighted(((3, 5), (1, 3), (2, 3))) << 3
    kind = s.below(40)
    if kind < 14:
        first = address & 7
        length = s.choice((1, 1, 2, 4, 8))
        bas = (1 << min(length, 8 - first)) - 1 << first
        return _more(s, control | bas << 5), address & ~7
    if kind < 20:
        # DBGWVR[2] may be set: only BAS[3:0], four bytes, is used.
        first = address & 3
        bas = (1 << s.choice((1, 2, 4))) - 1 << first & 0xF
        return _more(s, control | bas << 5), address & ~3
    if kind < 39:
        mask = s.random.randint(3, 12 if s.chance(50) else 6)
        return _more(s, control | 0xFF << 5 | mask << 24), address & -1 << mask
    # BAS that is not contiguous, MASK with a partial BAS, MASK 1 or 2, LSC 0 …
    return s.choice(
        (
            (control | s.bits(8) << 5, address & ~7),
            (control | s.bits(8) << 5 | s.random.randint(1, 8) << 24, address & ~7),
            (control | 0xFF << 5 | s.random.randint(1, 8) << 24, address & ~3),
            (control & ~(3 << 3) | 0xFF << 5, address & ~7),
            (s.bits(29), address),
        )
    )


def _more(s: Source, control: int) -> int:
    if s.chance(8):
        control |= 1 << 20 | (s.choice((4, 5)) if s.chance(80) else s.below(16)) << 16
    return control
