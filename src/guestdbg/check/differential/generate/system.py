"""Exceptions, system registers, hints, and the guest's own use of the debug registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.assembler import Fixup
from guestdbg.check.differential.generate import debug
from guestdbg.check.differential.generate.source import OUTER, SCRATCH
from guestdbg.check.differential.vectors import (
    SVC_MASK_DEBUG,
    SVC_OTHER_EL,
    SVC_STEP,
    SVC_UNMASK_DEBUG,
)

if TYPE_CHECKING:
    from guestdbg.check.assembler import Item
    from guestdbg.check.differential.generate.source import Maker, Source

#: Registers that read the same on all processors compared here. QEMU's processors lack DBGPRCR_EL1,
#: DBGAUTHSTATUS_EL1 and the claim tags, and ignore reads of MDCCINT_EL1: only the conformance suite
#: tests those.
_READ = (
    *("CONTEXTIDR_EL1", "TPIDR_EL0", "TPIDR_EL1", "FAR_EL1", "ELR_EL1", "SPSR_EL1"),
    *("VBAR_EL1", "SCTLR_EL1", "TCR_EL1", "CURRENTEL", "NZCV", "DAIF", "FPCR", "FPSR", "SP_EL0"),
    *("MDSCR_EL1", "OSLSR_EL1", "OSDLR_EL1", "MDRAR_EL1", "MDCCSR_EL0"),
)
_WRITE = ("CONTEXTIDR_EL1", "TPIDR_EL0", "TPIDR_EL1", "NZCV", "SP_EL0")
#: Registers whose writes Linux traps until the guest's caches are on (HCR_EL2.TVM), and which may
#: have any value. (FAR_EL1 only gets zero, because QEMU sets it to zero at exceptions without FAR.)
_ANYTHING = ("AMAIR_EL1", "AFSR0_EL1", "AFSR1_EL1")
#: Reads of these are trapped too (HCR_EL2.TID3, TACR). Their values differ between processors.
_IDENTITY = ("ID_AA64PFR0_EL1", "ID_AA64DFR0_EL1", "ID_AA64MMFR0_EL1", "ID_AA64ISAR0_EL1")
_DEBUG_WRITE = ("OSDLR_EL1", "MDCCINT_EL1")

MDSCR_SS, MDSCR_KDE, MDSCR_MDE = 1 << 0, 1 << 13, 1 << 15


def read_register(s: Source) -> list[Item]:
    name = s.choice(_READ)
    if name == "MDSCR_EL1" and s.reserved:
        name = "FAR_EL1"
    return [asm.mrs(s.rd(), name)]


def write_register(s: Source) -> list[Item]:
    name = s.choice(_WRITE)
    value = s.below(4) if name == "CONTEXTIDR_EL1" else s.number()
    if name == "NZCV":
        value = s.bits(4) << 28
    if name == "SP_EL0":
        value &= 0xFFFF_FFF0
    return [asm.mov(SCRATCH, value), asm.msr(name, SCRATCH)]


def write_memory_control(s: Source) -> list[Item]:
    """A write to a register of translation or faults, with a value that changes neither."""
    kind = s.below(3)
    if kind == 0:
        return [asm.mov(SCRATCH, s.number()), asm.msr(s.choice(_ANYTHING), SCRATCH)]
    if kind == 1:
        return [asm.msr("FAR_EL1", 31)]
    return [asm.msr("ESR_EL1", OUTER)]  # a loop's counter, which is small


def trapped(s: Source) -> list[Item]:
    """Operations that Linux traps and mostly emulates as nothing."""
    kind = s.below(4)
    if kind == 0:
        return [asm.dc(s.choice(("isw", "csw", "cisw")), 31)]
    if kind == 1:
        return [asm.msr("ACTLR_EL1", s.rd())]
    return [asm.mrs(31, s.choice((*_IDENTITY, "ACTLR_EL1")))]


def read_debug_register(s: Source) -> list[Item]:
    if s.reserved:
        return hint(s)
    kind, n = s.choice((("BCR", 6), ("BVR", 6), ("WCR", 4), ("WVR", 4)))
    return [asm.mrs(s.rd(), f"DBG{kind}{s.below(n)}_EL1")]


def write_breakpoint(s: Source) -> list[Item]:
    """The guest sets a breakpoint of its own: value first, then control."""
    n = s.below(6)
    control, value = debug.own(s, debug.breakpoint(s, n), debug.BREAKPOINT)
    return [
        asm.mov(SCRATCH, value),
        asm.msr(f"DBGBVR{n}_EL1", SCRATCH),
        asm.mov(SCRATCH, control),
        asm.msr(f"DBGBCR{n}_EL1", SCRATCH),
        *([asm.ISB] if s.chance(80) else []),
    ]


def write_watchpoint(s: Source) -> list[Item]:
    n = s.below(4)
    control, value = debug.own(s, debug.watchpoint(s), debug.WATCHPOINT)
    return [
        asm.mov(SCRATCH, value),
        asm.msr(f"DBGWVR{n}_EL1", SCRATCH),
        asm.mov(SCRATCH, control),
        asm.msr(f"DBGWCR{n}_EL1", SCRATCH),
        asm.ISB,
    ]


def write_mdscr(s: Source) -> list[Item]:
    value = s.weighted(
        (
            (MDSCR_MDE, 4),
            (MDSCR_MDE | MDSCR_KDE, 6),
            (MDSCR_SS, 2),
            (MDSCR_SS | MDSCR_KDE, 3),
            (MDSCR_SS | MDSCR_MDE | MDSCR_KDE, 2),
            (0, 2),
            (MDSCR_KDE, 1),
            (debug.own_mdscr(s), 1),
        )
    )
    return [asm.mov(SCRATCH, value), asm.msr("MDSCR_EL1", SCRATCH), asm.ISB]


def write_other_debug(s: Source) -> list[Item]:
    return [asm.mov(SCRATCH, s.bits(32)), asm.msr(s.choice(_DEBUG_WRITE), SCRATCH)]


def os_lock(s: Source) -> list[Item]:
    return [asm.mov(SCRATCH, s.below(2)), asm.msr("OSLAR_EL1", SCRATCH), asm.ISB]


def mask_debug(s: Source) -> list[Item]:
    """Clear PSTATE.D, as the guest's own debug exceptions need, or sometimes set it."""
    return [asm.daifclr(8) if s.chance(75) else asm.daifset(8)]


def svc(s: Source) -> list[Item]:
    ask = 0
    if s.chance(20):
        ask |= SVC_STEP
    if s.chance(30):
        ask |= s.choice((SVC_UNMASK_DEBUG, SVC_UNMASK_DEBUG, SVC_MASK_DEBUG))
    return [asm.svc(ask | s.bits(3) << 8)]


def other_level(s: Source) -> list[Item]:
    """Change the level: to EL0 by ERET, to EL1 by SVC. ``s.el`` is the current level."""
    if s.el == 0:
        s.el = 1
        return [asm.svc(SVC_OTHER_EL | s.choice((0, 0, SVC_UNMASK_DEBUG)))]
    s.el = 0
    return _eret(s, 0x3C0)


def eret_here(s: Source) -> list[Item]:
    """ERET to the same level, which can set PSTATE.SS and clear PSTATE.D."""
    return _eret(s, 0x3C5 if s.el else 0x3C0)


def _eret(s: Source, pstate: int) -> list[Item]:
    name = s.name()
    if s.chance(60):
        pstate &= ~(1 << 9)
    if s.chance(25):
        pstate |= 1 << 21  # SS: one instruction, if MDSCR_EL1.SS is set
    if s.interrupts and s.chance(60):
        pstate &= ~(1 << 7)
    if s.chance(3):
        pstate |= 1 << 20  # IL: an Illegal Execution state
    pstate |= s.bits(4) << 28
    return [
        Fixup(name, lambda offset: asm.adr(SCRATCH, offset)),
        asm.msr("ELR_EL1", SCRATCH),
        asm.mov(SCRATCH, pstate),
        asm.msr("SPSR_EL1", SCRATCH),
        asm.ERET,
        asm.label(name),
    ]


def hypercall(s: Source) -> list[Item]:
    """Usually PSCI_VERSION, sometimes a function that KVM does not implement."""
    function = s.weighted(((0x84000000, 6), (0x8400000A, 1), (0x86000000 | s.bits(8), 1)))
    words: list[Item] = [asm.mov(0, function), asm.mov(1, 0x84000000)]
    return [*words, asm.hvc(0) if s.chance(85) else asm.smc(0)]


def brk(s: Source) -> list[Item]:
    return [asm.brk(s.bits(16))]


def undefined(s: Source) -> list[Item]:
    return [
        s.choice(
            (
                asm.udf(s.bits(16)),
                asm.hlt(s.bits(16)),
                0x00200000 | s.bits(4),  # unallocated
                0xD4A00001,  # DCPS1 outside of Debug state
                asm.mrs(s.rd(), "PMCR_EL0"),
                asm.mrs(s.rd(), "OSLAR_EL1"),
            )
        )
    ]


def hint(s: Source) -> list[Item]:
    return [
        s.choice((asm.NOP, asm.YIELD, asm.SEVL, asm.ISB, asm.DSB, asm.DMB, asm.CLREX, asm.hint(40)))
    ]


#: Instructions for every program.
MAKERS: tuple[tuple[Maker, int], ...] = (
    (read_register, 6),
    (write_register, 4),
    (write_memory_control, 2),
    (trapped, 1),
    (read_debug_register, 3),
    (svc, 4),
    (hypercall, 2),
    (brk, 3),
    (undefined, 2),
    (hint, 4),
    (mask_debug, 1),
)
#: Instructions for a guest that debugs itself.
OWN: tuple[tuple[Maker, int], ...] = (
    (write_breakpoint, 4),
    (write_watchpoint, 4),
    (write_mdscr, 5),
    (write_other_debug, 1),
    (os_lock, 2),
    (mask_debug, 4),
)
