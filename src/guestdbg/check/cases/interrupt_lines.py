"""Interrupt lines: level and edge, pending and active, enabled, and what acknowledging does"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import ready
from guestdbg.check.layout import GICD
from guestdbg.check.registry import case, case_for_each
from guestdbg.kvm import ExitIntr, ExitMmio

if TYPE_CHECKING:
    from guestdbg.check.controller import Controller
    from guestdbg.check.rig import Rig

_LINE = "KVM API 4.25 (KVM_IRQ_LINE)"
_STATES = "Arm ARM IHI 0069, 4.1 (interrupt handling: inactive, pending, active)"
_SPI, _OTHER, _PPI = 40, 41, 20


def _guest(rig: Rig, *setup: list[int]) -> Controller:
    """A GIC, the usual handler, and a guest with interrupts enabled that has run its set-up."""
    controller = ready(rig)
    irq.install(rig)
    rig.code(irq.start(), *setup, rig.finish())
    rig.done()
    return controller


def _takes(rig: Rig, *intids: int, before: list[int] | None = None) -> None:
    """Expect a program that unmasks interrupts once to take these, and no others."""
    rig.code(before or [], irq.TAKE, rig.finish())
    for intid in intids:
        rig.reports("INTID", intid)
    rig.done()


def _nothing(rig: Rig, before: list[int] | None = None) -> None:
    _takes(rig, before=before)


@case_for_each(
    "interrupts.line.taken",
    {"an-spi": _SPI, "the-last-spi": 255, "a-ppi": _PPI},
    "The guest takes the interrupt of a line that is high, and IAR has its number: {}.",
    _LINE + "; " + _STATES,
)
def _(rig: Rig, intid: int) -> None:
    controller = _guest(rig, irq.enable(intid))
    _nothing(rig)
    controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", intid)
    controller.line(intid, 0)
    rig.done()


@case(
    "interrupts.line.interrupted-instruction",
    "An interrupt is taken to the vector of IRQs; ELR_EL1 is the first instruction that was not "
    "executed, and SPSR_EL1 the interrupted PSTATE; PSTATE has all exceptions masked.",
    "Arm ARM D1.13 (asynchronous exceptions), D1.10.2 (exception entry)",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    irq.install(
        rig,
        *(asm.mrs(0, "ELR_EL1"), asm.mrs(1, "SPSR_EL1"), asm.mrs(2, "DAIF")),
        *irq.ACKNOWLEDGE_AND_END,
    )
    rig.code(irq.start(), irq.enable(_SPI), rig.finish())
    rig.done()
    controller.line(_SPI, 1)
    code = rig.code(asm.add(3, 3, 1), asm.daifclr(2), asm.ISB, asm.add(3, 3, 1), rig.finish(3))
    rig.reports("INTID", _SPI)
    controller.line(_SPI, 0)
    # The architecture permits the interrupt at the ISB already.
    rig.expect_one_of("ELR_EL1", rig.x(0), (code.at(2), code.at(3)))
    rig.expect("SPSR_EL1 but for the flags", rig.x(1) & 0xFFFFFFF, 0x345)
    rig.expect("DAIF in the handler", rig.x(2), 0x3C0)
    rig.done(value=2)


@case(
    "interrupts.line.from-el0",
    "An interrupt at EL0 is taken at EL1, to the vector of a lower level, and ERET returns.",
    "Arm ARM D1.10.2 (exception entry: the vector offset 0x480)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    code = rig.code(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(0), el=0)
    with rig.positive_control():
        rig.done(value=2)
        rig.start(code, el=0)
    rig.pstate = rig.pstate & ~(1 << 7)
    rig.reports("INTID", _SPI)
    rig.expect("PSTATE.EL in the handler", rig.pstate >> 2 & 3, 1)
    controller.line(_SPI, 0)
    rig.done(value=2)


@case(
    "interrupts.level.while-it-is-high",
    "A level-sensitive interrupt is taken again after EOI as long as its line is high.",
    _STATES + "; 4.1.3 (level-sensitive)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    for _ in range(3):
        rig.reports("INTID", _SPI)
        rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), True)
    controller.line(_SPI, 0)
    rig.done()
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), False)


@case(
    "interrupts.level.gone-before-it-is-taken",
    "A level-sensitive interrupt whose line has fallen again is not pending any longer.",
    _STATES + "; 4.1.3 (level-sensitive)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    controller.line(_SPI, 0)
    rig.done()
    controller.line(_SPI, 1)
    rig.code(irq.load(0, GICD + irq.ISPENDR + 4), rig.finish(0))
    rig.done(value=1 << _SPI - 32)
    controller.line(_SPI, 0)
    rig.code(irq.load(0, GICD + irq.ISPENDR + 4), irq.TAKE, rig.finish(0))
    rig.done(value=0)


@case(
    "interrupts.level.gone-while-running",
    "The line falls while the interrupt is in a list register and the guest has masked it: once "
    "unmasked, nothing is taken.",
    _STATES + "; 4.1.3 (level-sensitive)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI), irq.enable(_OTHER))
    for gone in (_OTHER, _SPI):
        controller.line(_SPI, 1)
        controller.line(_OTHER, 1)
        rig.code(irq.report(31), irq.TAKE, rig.finish())
        rig.reports("that it runs")
        controller.line(gone, 0)
        stays = _OTHER if gone == _SPI else _SPI
        rig.reports("INTID", stays)
        controller.line(stays, 0)
        rig.done()


@case(
    "interrupts.edge.once",
    "An edge-triggered interrupt is taken once for a rising edge, though its line stays high, or "
    "has fallen before it is taken.",
    _STATES + "; 4.1.3 (edge-triggered); " + _LINE,
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, edge=True))
    controller.line(_SPI, 1)
    _takes(rig, _SPI)
    controller.line(_SPI, 0)
    _nothing(rig)
    controller.line(_SPI, 1)
    controller.line(_SPI, 0)
    _takes(rig, _SPI)


@case(
    "interrupts.edge.while-active",
    "An edge while the interrupt is active makes it pending again: it is taken after EOI.",
    _STATES + " and pending",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, edge=True))
    controller.line(_SPI, 1)
    controller.line(_SPI, 0)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    controller.line(_SPI, 1)
    controller.line(_SPI, 0)
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), True)
    rig.reports("INTID", _SPI)
    rig.done()


@case(
    "interrupts.edge.while-disabled",
    "An edge is remembered while the interrupt is disabled; a level is there while it is high.",
    _STATES + "; GICD_ICENABLER",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, edge=True), irq.enable(_OTHER))
    both = irq.bit(irq.ICENABLER, _SPI) + irq.bit(irq.ICENABLER, _OTHER)
    rig.code(both, rig.finish())
    rig.done()
    for intid in (_SPI, _OTHER):
        controller.line(intid, 1)
        controller.line(intid, 0)
    _takes(rig, _SPI, before=irq.bit(irq.ISENABLER, _SPI) + irq.bit(irq.ISENABLER, _OTHER))


@case_for_each(
    "interrupts.configuration",
    {"the-first-of-a-register": 32, "the-last-of-a-register": 47, "the-last-spi": 255},
    "GICD_ICFGR keeps edge and level: {}.",
    "Arm ARM IHI 0069, GICD_ICFGR<n>",
)
def _(rig: Rig, intid: int) -> None:
    ready(rig)
    register = irq.frame(intid) + irq.ICFGR + 4 * (intid // 16)
    field = 2 << 2 * (intid % 16)
    rig.code(
        *(irq.store(register, field), irq.load(1, register)),
        *(irq.store(register, 0), irq.load(2, register), rig.finish()),
    )
    rig.done()
    rig.expect("edge", rig.x(1), field)
    rig.expect("level", rig.x(2), 0)


@case_for_each(
    "interrupts.configuration",
    {"of-sgis": (0, 0xAAAAAAAA), "of-ppis": (4, 0)},
    "Private interrupts have a fixed configuration, SGIs edge and PPIs level: {}.",
    "Arm ARM IHI 0069, GICR_ICFGR0, GICR_ICFGR1 (whether PPIs can be changed: implementation)",
)
def _(rig: Rig, what: tuple[int, int]) -> None:
    offset, value = what
    ready(rig)
    register = irq.frame(0) + irq.ICFGR + offset
    rig.code(
        *(irq.load(0, register), irq.store(register, 0 if value else 0xAAAAAAAA)),
        *(irq.load(1, register), rig.finish()),
    )
    rig.done()
    rig.expect("GICR_ICFGR, before and after a write", (rig.x(0), rig.x(1)), (value, value))


@case_for_each(
    "interrupts.pending.set",
    {"edge": True, "level": False},
    "A write to GICD_ISPENDR makes an interrupt pending, and it is taken once: {}.",
    "Arm ARM IHI 0069, GICD_ISPENDR<n>",
)
def _(rig: Rig, edge: bool) -> None:
    _guest(rig, irq.enable(_SPI, edge=edge))
    _takes(rig, _SPI, before=irq.bit(irq.ISPENDR, _SPI))
    _nothing(rig)


@case(
    "interrupts.pending.cleared",
    "A write to GICD_ICPENDR clears what an edge or GICD_ISPENDR has made pending.",
    "Arm ARM IHI 0069, GICD_ICPENDR<n>",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, edge=True), irq.enable(_OTHER))
    pending = irq.bit(irq.ISPENDR, _OTHER)
    for clear in (False, True):
        controller.line(_SPI, 1)
        controller.line(_SPI, 0)
        cleared = irq.bit(irq.ICPENDR, _OTHER) + irq.bit(irq.ICPENDR, _SPI)
        rig.code(pending, cleared if clear else [], irq.TAKE, rig.finish())
        if not clear:
            seen = {rig.reports("INTID"), rig.reports("INTID")}
            rig.expect("the interrupts", sorted(seen), [_SPI, _OTHER])
        rig.done()


@case(
    "interrupts.pending.not-cleared-while-high",
    "GICD_ICPENDR does not clear a level-sensitive interrupt whose line is high.",
    "Arm ARM IHI 0069, GICD_ICPENDR<n>",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    before = irq.bit(irq.ICPENDR, _SPI) + irq.load(0, GICD + irq.ISPENDR + 4)
    rig.code(before, irq.TAKE, rig.finish(0))
    rig.reports("INTID", _SPI)
    rig.expect("GICD_ISPENDR1", rig.x(0), 1 << _SPI - 32)
    controller.line(_SPI, 0)
    rig.done()


@case(
    "interrupts.pending.by-ppi",
    "GICR_ISPENDR0 makes a private interrupt pending, and GICR_ICPENDR0 clears it.",
    "Arm ARM IHI 0069, GICR_ISPENDR0, GICR_ICPENDR0",
)
def _(rig: Rig) -> None:
    _guest(rig, irq.enable(_PPI))
    _takes(rig, _PPI, before=irq.bit(irq.ISPENDR, _PPI))
    _nothing(rig, before=irq.bit(irq.ISPENDR, _PPI) + irq.bit(irq.ICPENDR, _PPI))


@case(
    "interrupts.active.set",
    "An interrupt made active by GICD_ISACTIVER is not taken although it is pending, until "
    "GICD_ICACTIVER deactivates it.",
    "Arm ARM IHI 0069, GICD_ISACTIVER<n>, GICD_ICACTIVER<n>",
)
def _(rig: Rig) -> None:
    _guest(rig, irq.enable(_SPI, edge=True))
    _takes(rig, _SPI, before=irq.bit(irq.ISPENDR, _SPI))
    _nothing(rig, before=irq.bit(irq.ISACTIVER, _SPI) + irq.bit(irq.ISPENDR, _SPI))
    rig.code(irq.load(0, GICD + irq.ISACTIVER + 4), rig.finish(0))
    rig.done(value=1 << _SPI - 32)
    _takes(rig, _SPI, before=irq.bit(irq.ICACTIVER, _SPI))


@case(
    "interrupts.active.while-handled",
    "GICD_ISACTIVER and GICD_ISPENDR follow an interrupt: pending, then active, then neither.",
    _STATES,
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    state = irq.load(0, GICD + irq.ISPENDR + 4) + irq.load(1, GICD + irq.ISACTIVER + 4)
    irq.install(rig, *irq.acknowledge(), *state, *irq.report(31), *irq.end(), asm.ERET)
    rig.code(irq.start(), irq.enable(_SPI, edge=True), rig.finish())
    rig.done()
    field = 1 << _SPI - 32

    def expect(when: str, pending: int, active: int) -> None:
        rig.expect(f"GICD_ISPENDR1, {when}", rig.x(0), pending)
        rig.expect(f"GICD_ISACTIVER1, {when}", rig.x(1), active)

    controller.line(_SPI, 1)
    rig.code(state, rig.finish())
    rig.done()
    expect("pending", field, 0)
    rig.code(irq.TAKE, state, rig.finish())
    rig.reports("INTID", _SPI)
    rig.reports("the state")
    expect("active", 0, field)
    rig.done()
    expect("after EOI", 0, 0)


@case(
    "interrupts.enable",
    "A pending interrupt is taken only while GICD_ISENABLER enables it, and stays pending.",
    "Arm ARM IHI 0069, GICD_ISENABLER<n>, GICD_ICENABLER<n>",
)
def _(rig: Rig) -> None:
    _guest(rig, irq.enable(_SPI, edge=True))
    _takes(rig, _SPI, before=irq.bit(irq.ISPENDR, _SPI))
    _nothing(rig, before=irq.bit(irq.ICENABLER, _SPI) + irq.bit(irq.ISPENDR, _SPI))
    _takes(rig, _SPI, before=irq.bit(irq.ISENABLER, _SPI))


@case(
    "interrupts.enable.reads-back",
    "GICD_ISENABLER and GICD_ICENABLER read the enabled interrupts; zeros change nothing.",
    "Arm ARM IHI 0069, GICD_ISENABLER<n>, GICD_ICENABLER<n>",
)
def _(rig: Rig) -> None:
    ready(rig)
    set_, clear = GICD + irq.ISENABLER + 4, GICD + irq.ICENABLER + 4
    rig.code(
        *(irq.store(set_, 0xF0), irq.store(set_, 0), irq.load(0, set_), irq.load(1, clear)),
        *(irq.store(clear, 0x30), irq.store(clear, 0), irq.load(2, set_), irq.load(3, clear)),
        rig.finish(),
    )
    rig.done()
    rig.expect("ISENABLER and ICENABLER", (rig.x(0), rig.x(1)), (0xF0, 0xF0))
    rig.expect("after clearing two", (rig.x(2), rig.x(3)), (0xC0, 0xC0))


@case_for_each(
    "interrupts.group-enable",
    {
        "of-the-distributor": (irq.store(GICD, 0), irq.store(GICD, 2)),
        "of-the-cpu-interface": (
            irq.set_icc("ICC_IGRPEN1_EL1", 0),
            irq.set_icc("ICC_IGRPEN1_EL1", 1),
        ),
    },
    "Without the group enable {} nothing is taken; with it again, what becomes pending is.",
    "Arm ARM IHI 0069, GICD_CTLR.EnableGrp1, ICC_IGRPEN1_EL1",
)
def _(rig: Rig, disable_and_enable: tuple[list[int], list[int]]) -> None:
    disable, enable = disable_and_enable
    _guest(rig, irq.enable(_SPI, edge=True))
    _takes(rig, _SPI, before=irq.bit(irq.ISPENDR, _SPI))
    _nothing(rig, before=irq.bit(irq.ISPENDR, _SPI) + disable)
    # ISPENDR again: KVM (6.1, 7.2) does not look for what is pending when GICD_CTLR enables the
    # group. The architecture has it taken then.
    _takes(rig, _SPI, before=enable + irq.bit(irq.ISPENDR, _SPI))


@case(
    "interrupts.group-0.is-an-fiq",
    "An interrupt of Group 0 is taken as an FIQ, and ICC_IAR0_EL1 acknowledges it; ICC_IAR1_EL1 "
    "does not have it.",
    "Arm ARM IHI 0069, 4.6 (interrupt grouping), GICD_IGROUPR<n>",
)
def _(rig: Rig) -> None:
    ready(rig)
    rig.set_reg(
        "VBAR_EL1",
        rig.machine.program(
            *irq.vectors(
                irq.ACKNOWLEDGE_AND_END,
                [
                    *(asm.mrs(0, "ICC_IAR1_EL1"), asm.mrs(24, "ICC_IAR0_EL1"), irq.report(24)),
                    *(asm.msr("ICC_EOIR0_EL1", 24), asm.ISB, asm.ERET),
                ],
            )
        ).address,
    )
    rig.code(
        *(irq.start(), irq.enable(_SPI, edge=True), irq.set_icc("ICC_IGRPEN0_EL1", 1)),
        *(irq.store(GICD, 3), irq.load(12, GICD + irq.IGROUPR + 4), rig.finish(12)),
    )
    rig.expect("the SPI's group after reset", rig.done() >> _SPI - 32 & 1, 1)
    _takes(rig, _SPI, before=irq.bit(irq.ISPENDR, _SPI))
    group_0 = irq.store(GICD + irq.IGROUPR + 4, 0)
    both = [asm.daifclr(3), asm.ISB, asm.daifset(3)]
    rig.code(group_0, irq.bit(irq.ISPENDR, _SPI), irq.TAKE, irq.report(31), both, rig.finish())
    rig.reports("that no IRQ was taken", 0)
    rig.reports("INTID in ICC_IAR0_EL1", _SPI)
    rig.expect("ICC_IAR1_EL1", rig.x(0), irq.SPURIOUS)
    rig.done()


@case(
    "interrupts.spurious",
    "With nothing pending, ICC_IAR1_EL1 and ICC_HPPIR1_EL1 read 1023, and EOI of it does nothing.",
    "Arm ARM IHI 0069, 2.2.1 (special INTIDs), ICC_IAR1_EL1, ICC_EOIR1_EL1",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, edge=True))
    look = [asm.mrs(1, "ICC_HPPIR1_EL1"), asm.mrs(0, "ICC_IAR1_EL1"), *irq.end(0)]
    rig.code(look, rig.finish())
    rig.done()
    rig.expect("HPPIR1, IAR1", (rig.x(1), rig.x(0)), (irq.SPURIOUS, irq.SPURIOUS))
    controller.line(_SPI, 1)
    rig.code(look, rig.finish())
    rig.done()
    rig.expect("HPPIR1, IAR1 with one pending", (rig.x(1), rig.x(0)), (_SPI, _SPI))


@case(
    "interrupts.polled",
    "A guest that masks interrupts can poll: ICC_IAR1_EL1 acknowledges, and EOI ends it.",
    "Arm ARM IHI 0069, ICC_IAR1_EL1",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI), irq.enable(_OTHER, 0x80))
    controller.line(_SPI, 1)
    controller.line(_OTHER, 1)
    rig.code(*irq.acknowledge(), *irq.end(), *irq.acknowledge(), *irq.end(), rig.finish())
    for intid in (_OTHER, _SPI):
        rig.reports("INTID", intid)
        controller.line(intid, 0)
    rig.done()
    _nothing(rig)


@case_for_each(
    "interrupts.identification",
    {
        "gicd-pidr2": (GICD + irq.PIDR2, 0xF0, 0x30),
        "gicr-pidr2": (irq.frame(0) - irq.SGI_FRAME + irq.PIDR2, 0xF0, 0x30),
        "gicd-iidr": (GICD + irq.IIDR, 0xFF000FFF, 0x4B00043B),
        "gicd-ctlr": (GICD, 0x50, 0x50),
        "gicr-waker": (irq.frame(0) - irq.SGI_FRAME + 0x14, 6, 0),
        "reserved": (GICD + 0x5000, 0xFFFFFFFF, 0),
    },
    "The guest finds a GICv3 of KVM with one Security state and affinity routing: {}.",
    "Arm ARM IHI 0069, GICD_PIDR2, GICD_IIDR, GICD_CTLR.ARE and DS, GICR_WAKER",
)
def _(rig: Rig, what: tuple[int, int, int]) -> None:
    address, mask, value = what
    ready(rig)
    rig.code(irq.load(0, address), rig.finish(0))
    rig.expect("the register", rig.done() & mask, value)


@case_for_each(
    "interrupts.width",
    {"bytes-of-priorities": 0, "doubleword-of-a-route": 1, "words-of-a-route": 2},
    "The registers that have more than one width of access accept each: {}.",
    "Arm ARM IHI 0069, 12.1.3 (GICD_IPRIORITYR<n>, GICD_IROUTER<n>)",
)
def _(rig: Rig, what: int) -> None:
    ready(rig)
    priority, route = GICD + irq.IPRIORITYR + _SPI, GICD + irq.IROUTER + 8 * _SPI
    if what == 0:
        rig.code(
            *(irq.store(priority, 0x30201000), irq.store(priority + 2, 0x80, "strb")),
            *(irq.load(0, priority), irq.load(1, priority + 3, "ldrb"), rig.finish()),
        )
        rig.done()
        rig.expect("the priorities", (rig.x(0), rig.x(1)), (0x30801000, 0x30))
        return
    if what == 1:
        stores = irq.store(route, 0x100, "str")
    else:
        stores = irq.store(route, 0x100) + irq.store(route + 4, 0)
    rig.code(stores, irq.load(0, route, "ldr"), irq.load(1, route), rig.finish())
    rig.done()
    rig.expect("the route", (rig.x(0), rig.x(1)), (0x100, 0x100))


@case(
    "interrupts.wfi.masked",
    "WFI ends for an interrupt that is pending although PSTATE.I masks it; unmasked, it is taken.",
    "Arm ARM D1.16.2 (Wait For Interrupt)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    rig.code(asm.WFI, irq.report(31), irq.TAKE, rig.finish())
    rig.reports("that WFI has ended")
    rig.reports("INTID", _SPI)
    controller.line(_SPI, 0)
    rig.done()


@case_for_each(
    "interrupts.wfi.woken",
    {"masked": False, "unmasked": True},
    "A line that another thread raises ends WFI: {}.",
    "Arm ARM D1.16.2 (Wait For Interrupt); " + _LINE + ": from any thread",
)
def _(rig: Rig, unmasked: bool) -> None:
    controller = ready(rig)
    # The handler returns to the end of the loop: the interrupt may come before the WFI.
    irq.install(rig, *irq.acknowledge(), asm.msr("ELR_EL1", 20), asm.ISB, *irq.end(), asm.ERET)
    rig.code(irq.start(), irq.enable(_SPI), rig.finish())
    rig.done()
    pending = [] if unmasked else irq.load(0, GICD + irq.ISPENDR + 4)
    code = rig.code(
        *(asm.daifclr(2) if unmasked else asm.NOP, asm.mov(0, 0), asm.label("wait"), asm.WFI),
        # WFI may end early.
        *(pending, asm.cbz(0, "wait"), irq.TAKE, asm.label("end"), asm.daifset(2), rig.finish()),
    )
    rig.set_x(20, code["end"])
    raising = threading.Timer(0.05, controller.line, (_SPI, 1))
    raising.start()
    try:
        exit_ = rig.run(may_be_idle=True)
    finally:
        raising.join()
    if isinstance(exit_, ExitIntr):
        exit_ = rig.run()
    rig.reports("INTID", _SPI, exit_)
    controller.line(_SPI, 0)
    rig.done()


@case(
    "interrupts.exits-are-not-lost",
    "An interrupt that becomes pending at an exit of the guest's is taken after the access.",
    _LINE,
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI))
    rig.code(asm.mov(1, 0x09100000), asm.daifclr(2), asm.ldr(0, 1), asm.ISB, rig.finish(0))
    exit_ = rig.run()
    rig.expect("an access to a device", isinstance(exit_, ExitMmio), True)
    controller.line(_SPI, 1)
    rig.vcpu.complete_mmio((0x1234).to_bytes(8, "little"))
    rig.reports("INTID", _SPI)
    rig.expect("what was read", rig.x(0), 0x1234)
    controller.line(_SPI, 0)
    rig.done(value=0x1234)
