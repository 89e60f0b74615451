"""Interrupts at defined points: SGIs, pending bits, masks, and the CPU interface of a GICv3.

Each is followed by an ISB: an interrupt that is not masked is taken there. At EL0 the registers of
the CPU interface are undefined, which is an exception like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.differential import controller, layout
from guestdbg.check.differential.generate.source import SCRATCH
from guestdbg.check.differential.program import Line

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item
    from guestdbg.check.differential.generate.source import Maker, Source
    from guestdbg.check.differential.program import Action

#: ICC_CTLR_EL1 differs between processors.
_READ = ("ICC_RPR_EL1", "ICC_PMR_EL1", "ICC_HPPIR1_EL1", "ICC_IGRPEN1_EL1", "ISR_EL1")
_STATE = (controller.ISENABLER1, controller.ISPENDR1, controller.ISACTIVER1)
#: GICD_ISPENDR1 more often than GICD_ICPENDR1; GICD_ISENABLER1, and GICD_ICENABLER1.
_STORES = ((controller.ISPENDR1, 6), (controller.ICPENDR1, 1), (0x104, 2), (0x184, 1))


def send(s: Source) -> list[Item]:
    """An SGI to the vCPU itself, sometimes to another one that does not exist."""
    targets = 2 if s.chance(5) else 1
    value = s.below(4) << 24 | targets
    return [asm.mov(SCRATCH, value), asm.msr("ICC_SGI1R_EL1", SCRATCH), asm.ISB]


def store(s: Source) -> list[Item]:
    """A store to the distributor: pending, enabled."""
    rd = s.rd()
    return [
        asm.mov(SCRATCH, layout.GICD + s.weighted(_STORES)),
        asm.mov(rd, (1 + s.below(3)) << layout.EDGE - 32),
        *(asm.access("strw", rd, SCRATCH), asm.DSB, asm.ISB),
    ]


def load(s: Source) -> list[Item]:
    """A load from the distributor."""
    return [
        asm.mov(SCRATCH, layout.GICD + s.choice(_STATE)),
        asm.access("ldrw", s.rd(), SCRATCH),
    ]


def mask(s: Source) -> list[Item]:
    """PSTATE.I, usually clear afterwards."""
    return [asm.daifclr(2) if s.chance(70) else asm.daifset(2), asm.ISB]


def read(s: Source) -> list[Item]:
    """A read of the CPU interface that changes nothing."""
    return [asm.mrs(s.rd(), s.choice(_READ))]


def priority_mask(s: Source) -> list[Item]:
    """A write to ICC_PMR_EL1."""
    value = s.choice((0xF0, 0xF0, 0xB0, 0xA0, 0x90, 0x60, 0))
    return [asm.mov(SCRATCH, value), asm.msr("ICC_PMR_EL1", SCRATCH), asm.ISB]


def poll(s: Source) -> list[Item]:
    """Acknowledge and end, without an exception."""
    rd = s.rd()
    return [asm.mrs(rd, "ICC_IAR1_EL1"), asm.msr("ICC_EOIR1_EL1", rd), asm.ISB]


def group(s: Source) -> list[Item]:
    """Disable and enable the group."""
    return [
        *(asm.mov(SCRATCH, s.below(2)), asm.msr("ICC_IGRPEN1_EL1", SCRATCH), asm.ISB),
        *(asm.mov(SCRATCH, 1), asm.msr("ICC_IGRPEN1_EL1", SCRATCH), asm.ISB),
    ]


_EL1: tuple[tuple[Maker, int], ...] = (
    *((send, 6), (store, 4), (load, 2), (mask, 5), (read, 3)),
    *((priority_mask, 1), (poll, 2), (group, 1)),
)
_EL0: tuple[tuple[Maker, int], ...] = ((store, 5), (load, 2), (mask, 4), (send, 1))


def anything(s: Source) -> list[Item]:
    """One of these; at EL0 seldom one that is undefined there."""
    return s.weighted(_EL1 if s.el else _EL0)(s)


#: Instructions for a program with interrupts.
MAKERS: tuple[tuple[Maker, int], ...] = ((anything, 1),)


def raise_or_lower(s: Source) -> list[Action]:
    """Userspace sets a line between two runs: a pulse of the edge, or a level."""
    if s.chance(50):
        return [Line(layout.EDGE, 1), Line(layout.EDGE, 0)]
    return [Line(layout.LEVEL, s.below(2))]
