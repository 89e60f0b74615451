"""Interrupts of a machine that moves: register attributes, levels, and restoring them"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import Controller, ready
from guestdbg.check.layout import GICD
from guestdbg.check.registry import case, case_for_each
from guestdbg.kvm.constants import (
    KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO,
    KVM_DEV_ARM_VGIC_GRP_REDIST_REGS,
)

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_GROUPS = "KVM API, devices/arm-vgic-v3.rst (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, _REDIST_REGS)"
_SYSREGS = "KVM API, devices/arm-vgic-v3.rst (KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)"
_LEVELS = "KVM API, devices/arm-vgic-v3.rst (KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO)"
_SPI, _OTHER, _PPI = 40, 41, 20

#: The registers of the CPU interface that a migration moves, in the order to restore them.
_ICC = (
    *("ICC_SRE_EL1", "ICC_CTLR_EL1", "ICC_PMR_EL1", "ICC_BPR0_EL1", "ICC_BPR1_EL1"),
    *("ICC_AP0R0_EL1", "ICC_AP1R0_EL1", "ICC_IGRPEN0_EL1", "ICC_IGRPEN1_EL1"),
)
#: Offset and size of the banks of registers: those with a bit, two bits, or eight an interrupt.
_BANKS = (
    *((irq.IGROUPR, 1), (irq.ICFGR, 2), (irq.IPRIORITYR, 8)),
    *((irq.ISPENDR, 1), (irq.ISACTIVER, 1), (irq.ISENABLER, 1)),
)


@case_for_each(
    "interrupts.attribute.distributor",
    {
        "ctlr": (irq.CTLR, 2, 0x52),
        "isenabler": (irq.ISENABLER + 4, 0xF0F, 0xF0F),
        "igroupr": (irq.IGROUPR + 4, 0xFFFF, 0xFFFF),
        "ipriorityr": (irq.IPRIORITYR + 40, 0xFF80A018, 0xF880A018),
        "icfgr": (irq.ICFGR + 8, 0x88888888, 0x88888888),
        "irouter": (irq.IROUTER + 8 * _SPI, 0, 0),
        "isactiver": (irq.ISACTIVER + 4, 0x30, 0x30),
    },
    "A register of the distributor keeps what its attribute sets: {}.",
    _GROUPS,
)
def _(rig: Rig, what: tuple[int, int, int]) -> None:
    offset, value, kept = what
    controller = ready(rig)
    controller.set_distributor(offset, value)
    rig.expect("the attribute", controller.distributor(offset), kept)
    rig.code(irq.load(0, GICD + offset), rig.finish(0))
    rig.expect("the guest's register", rig.done(), kept)


@case(
    "interrupts.attribute.what-the-guest-wrote",
    "The attributes have what the guest has written to distributor, redistributor and CPU "
    "interface.",
    _GROUPS + "; _CPU_SYSREGS",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    rig.code(
        *(irq.start(0xB0), irq.enable(_SPI, 0x58, edge=True), irq.enable(_PPI, 0x60)),
        *(irq.set_icc("ICC_BPR1_EL1", 4), irq.set_icc("ICC_CTLR_EL1", 2), rig.finish()),
    )
    rig.done()
    priorities = controller.distributor(irq.IPRIORITYR + _SPI)
    rig.expect("the SPI's priority", priorities & 0xFF, 0x58)
    rig.expect("the SPI is enabled", controller.is_set(irq.ISENABLER, _SPI), True)
    rig.expect("the SPI's trigger", controller.distributor(irq.ICFGR + 8) >> 16 & 3, 2)
    private = controller.redistributor(irq.SGI_FRAME + irq.IPRIORITYR + _PPI)
    rig.expect("the PPI's priority", private & 0xFF, 0x60)
    rig.expect("the PPI is enabled", controller.is_set(irq.ISENABLER, _PPI), True)
    for name, value in (("ICC_PMR_EL1", 0xB0), ("ICC_BPR1_EL1", 4), ("ICC_IGRPEN1_EL1", 1)):
        rig.expect(name, controller.icc(name), value)
    rig.expect("ICC_CTLR_EL1.EOImode", controller.icc("ICC_CTLR_EL1") >> 1 & 1, 1)


@case(
    "interrupts.attribute.pending-is-the-latch",
    "GICD_ISPENDR as an attribute has no level-sensitive interrupt whose line is high: that is in "
    "the levels.",
    _GROUPS + "; " + _LEVELS,
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    rig.code(irq.start(), irq.enable(_SPI), irq.enable(_OTHER, edge=True), rig.finish())
    rig.done()
    for intid in (_SPI, _OTHER):
        controller.line(intid, 1)
    rig.expect("the latches", controller.distributor(irq.ISPENDR + 4), 1 << _OTHER - 32)
    # The line of an edge-triggered interrupt is no level for KVM.
    rig.expect("the levels", controller.levels(32), 1 << _SPI - 32)
    rig.code(irq.load(0, GICD + irq.ISPENDR + 4), rig.finish(0))
    rig.expect("what the guest reads", rig.done(), 3 << _SPI - 32)


@case_for_each(
    "interrupts.attribute.levels",
    {"spi": (_SPI, 32), "ppi": (_PPI, 0)},
    "A level that userspace sets by the attribute is the line's: the guest takes the {}.",
    _LEVELS,
)
def _(rig: Rig, what: tuple[int, int]) -> None:
    intid, first = what
    controller = ready(rig)
    irq.install(rig)
    rig.code(irq.start(), irq.enable(intid), irq.TAKE, rig.finish())
    rig.done()
    controller.set_levels(first, 1 << intid - first)
    rig.expect("the levels", controller.levels(first), 1 << intid - first)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", intid)
    controller.line(intid, 0)
    rig.done()
    rig.expect("the levels", controller.levels(first), 0)


@case_for_each(
    "interrupts.attribute.refused",
    {
        "no-such-vcpu": (KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 9 << 32, 4, errno.EINVAL),
        "no-such-system-register": (
            *(KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 0xC000, 8),
            errno.ENOENT,
        ),
        "level-of-no-32": (KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 33, 4, errno.EINVAL),
    },
    "An attribute that does not exist is refused: {}.",
    _GROUPS,
)
def _(rig: Rig, what: tuple[int, int, int, int]) -> None:
    group, attr, size, number = what
    controller = ready(rig)
    rig.refused("KVM_GET_DEVICE_ATTR", partial(controller.get, group, attr, size), number)


@case_for_each(
    "interrupts.attribute.reserved",
    {
        "of-the-distributor": (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x5000),
        "of-the-redistributor": (KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x5000),
    },
    "The attribute of a reserved register reads as zero, and ignores writes: {}.",
    _GROUPS,
)
def _(rig: Rig, what: tuple[int, int]) -> None:
    controller = ready(rig)
    controller.set(*what, 0xFFFFFFFF)
    rig.expect("the attribute", controller.get(*what), 0)


@case(
    "interrupts.attribute.before-initialization",
    "Before KVM_DEV_ARM_VGIC_CTRL_INIT, register attributes are refused with EBUSY.",
    _GROUPS,
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.place()
    rig.refused("KVM_GET_DEVICE_ATTR", partial(controller.distributor, irq.CTLR), errno.EBUSY)
    rig.refused("KVM_GET_DEVICE_ATTR", partial(controller.icc, "ICC_PMR_EL1"), errno.EBUSY)
    controller.initialize()
    controller.distributor(irq.CTLR)


@case(
    "interrupts.attribute.implementation",
    "GICD_IIDR accepts its own value, as a migration writes it; another product is EINVAL.",
    _GROUPS + ": GICD_IIDR",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    iidr = controller.distributor(irq.IIDR)
    controller.set_distributor(irq.IIDR, iidr)
    wrong = partial(controller.set_distributor, irq.IIDR, iidr ^ 1 << 24)
    rig.refused("KVM_SET_DEVICE_ATTR", wrong)
    rig.expect("GICD_IIDR", controller.distributor(irq.IIDR), iidr)


@case_for_each(
    "interrupts.attribute.icc",
    {
        "pmr": ("ICC_PMR_EL1", 0xA0),
        "bpr0": ("ICC_BPR0_EL1", 5),
        "bpr1": ("ICC_BPR1_EL1", 5),
        "igrpen1": ("ICC_IGRPEN1_EL1", 1),
        "ap1r0": ("ICC_AP1R0_EL1", 1 << 20),
    },
    "A register of the CPU interface keeps what its attribute sets, and the guest reads it: {}.",
    _SYSREGS,
)
def _(rig: Rig, what: tuple[str, int]) -> None:
    name, value = what
    controller = ready(rig)
    rig.code(rig.finish())
    rig.done()
    controller.set_icc(name, value)
    rig.expect(name, controller.icc(name), value)
    rig.code(asm.mrs(0, name), rig.finish(0))
    rig.expect(f"{name} in the guest", rig.done(), value)


@case(
    "interrupts.attribute.icc-group-0",
    "ICC_IGRPEN0_EL1 keeps what its attribute sets.",
    _SYSREGS,
)
def _(rig: Rig) -> None:
    # The guest does not run: Linux 7.2 in the lab does not get beyond its first instruction then.
    controller = ready(rig)
    rig.expect("ICC_IGRPEN0_EL1", controller.icc("ICC_IGRPEN0_EL1"), 0)
    controller.set_icc("ICC_IGRPEN0_EL1", 1)
    rig.expect("ICC_IGRPEN0_EL1", controller.icc("ICC_IGRPEN0_EL1"), 1)


@case(
    "interrupts.attribute.icc-control",
    "ICC_CTLR_EL1 accepts its own value; another number of priority bits is EINVAL.",
    _SYSREGS,
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    value = controller.icc("ICC_CTLR_EL1")
    controller.set_icc("ICC_CTLR_EL1", value | 2)
    rig.expect("ICC_CTLR_EL1", controller.icc("ICC_CTLR_EL1"), value | 2)
    # PRIbits says one more than the processor has.
    rig.refused(
        "KVM_SET_DEVICE_ATTR", partial(controller.set_icc, "ICC_CTLR_EL1", value + (1 << 8))
    )


def _move(rig: Rig, controller: Controller) -> tuple[Rig, Controller]:
    """A second machine with the state of the first: registers of the GIC and of the vCPU."""
    there = rig.another_machine()
    moved = ready(there)
    moved.set_distributor(irq.IIDR, controller.distributor(irq.IIDR))
    # First: KVM does not look for what is pending when GICD_CTLR enables the group.
    moved.set_distributor(irq.CTLR, controller.distributor(irq.CTLR))
    for offset, bits in _BANKS:
        for register in range(offset, offset + 4 * bits, 4):
            private = irq.SGI_FRAME + register
            if offset not in (irq.ICFGR,):
                moved.set_redistributor(private, controller.redistributor(private))
            spis = register + 4 * bits
            moved.set_distributor(spis, controller.distributor(spis))
    for first in (0, 32):
        moved.set_levels(first, controller.levels(first))
    for name in _ICC:
        moved.set_icc(name, controller.icc(name))
    for n in range(31):
        there.set_x(n, rig.x(n))
    for name in ("pc", "pstate", "elr_el1", "spsr[0]", "sp_el1"):
        there.set_core(name, rig.core(name))
    there.set_reg("VBAR_EL1", rig.reg("VBAR_EL1"))
    # The code is at the same addresses, if both machines have had the same programs.
    there.machine.write(0x40000000, rig.machine.read(0x40000000, 0x200000))
    return there, moved


@case(
    "interrupts.moved.pending",
    "What is pending when a machine moves is taken on the new one: an edge, a level, and a PPI.",
    _GROUPS + "; " + _LEVELS,
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    irq.install(rig)
    rig.code(
        *(irq.start(), irq.enable(_SPI, 0x80, edge=True), irq.enable(_OTHER, 0x90)),
        *(irq.enable(_PPI, 0xA0), irq.report(31), irq.TAKE, rig.finish()),
    )
    rig.reports("that it is set up")
    for intid in (_SPI, _OTHER, _PPI):
        controller.line(intid, 1)
    rig.complete()
    there, moved = _move(rig, controller)
    there.reports("INTID", _SPI)
    for intid in (_OTHER, _PPI):
        there.reports("INTID", intid)
        moved.line(intid, 0)
    there.done()


@case(
    "interrupts.moved.active",
    "An interrupt that is active when a machine moves is ended on the new one: its running "
    "priority, its active state, and the EOI.",
    _GROUPS + "; " + _SYSREGS + ": ICC_AP1R0_EL1",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    running = irq.report_icc("ICC_RPR_EL1")
    handler: list[asm.Item] = [*irq.acknowledge(25), *running, *irq.end(25), *running, asm.ERET]
    irq.install(rig, *handler)
    rig.code(irq.start(), irq.enable(_SPI, edge=True), irq.TAKE, rig.finish())
    controller.line(_SPI, 0)
    rig.done()
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    rig.complete()
    there, moved = _move(rig, controller)
    there.expect("active", moved.is_set(irq.ISACTIVER, _SPI), True)
    there.reports("ICC_RPR_EL1", irq.PRIORITY)
    there.reports("ICC_RPR_EL1 after EOI", 0xFF)
    there.done()
    there.expect("active", moved.is_set(irq.ISACTIVER, _SPI), False)
    moved.line(_SPI, 1)
    there.code(irq.TAKE, there.finish())
    there.reports("INTID", _SPI)


@case(
    "interrupts.vcpu-init",
    "KVM_ARM_VCPU_INIT leaves the interrupt controller as it is, with the vCPU's CPU interface: "
    "userspace resets it by its attributes.",
    "KVM API 4.82 (KVM_ARM_VCPU_INIT); " + _SYSREGS,
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    vectors = irq.install(rig)
    rig.code(irq.start(), irq.enable(_SPI, edge=True), rig.finish())
    rig.done()
    controller.line(_SPI, 1)
    for enabled in (1, 0):
        rig.reset()
        rig.set_reg("VBAR_EL1", vectors.address)
        if not enabled:
            controller.set_icc("ICC_IGRPEN1_EL1", 0)
            controller.line(_SPI, 1)
        rig.expect("ICC_IGRPEN1_EL1", controller.icc("ICC_IGRPEN1_EL1"), enabled)
        rig.code(irq.TAKE, rig.finish())
        if enabled:
            rig.reports("INTID", _SPI)
        rig.done()
