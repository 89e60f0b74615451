"""A GICv2: its device, its CPU interface in memory, SGIs with their source, targets"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.arm64.debug import breakpoint
from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import Controller, ready
from guestdbg.check.layout import GICC, GICD
from guestdbg.check.registry import case, case_for_each
from guestdbg.check.rig import STEP, USE_HW
from guestdbg.kvm.constants import KVM_VGIC_V2_ADDR_TYPE_CPU, KVM_VGIC_V2_ADDR_TYPE_DIST

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_DEVICE = "KVM API, devices/arm-vgic.rst"
_GICV2 = "Arm ARM IHI 0048 (GICv2)"
#: Offsets in the CPU interface, and in the distributor.
_CTLR, _PMR, _BPR, _IAR, _EOIR, _RPR, _HPPIR, _DIR = (*range(0, 0x1C, 4), 0x1000)
_ITARGETSR, _SGIR = 0x800, 0xF00
_SPI, _OTHER, _PPI = 40, 41, 20


def _start(mask: int = 0xFF, control: int = 1) -> list[int]:
    """Enable the distributor and this vCPU's CPU interface."""
    return [
        *(*irq.store(GICD, 1), *irq.store(GICC + _PMR, mask), *irq.store(GICC + _CTLR, control)),
    ]


def _bit(register: int, intid: int) -> list[int]:
    return irq.store(GICD + register + 4 * (intid // 32), 1 << intid % 32)


def _enable(intid: int, priority: int = 0xA0, *, edge: bool = False, targets: int = 1) -> list[int]:
    words = irq.store(GICD + irq.IPRIORITYR + intid, priority, "strb")
    if intid >= 32:
        words += irq.store(GICD + _ITARGETSR + intid, targets, "strb")
        words += irq.store(GICD + irq.ICFGR + 4 * (intid // 16), 0xAAAAAAAA if edge else 0)
    return words + _bit(irq.ISENABLER, intid)


def _install(rig: Rig, *before_the_end: asm.Item) -> asm.Code:
    """A handler that acknowledges, reports what GICC_IAR had, and ends the interrupt."""
    return irq.install(
        rig,
        *(asm.mov(23, GICC), asm.access("ldrw", 24, 23, _IAR), irq.report(24)),
        *(*before_the_end, asm.access("strw", 24, 23, _EOIR), asm.DSB, asm.ERET),
    )


def _guest(rig: Rig, *setup: list[int]) -> Controller:
    controller = ready(rig, 2)
    _install(rig)
    rig.code(_start(), *setup, rig.finish())
    rig.done()
    return controller


def _takes(one: Rig, *values: int, before: list[int] | None = None) -> None:
    one.code(before or [], irq.TAKE, one.finish())
    for value in values:
        one.reports(f"GICC_IAR of vCPU {one.number}", value)
    one.done()


@case_for_each(
    "interrupts.v2.address",
    {"of-the-distributor": KVM_VGIC_V2_ADDR_TYPE_DIST, "of-the-cpu": KVM_VGIC_V2_ADDR_TYPE_CPU},
    "A GICv2's frame has an address that is a multiple of 4 KiB, within the machine's addresses, "
    "and is set once: {}.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig, kind: int) -> None:
    controller = Controller(rig, 2)
    for address, number in ((0x10000800, errno.EINVAL), (1 << 40, errno.E2BIG)):
        set_address = partial(controller.set_address, kind, address)
        rig.refused("KVM_SET_DEVICE_ATTR", set_address, number)
    controller.set_address(kind, 0x10001000)
    again = partial(controller.set_address, kind, 0x20000000)
    rig.refused("KVM_SET_DEVICE_ATTR", again, errno.EEXIST)
    rig.expect("the address", controller.address(kind), 0x10001000)


@case(
    "interrupts.v2.overlap",
    "With a distributor and a CPU interface that overlap, KVM_RUN is refused with EINVAL.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig, 2)
    controller.set_address(KVM_VGIC_V2_ADDR_TYPE_DIST, GICC + 0x1000)
    controller.set_address(KVM_VGIC_V2_ADDR_TYPE_CPU, GICC)
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run)


@case(
    "interrupts.v2.without-addresses",
    "With a GICv2 without addresses, KVM_RUN is refused with ENXIO.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig) -> None:
    Controller(rig, 2)
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run, errno.ENXIO)


@case(
    "interrupts.v2.initializes-itself",
    "A GICv2 need not be initialized: the first line or the first run does it.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_CTRL_INIT)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig, 2)
    controller.place()
    _install(rig)
    controller.line(_SPI, 1)
    rig.code(_start(), _enable(_SPI), irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    controller.line(_SPI, 0)
    rig.done()


@case(
    "interrupts.v2.eight-vcpus",
    "A machine with a GICv2 has at most eight vCPUs: the ninth is refused with EINVAL.",
    _DEVICE + "; KVM API 4.7 (KVM_CREATE_VCPU)",
)
def _(rig: Rig) -> None:
    Controller(rig, 2)
    for _ in range(7):
        rig.another_vcpu()
    rig.refused("KVM_CREATE_VCPU", partial(rig.machine.vm.create_vcpu, 8))


@case_for_each(
    "interrupts.v2.line",
    {"an-spi": _SPI, "a-ppi": _PPI},
    "The guest takes the interrupt of a line that is high, again after EOI, until it falls: {}.",
    _GICV2 + ", GICC_IAR, GICC_EOIR; KVM API 4.25 (KVM_IRQ_LINE)",
)
def _(rig: Rig, intid: int) -> None:
    controller = _guest(rig, _enable(intid))
    _takes(rig)
    controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    for _ in range(2):
        rig.reports("INTID", intid)
        rig.expect("active", controller.is_set(irq.ISACTIVER, intid), True)
    controller.line(intid, 0)
    rig.done()


@case(
    "interrupts.v2.edge",
    "An edge-triggered interrupt is taken once for a rising edge.",
    _GICV2 + ", GICD_ICFGR",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable(_SPI, edge=True))
    controller.line(_SPI, 1)
    _takes(rig, _SPI)
    controller.line(_SPI, 0)
    _takes(rig)


@case(
    "interrupts.v2.timer",
    "The guest takes the virtual timer's interrupt: 27.",
    "Arm ARM D11.2.4 (Generic Timer); " + _GICV2,
)
def _(rig: Rig) -> None:
    ready(rig, 2)
    _install(rig, asm.msr("CNTV_CTL_EL0", 31), asm.ISB)
    rig.code(_start(), _enable(27), rig.finish())
    rig.done()
    rig.code(
        *(asm.msr("CNTV_CVAL_EL0", 31), irq.set_icc("CNTV_CTL_EL0", 1), asm.mov(9, 20_000)),
        *(asm.daifclr(2), asm.label("wait"), asm.sub(9, 9, 1), asm.cbnz(9, "wait")),
        *(asm.daifset(2), rig.finish()),
    )
    rig.reports("INTID", 27)
    rig.done()


@case(
    "interrupts.v2.spurious",
    "With nothing pending, GICC_IAR and GICC_HPPIR read 1023, and GICC_RPR 0xFF.",
    _GICV2 + ", GICC_IAR, GICC_HPPIR, GICC_RPR",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable(_SPI, edge=True))
    look = [*irq.load(0, GICC + _HPPIR), *irq.load(1, GICC + _IAR), *irq.load(2, GICC + _RPR)]
    rig.code(look, rig.finish())
    rig.done()
    rig.expect("HPPIR, IAR, RPR", [rig.x(n) for n in range(3)], [1023, 1023, 0xFF])
    controller.line(_SPI, 1)
    rig.code(look, rig.finish())
    rig.done()
    rig.expect("HPPIR, IAR, RPR", [rig.x(n) for n in range(3)], [_SPI, _SPI, 0xA0])


@case_for_each(
    "interrupts.v2.sgi",
    {
        "to-the-other": (5 | 2 << 16, False, True),
        "to-both": (5 | 3 << 16, True, True),
        "to-all-others": (5 | 1 << 24, False, True),
        "to-itself": (5 | 2 << 24, True, False),
    },
    "GICD_SGIR sends an SGI by its target list or filter; GICC_IAR has the sender's number: {}.",
    _GICV2 + ", GICD_SGIR, GICC_IAR",
)
def _(rig: Rig, what: tuple[int, bool, bool]) -> None:
    value, here, there = what
    other = _two(rig)
    rig.code(irq.store(GICD + _SGIR, value), rig.finish())
    rig.done()
    _takes(rig, *[5] * here)
    _takes(other, *[5] * there)


def _two(rig: Rig) -> Rig:
    """A second vCPU; both have their CPU interfaces and SGIs enabled."""
    other = rig.another_vcpu()
    ready(rig, 2)
    other.set_reg("VBAR_EL1", _install(rig).address)
    for one in (rig, other):
        one.code(_start(), irq.store(GICD + irq.ISENABLER, 0xFFFF), one.finish())
        one.done()
    return other


@case(
    "interrupts.v2.sgi-of-each-sender",
    "The same SGI of two senders is taken once for each, with the sender's number in GICC_IAR.",
    _GICV2 + ", 3.2.2 and GICC_IAR.CPUID",
)
def _(rig: Rig) -> None:
    other = _two(rig)
    for one in (rig, other):
        one.code(irq.store(GICD + _SGIR, 5 | 1 << 16), one.finish())
        one.done()
    rig.code(irq.TAKE, rig.finish())
    seen = sorted(rig.reports("GICC_IAR") for _ in range(2))
    rig.expect("GICC_IAR", seen, [5, 5 | 1 << 10])
    rig.done()
    _takes(other)


@case(
    "interrupts.v2.targets",
    "An SPI is taken by the vCPU that GICD_ITARGETSR names.",
    _GICV2 + ", GICD_ITARGETSR",
)
def _(rig: Rig) -> None:
    other = _two(rig)
    rig.code(_enable(_SPI, targets=2), _enable(_OTHER, targets=1), rig.finish())
    rig.done()
    both = irq.store(GICD + irq.ISPENDR + 4, 3 << _SPI - 32)
    rig.code(both, irq.load(0, GICD + _ITARGETSR), rig.finish(0))
    rig.expect("GICD_ITARGETSR0", rig.done(), 0x01010101)
    _takes(rig, _OTHER)
    _takes(other, _SPI)


@case(
    "interrupts.v2.priorities",
    "Twenty pending interrupts, more than there are list registers, come in the order of their "
    "priorities.",
    _GICV2 + ", 3.3 (interrupt prioritization)",
)
def _(rig: Rig) -> None:
    priorities = {_SPI + n: (n * 7 % 20 + 4) << 3 for n in range(20)}
    setup = [word for n, p in priorities.items() for word in _enable(n, p, edge=True)]
    controller = _guest(rig, setup)
    for intid in priorities:
        controller.line(intid, 1)
    _takes(rig, *sorted(priorities, key=lambda intid: priorities[intid]))


@case(
    "interrupts.v2.mask",
    "GICC_PMR masks interrupts whose priority is not higher.",
    _GICV2 + ", GICC_PMR",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable(_SPI, 0xA0, edge=True))
    controller.line(_SPI, 1)
    _takes(rig, before=irq.store(GICC + _PMR, 0xA0))
    _takes(rig, _SPI, before=irq.store(GICC + _PMR, 0xA8))


@case(
    "interrupts.v2.eoi-mode-1",
    "With GICC_CTLR.EOImode, GICC_EOIR drops the priority alone, and GICC_DIR deactivates.",
    _GICV2 + ", GICC_CTLR, GICC_DIR",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable(_SPI, edge=True))
    rig.code(irq.store(GICC + _CTLR, 1 | 1 << 9), rig.finish())
    rig.done()
    controller.line(_SPI, 1)
    _takes(rig, _SPI)
    rig.expect("active", controller.is_set(irq.ISACTIVER, _SPI), True)
    controller.line(_SPI, 0)
    controller.line(_SPI, 1)
    _takes(rig)
    _takes(rig, _SPI, before=irq.store(GICC + _DIR, _SPI))


@case(
    "interrupts.v2.attributes",
    "The attributes have what the guest has written to distributor and CPU interface.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _CPU_REGS)",
)
def _(rig: Rig) -> None:
    controller = _guest(rig, _enable(_SPI, 0x58, targets=1))
    rig.code(irq.store(GICC + _BPR, 5), rig.finish())
    rig.done()
    priorities = controller.distributor(irq.IPRIORITYR + _SPI)
    rig.expect("the SPI's priority", priorities & 0xFF, 0x58)
    rig.expect("the SPI is enabled", controller.is_set(irq.ISENABLER, _SPI), True)
    rig.expect("GICD_CTLR", controller.distributor(0), 1)
    rig.expect("GICC_CTLR", controller.gicc(_CTLR) & 1, 1)
    rig.expect("GICC_BPR", controller.gicc(_BPR), 5)
    # In this attribute the priority mask is shifted by the bits that it does not have.
    rig.expect("GICC_PMR", controller.gicc(_PMR), 0xF8 >> 3)


@case(
    "interrupts.v2.debug",
    "A step with an interrupt pending stops at the vector, a breakpoint in the handler stops "
    "there, and steps over accesses to GICC_IAR and GICC_EOIR stop after them.",
    "Arm ARM D2.12 (Software Step exceptions); KVM API 5, KVM_EXIT_DEBUG",
)
def _(rig: Rig) -> None:
    controller = ready(rig, 2)
    vectors = _install(rig)
    rig.code(_start(), _enable(_SPI, edge=True), rig.finish())
    rig.done()
    code = rig.code(asm.add(0, 0, 1), asm.add(0, 0, 1), rig.finish(0))
    rig.pstate = rig.pstate & ~(1 << 7)
    rig.debug(STEP)
    rig.steps(code.at(1))
    controller.line(_SPI, 1)
    rig.steps(vectors.address + irq.IRQ_EL1)
    rig.debug(USE_HW, [breakpoint(vectors["irq"])])
    rig.breaks(vectors["irq"])
    rig.debug(STEP)
    for n in range(1, 4):
        rig.steps(vectors["irq"] + 4 * n)
    rig.expect("INTID", rig.x(24), _SPI)
    rig.debug(0)
    rig.reports("INTID", _SPI)
    rig.done(value=2)
