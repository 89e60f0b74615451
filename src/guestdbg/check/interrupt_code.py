"""What a guest does with its GICv3: set it up, take interrupts, acknowledge and end them.

Each function returns instructions for a program; they use x10 to x12. Handlers use x24, and x28
and x29 like ``Rig.finish``. A guest that takes an interrupt stores its INTID to ``REPORTED``, which
is an exit: the case sees each interrupt when it is active (``Rig.reports``), and can change lines
and read registers there.

Sources: Arm IHI 0069 (GICv3): chapters 4 (interrupt handling), 12 (registers); DDI 0487, D1.13
(asynchronous exceptions).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check.controller import redistributor_of
from guestdbg.check.layout import GICD, REPORTED, TAKEN

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

#: Offsets of registers in the distributor, and in the SGI frame of a redistributor.
CTLR, TYPER, IIDR = 0x0, 0x4, 0x8
IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR = 0x80, 0x100, 0x180, 0x200, 0x280
ISACTIVER, ICACTIVER, IPRIORITYR, ICFGR, IROUTER = 0x300, 0x380, 0x400, 0xC00, 0x6000
PIDR2 = 0xFFE8
SGI_FRAME = 0x10000

#: The default priority of ``enable``.
PRIORITY = 0xA0
#: Nothing is pending: what IAR and HPPIR read then.
SPURIOUS = 1023
#: Vectors of interrupts: from EL1 with SP_EL1, and from EL0 in AArch64.
IRQ_EL1, FIQ_EL1, IRQ_EL0 = 0x280, 0x300, 0x480

#: Takes what is pending: after the ISB no unmasked interrupt can be pending any longer.
TAKE: list[int] = [asm.daifclr(2), asm.ISB, asm.daifset(2)]


def store(address: int, value: int, width: str = "strw") -> list[int]:
    """Store a value to a device register; the store is complete afterwards."""
    return asm.flat(
        asm.mov(10, address), asm.mov(11, value), asm.access(width, 11, 10), asm.DSB, asm.ISB
    )


def load(rt: int, address: int, width: str = "ldrw") -> list[int]:
    """Load a device register."""
    return asm.flat(asm.mov(10, address), asm.access(width, rt, 10))


def set_icc(name: str, value: int) -> list[int]:
    """Write a system register, and synchronize."""
    return asm.flat(asm.mov(11, value), asm.msr(name, 11), asm.ISB)


def report(rt: int) -> list[int]:
    """Report the value of a register to the case: an exit."""
    return asm.flat(asm.mov(28, REPORTED), asm.str_(rt, 28))


def report_icc(name: str) -> list[int]:
    """Report a system register to the case."""
    return asm.flat(asm.mrs(24, name), report(24))


def start(mask: int = 0xFF) -> list[int]:
    """Enable the distributor and this vCPU's CPU interface: Group 1, this priority mask."""
    return asm.flat(store(GICD, 2), set_icc("ICC_PMR_EL1", mask), set_icc("ICC_IGRPEN1_EL1", 1))


def frame(intid: int, vcpu: int = 0) -> int:
    """The address of the frame with an interrupt's registers."""
    return GICD if intid >= 32 else redistributor_of(vcpu) + SGI_FRAME


def bit(register: int, intid: int, vcpu: int = 0) -> list[int]:
    """Write the bit of an interrupt in ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER …"""
    return store(frame(intid, vcpu) + register + 4 * (intid // 32), 1 << intid % 32)


def enable(intid: int, priority: int = PRIORITY, *, edge: bool = False, vcpu: int = 0) -> list[int]:
    """Configure an interrupt, level-sensitive or edge-triggered, and enable it."""
    base = frame(intid, vcpu)
    words = store(base + IPRIORITYR + intid, priority, "strb")
    if intid >= 32:
        # KVM's PPIs are level-sensitive, and SGIs edge-triggered: that cannot be changed.
        field = 2 << 2 * (intid % 16)
        words += asm.flat(
            load(12, base + ICFGR + 4 * (intid // 16)),
            asm.mov(11, field),
            asm.orr_reg(12, 12, 11),
            [] if edge else asm.eor_reg(12, 12, 11),
            asm.access("strw", 12, 10),
        )
    return words + bit(ISENABLER, intid, vcpu)


def acknowledge(rt: int = 24) -> list[int]:
    """Acknowledge the interrupt, and report its INTID."""
    return asm.flat(asm.mrs(rt, "ICC_IAR1_EL1"), report(rt))


def end(rt: int = 24) -> list[int]:
    """EOI: with EOImode 0, priority drop and deactivation."""
    return [asm.msr("ICC_EOIR1_EL1", rt), asm.ISB]


#: What the usual handler does: each interrupt is one report of its INTID.
ACKNOWLEDGE_AND_END: list[asm.Item] = [*acknowledge(), *end(), asm.ERET]


def install(rig: Rig, *handler: asm.Item) -> asm.Code:
    """Point VBAR_EL1 to vectors whose IRQ entries do this (default: acknowledge, report, end).

    The other vectors report the exception as the machine's own do (``Rig.takes``). The label
    ``irq`` of the program is the start of the handler.
    """
    code = rig.machine.program(*vectors(handler or ACKNOWLEDGE_AND_END))
    rig.set_reg("VBAR_EL1", code.address)
    return code


def vectors(irq: Sequence[asm.Item], fiq: Sequence[asm.Item] = ()) -> list[asm.Item]:
    """Exception vectors with a handler of IRQs, and optionally one of FIQs from EL1."""
    items: list[asm.Item] = []
    for offset in range(0, 0x800, 0x80):
        if offset in (IRQ_EL1, IRQ_EL0):
            items += [asm.b("irq"), [asm.NOP] * 31]
        elif offset == FIQ_EL1 and fiq:
            items += [asm.b("fiq"), [asm.NOP] * 31]
        else:
            words = asm.flat(
                asm.mov(28, TAKEN + offset), asm.mrs(29, "ESR_EL1"), asm.str_(29, 28), asm.b(0)
            )
            items.append(words + [asm.NOP] * (32 - len(words)))
    items += [asm.label("irq"), *irq]
    return [*items, asm.label("fiq"), *fiq] if fiq else items
