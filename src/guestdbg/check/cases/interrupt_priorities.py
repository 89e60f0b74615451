"""Priorities of interrupts: order, masks, preemption, EOI modes, more than list registers"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import ready
from guestdbg.check.layout import DATA, GICD
from guestdbg.check.registry import case, case_for_each

if TYPE_CHECKING:
    from guestdbg.check.controller import Controller
    from guestdbg.check.rig import Rig

_PRIORITY = "Arm ARM IHI 0069, 4.8 (interrupt prioritization)"
_EOI = "Arm ARM IHI 0069, 4.1.2 (priority drop and deactivation), ICC_CTLR_EL1.EOImode"
_MAINTENANCE = "Arm ARM IHI 0069, 6.3.4 (maintenance interrupts: underflow)"
_SPI, _OTHER = 40, 41
#: More interrupts than any implementation has list registers.
_MANY = 24


def _guest(rig: Rig, *setup: list[int], handler: list[asm.Item] | None = None) -> Controller:
    controller = ready(rig)
    irq.install(rig, *(handler or []))
    rig.code(irq.start(), *setup, rig.finish())
    rig.done()
    return controller


def _priority_of(n: int) -> int:
    """Different priorities in another order than the INTIDs': 24 of the 32 that five bits have."""
    return (n * 7 % _MANY + 4) << 3


_ALL = {_SPI + n: _priority_of(n) for n in range(_MANY)}
_IN_ORDER = sorted(_ALL, key=lambda intid: _ALL[intid])


def _enable_all() -> list[int]:
    return [word for intid, p in _ALL.items() for word in irq.enable(intid, p, edge=True)]


@case_for_each(
    "interrupts.priority.order",
    {"lower-intid": (0x80, 0xA0), "higher-intid": (0xA0, 0x80)},
    "Of two pending interrupts, the one with the higher priority is taken first: {}.",
    _PRIORITY,
)
def _(rig: Rig, priorities: tuple[int, int]) -> None:
    first, second = priorities
    controller = _guest(rig, irq.enable(_SPI, first), irq.enable(_OTHER, second))
    controller.line(_SPI, 1)
    controller.line(_OTHER, 1)
    rig.code(irq.TAKE, rig.finish())
    for intid in (_SPI, _OTHER) if first < second else (_OTHER, _SPI):
        rig.reports("INTID", intid)
        controller.line(intid, 0)
    rig.done()


@case(
    "interrupts.many.in-order",
    "24 pending interrupts, more than there are list registers, are taken in the order of their "
    "priorities, each once.",
    _PRIORITY + "; 6.3.4 (maintenance interrupts)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable_all())
    for intid in _ALL:
        controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    for intid in _IN_ORDER:
        rig.reports("INTID", intid)
    rig.done()
    rig.expect("GICD_ISPENDR1", controller.distributor(irq.ISPENDR + 4), 0)


@case(
    "interrupts.many.without-exits",
    "The same if nothing the guest does between them is an exit: a maintenance interrupt brings "
    "those that had no list register.",
    _MAINTENANCE,
)
def _(rig: Rig) -> None:
    log = DATA + 0x2000
    handler: list[asm.Item] = [
        *(asm.mrs(24, "ICC_IAR1_EL1"), asm.access("str", 24, 20, 8, mode="post")),
        *(*irq.end(), asm.ERET),
    ]
    controller = _guest(rig, _enable_all(), handler=handler)
    for intid in _ALL:
        controller.line(intid, 1)
    rig.set_x(20, log)
    rig.set_x(21, log + 8 * _MANY)
    rig.code(
        asm.daifclr(2),
        # Until all of them are logged, at most a hundred thousand times.
        *(asm.mov(22, 100_000), asm.label("wait"), asm.subs_reg(31, 20, 21)),
        *(asm.b_cond("eq", "end"), asm.sub(22, 22, 1), asm.cbnz(22, "wait")),
        *(asm.label("end"), asm.daifset(2), rig.finish()),
    )
    rig.done()
    count = (rig.x(20) - log) // 8
    rig.expect("how many were taken", count, _MANY)
    rig.expect("their order", [rig.machine.u64(log + 8 * n) for n in range(count)], _IN_ORDER)


@case(
    "interrupts.many.later-ones",
    "Interrupts that become pending while others are in all list registers are taken in their "
    "place by priority.",
    _PRIORITY,
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable_all())
    early, late = _IN_ORDER[8:], _IN_ORDER[:8]
    for intid in early:
        controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", early[0])
    for intid in late:
        controller.line(intid, 1)
    for intid in late + early[1:]:
        rig.reports("INTID", intid)
    rig.done()


@case(
    "interrupts.many.level",
    "With 24 lines that are high, each that falls in the handler is taken once.",
    _PRIORITY + "; 4.1.3 (level-sensitive)",
)
def _(rig: Rig) -> None:
    levels = [word for intid, p in _ALL.items() for word in irq.enable(intid, p)]
    controller = _guest(rig, levels)
    for intid in _ALL:
        controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    for intid in _IN_ORDER:
        rig.reports("INTID", intid)
        controller.line(intid, 0)
    rig.done()


@case(
    "interrupts.priority.kept-bits",
    "A priority has five bits: the others read as zero.",
    "Arm ARM IHI 0069, GICD_IPRIORITYR<n>, ICC_CTLR_EL1.PRIbits",
)
def _(rig: Rig) -> None:
    ready(rig)
    register = GICD + irq.IPRIORITYR + _SPI
    rig.code(
        *(irq.store(register, 0xFF7F0FF7), irq.load(0, register)),
        *(asm.mrs(1, "ICC_CTLR_EL1"), rig.finish()),
    )
    rig.done()
    rig.expect("GICD_IPRIORITYR10", rig.x(0), 0xF87808F0)
    rig.expect("ICC_CTLR_EL1.PRIbits", rig.x(1) >> 8 & 7, 4)


@case_for_each(
    "interrupts.mask",
    {"lower": 0x98, "same": 0xA0},
    "ICC_PMR_EL1 masks an interrupt unless its priority is higher: {} value.",
    "Arm ARM IHI 0069, ICC_PMR_EL1",
)
def _(rig: Rig, mask: int) -> None:
    controller = _guest(rig, irq.enable(_SPI, 0xA0, edge=True))
    controller.line(_SPI, 1)
    masked = irq.set_icc("ICC_PMR_EL1", mask)
    code = rig.code(
        *(masked, irq.TAKE, irq.report_icc("ICC_HPPIR1_EL1"), irq.report_icc("ICC_IAR1_EL1")),
        *(irq.set_icc("ICC_PMR_EL1", 0xA8), irq.TAKE, rig.finish()),
    )
    rig.reports("ICC_HPPIR1_EL1", _SPI)
    rig.reports("ICC_IAR1_EL1", irq.SPURIOUS)
    rig.reports("INTID", _SPI)
    rig.done()
    assert code


@case(
    "interrupts.mask.kept-bits",
    "ICC_PMR_EL1 reads back with five bits.",
    "Arm ARM IHI 0069, ICC_PMR_EL1",
)
def _(rig: Rig) -> None:
    ready(rig)
    rig.code(irq.set_icc("ICC_PMR_EL1", 0xFF), asm.mrs(0, "ICC_PMR_EL1"), rig.finish(0))
    rig.done(value=0xF8)


@case(
    "interrupts.running-priority",
    "ICC_RPR_EL1 is 0xFF, the priority of the interrupt while it is active, and 0xFF after EOI.",
    "Arm ARM IHI 0069, ICC_RPR_EL1",
)
def _(rig: Rig) -> None:
    running = irq.report_icc("ICC_RPR_EL1")
    handler: list[asm.Item] = [
        *(*irq.acknowledge(25), *running, *irq.end(25), *running, asm.ERET),
    ]
    controller = _guest(rig, irq.enable(_SPI, 0xA0, edge=True), handler=handler)
    controller.line(_SPI, 1)
    rig.code(running, irq.TAKE, rig.finish())
    rig.reports("ICC_RPR_EL1 before", 0xFF)
    rig.reports("INTID", _SPI)
    rig.reports("ICC_RPR_EL1 in the handler", 0xA0)
    rig.reports("ICC_RPR_EL1 after EOI", 0xFF)
    rig.done()


#: A handler that lets others preempt it. It saves what they overwrite on its stack.
_PREEMPTIBLE: list[asm.Item] = [
    *(
        asm.mrs(22, "ELR_EL1"),
        asm.mrs(23, "SPSR_EL1"),
        asm.pair("stp", 22, 23, 31, -16, mode="pre"),
    ),
    *(*irq.acknowledge(), asm.pair("stp", 24, 24, 31, -16, mode="pre")),
    *(*irq.TAKE, asm.pair("ldp", 24, 25, 31, 16, mode="post"), *irq.end()),
    *(*irq.report(24), asm.pair("ldp", 22, 23, 31, 16, mode="post")),
    *(asm.msr("ELR_EL1", 22), asm.msr("SPSR_EL1", 23), asm.ERET),
]


def _preemptible(rig: Rig, *setup: list[int]) -> Controller:
    controller = _guest(rig, *setup, handler=_PREEMPTIBLE)
    rig.set_core("sp_el1", DATA + 0x10000)
    return controller


@case_for_each(
    "interrupts.preemption",
    {
        "higher": (0x80, 0, True),
        "the-same": (0xA0, 0, False),
        "lower": (0xC0, 0, False),
        "higher-in-another-group-of-priorities": (0x90, 5, True),
        "higher-in-the-same-group-of-priorities": (0xA0, 5, False),
    },
    "While an interrupt is active, one with {} priority is taken at once or after its EOI.",
    "Arm ARM IHI 0069, 4.8.3 (priority grouping), 4.8.6 (preemption), ICC_BPR1_EL1",
)
def _(rig: Rig, what: tuple[int, int, bool]) -> None:
    priority, point, preempts = what
    running = 0xB8 if point else 0xA0
    controller = _preemptible(
        rig,
        *(irq.enable(_SPI, running, edge=True), irq.enable(_OTHER, priority, edge=True)),
        irq.set_icc("ICC_BPR1_EL1", point),
    )
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    controller.line(_OTHER, 1)
    order = (_OTHER, _OTHER, _SPI) if preempts else (_SPI, _OTHER, _OTHER)
    for intid in order:
        rig.reports("INTID", intid)
    rig.done()


@case(
    "interrupts.preemption.nested",
    "Four interrupts that preempt each other are all active at once, and end in the reverse order: "
    "afterwards none is active.",
    "Arm ARM IHI 0069, 4.8.6 (preemption)",
)
def _(rig: Rig) -> None:
    _nested(rig, 4)


@case(
    "interrupts.preemption.nested-beyond-the-list-registers",
    "Twelve interrupts that preempt each other end in the reverse order, also those that have no "
    "list register at their EOI.",
    "Arm ARM IHI 0069, 4.8.6 (preemption), ICH_HCR_EL2.EOIcount (EOI without a list register)",
    since=(6, 19),
)
def _(rig: Rig) -> None:
    _nested(rig, 12)


def _nested(rig: Rig, count: int) -> None:
    nested = {_SPI + n: 0xF0 - 0x10 * n for n in range(count)}
    enabled = [word for intid, p in nested.items() for word in irq.enable(intid, p, edge=True)]
    controller = _preemptible(rig, enabled)
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    for intid in nested:
        rig.reports("INTID", intid)
        if intid + 1 in nested:
            controller.line(intid + 1, 1)
    active = sum(1 << intid - 32 for intid in nested)
    rig.expect("GICD_ISACTIVER1", controller.distributor(irq.ISACTIVER + 4), active)
    for intid in reversed(nested):
        rig.reports("INTID at its end", intid)
        active &= ~(1 << intid - 32)
        rig.expect("GICD_ISACTIVER1", controller.distributor(irq.ISACTIVER + 4), active)
    rig.done()
    for intid in nested:
        controller.line(intid, 1)
    rig.code(irq.TAKE, irq.report_icc("ICC_RPR_EL1"), rig.finish())
    for intid in reversed(nested):
        for _ in range(2):
            rig.reports("INTID, taken again and ended", intid)
    rig.reports("ICC_RPR_EL1", 0xFF)
    rig.done()


@case(
    "interrupts.binary-point.minimum",
    "ICC_BPR1_EL1 and ICC_BPR0_EL1 have the minimum that the number of preemption bits leaves.",
    "Arm ARM IHI 0069, ICC_BPR0_EL1, ICC_BPR1_EL1",
)
def _(rig: Rig) -> None:
    ready(rig)
    rig.code(
        *(irq.set_icc("ICC_BPR0_EL1", 0), irq.set_icc("ICC_BPR1_EL1", 0)),
        *(asm.mrs(0, "ICC_BPR0_EL1"), asm.mrs(1, "ICC_BPR1_EL1")),
        *(irq.set_icc("ICC_BPR1_EL1", 6), asm.mrs(2, "ICC_BPR1_EL1"), rig.finish()),
    )
    rig.done()
    # Five to seven preemption bits.
    rig.expect_one_of("ICC_BPR0_EL1", rig.x(0), (0, 1, 2))
    rig.expect("ICC_BPR1_EL1", rig.x(1), rig.x(0) + 1)
    rig.expect("ICC_BPR1_EL1, written", rig.x(2), 6)


@case(
    "interrupts.binary-point.common",
    "With ICC_CTLR_EL1.CBPR, ICC_BPR0_EL1 is for Group 1 too: ICC_BPR1_EL1 reads one more, and "
    "ignores writes.",
    "Arm ARM IHI 0069, ICC_CTLR_EL1.CBPR, ICC_BPR1_EL1",
)
def _(rig: Rig) -> None:
    ready(rig)
    rig.code(
        *(irq.set_icc("ICC_BPR1_EL1", 3), irq.set_icc("ICC_BPR0_EL1", 4)),
        *(asm.mrs(0, "ICC_BPR1_EL1"), irq.set_icc("ICC_CTLR_EL1", 1)),
        *(asm.mrs(1, "ICC_BPR1_EL1"), irq.set_icc("ICC_BPR1_EL1", 7), asm.mrs(2, "ICC_BPR1_EL1")),
        *(irq.set_icc("ICC_CTLR_EL1", 0), asm.mrs(3, "ICC_BPR1_EL1"), rig.finish()),
    )
    rig.done()
    rig.expect("ICC_BPR1_EL1", [rig.x(n) for n in range(4)], [3, 5, 5, 3])


@case(
    "interrupts.eoi-mode-1",
    "With EOI mode 1, EOI drops the priority alone: the interrupt stays active and is not taken "
    "again, others are; DIR deactivates it.",
    _EOI,
)
def _(rig: Rig) -> None:
    controller = _guest(
        rig,
        *(irq.enable(_SPI, edge=True), irq.enable(_OTHER, edge=True)),
        irq.set_icc("ICC_CTLR_EL1", 2),
    )
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, irq.report_icc("ICC_RPR_EL1"), irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    rig.reports("ICC_RPR_EL1 after EOI", 0xFF)
    controller.line(_SPI, 0)
    controller.line(_SPI, 1)
    controller.line(_OTHER, 1)
    rig.reports("INTID", _OTHER)
    rig.done()
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), True)
    rig.code(irq.set_icc("ICC_DIR_EL1", _SPI), irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    rig.done()


@case(
    "interrupts.eoi-mode-1.any-order",
    "With EOI mode 1, interrupts are deactivated in any order: each DIR ends its own.",
    _EOI,
)
def _(rig: Rig) -> None:
    intids = [_SPI, _SPI + 1, _SPI + 2]
    enabled = [word for intid in intids for word in irq.enable(intid, edge=True)]
    controller = _guest(rig, enabled, irq.set_icc("ICC_CTLR_EL1", 2))
    for intid in intids:
        controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    taken = [rig.reports("INTID") for _ in intids]
    rig.expect("the interrupts", sorted(taken), intids)
    rig.done()
    active = set(intids)
    for intid in (intids[1], intids[0], intids[2]):
        rig.code(irq.set_icc("ICC_DIR_EL1", intid), rig.finish())
        rig.done()
        active.remove(intid)
        found = {n for n in intids if controller.is_set(irq.ISACTIVER, n)}
        rig.expect("the active ones", sorted(found), sorted(active))


@case(
    "interrupts.eoi-mode-0.deactivates",
    "With EOI mode 0, EOI drops the priority and deactivates the interrupt.",
    _EOI,
)
def _(rig: Rig) -> None:
    active = irq.load(0, GICD + irq.ISACTIVER + 4) + irq.report(0)
    running = irq.report_icc("ICC_RPR_EL1")
    handler: list[asm.Item] = [
        *(*irq.acknowledge(25), *active, *irq.end(25), *active, *running, asm.ERET),
    ]
    controller = _guest(rig, irq.enable(_SPI, edge=True), handler=handler)
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    rig.reports("GICD_ISACTIVER1", 1 << _SPI - 32)
    rig.reports("GICD_ISACTIVER1 after EOI", 0)
    rig.reports("ICC_RPR_EL1 after EOI", 0xFF)
    rig.done()


@case(
    "interrupts.priority.while-pending",
    "A priority that changes while the interrupt is pending counts from then on.",
    _PRIORITY,
)
def _(rig: Rig) -> None:
    controller = _guest(rig, irq.enable(_SPI, 0xA0, edge=True), irq.enable(_OTHER, 0xB0, edge=True))
    for changed, order in ((0xC0, (_OTHER, _SPI)), (0xA0, (_SPI, _OTHER))):
        controller.line(_SPI, 1)
        controller.line(_OTHER, 1)
        rig.code(irq.store(GICD + irq.IPRIORITYR + _SPI, changed, "strb"), irq.TAKE, rig.finish())
        for intid in order:
            rig.reports("INTID", intid)
        rig.done()
