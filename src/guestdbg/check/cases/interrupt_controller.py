"""The interrupt controller as a device: creating and configuring it, and its lines' numbers"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import Controller, device_type, ready
from guestdbg.check.layout import GICD, GICR, GICR_SIZE
from guestdbg.check.registry import case, case_for_each
from guestdbg.kvm.constants import (
    KVM_CREATE_DEVICE_TEST,
    KVM_DEV_ARM_VGIC_GRP_ADDR,
    KVM_DEV_ARM_VGIC_GRP_DIST_REGS,
    KVM_DEV_ARM_VGIC_GRP_NR_IRQS,
    KVM_VGIC_V2_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_DIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST,
    KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
)

if TYPE_CHECKING:
    from guestdbg.check.rig import Rig

_CREATE = "KVM API 4.79 (KVM_CREATE_DEVICE)"
_DEVICE = "KVM API, devices/arm-vgic-v3.rst"
_LINE = "KVM API 4.25 (KVM_IRQ_LINE)"


@case(
    "interrupts.create.twice",
    "A machine has one interrupt controller: creating a second one is refused with EEXIST.",
    _CREATE,
)
def _(rig: Rig) -> None:
    kind = device_type(rig, 3)
    Controller(rig)
    create = rig.machine.vm.create_device
    rig.refused("KVM_CREATE_DEVICE", partial(create, kind), errno.EEXIST)


@case(
    "interrupts.create.test-only",
    "KVM_CREATE_DEVICE_TEST creates nothing: afterwards the controller can be created.",
    _CREATE,
)
def _(rig: Rig) -> None:
    kind = device_type(rig, 3)
    for _ in range(2):
        rig.machine.vm.create_device(kind, KVM_CREATE_DEVICE_TEST)
    rig.code(rig.finish())
    controller = Controller(rig)
    create = rig.machine.vm.create_device
    rig.refused("KVM_CREATE_DEVICE", partial(create, kind), errno.EEXIST)
    controller.place()
    controller.initialize()
    rig.done()


@case_for_each(
    "interrupts.create.unknown-type",
    {"tested": KVM_CREATE_DEVICE_TEST, "created": 0},
    "A device type that does not exist is refused with ENODEV: {}.",
    _CREATE,
)
def _(rig: Rig, flags: int) -> None:
    device_type(rig, 3)
    create = rig.machine.vm.create_device
    rig.refused("KVM_CREATE_DEVICE", partial(create, 0x7FFF, flags), errno.ENODEV)


@case(
    "interrupts.create.after-a-run",
    "Once a vCPU has run, creating the interrupt controller is refused with EBUSY.",
    _CREATE + "; devices/arm-vgic-v3.rst",
)
def _(rig: Rig) -> None:
    kind = device_type(rig, 3)
    rig.code(rig.finish())
    rig.done()
    create = rig.machine.vm.create_device
    rig.refused("KVM_CREATE_DEVICE", partial(create, kind), errno.EBUSY)
    # Another machine, whose vCPU has not run, may have one.
    Controller(rig.another_machine())


@case(
    "interrupts.create.vcpu-after-initialization",
    "After KVM_DEV_ARM_VGIC_CTRL_INIT, creating a vCPU is refused with EBUSY; before, it is not.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_CTRL_INIT: after all vCPUs have been created)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.place()
    rig.another_vcpu()
    controller.initialize()
    create = rig.machine.vm.create_vcpu
    rig.refused("KVM_CREATE_VCPU", partial(create, 2), errno.EBUSY)


@case(
    "interrupts.initialize.twice",
    "KVM_DEV_ARM_VGIC_CTRL_INIT of an initialized controller succeeds, and changes nothing.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_CTRL_INIT)",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    controller.set_distributor(irq.ISENABLER + 4, 0xF0)
    controller.initialize()
    rig.expect("GICD_ISENABLER1", controller.distributor(irq.ISENABLER + 4), 0xF0)


@case(
    "interrupts.run.before-initialization",
    "With a GICv3 that is not initialized, KVM_RUN is refused with EBUSY.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_CTRL_INIT)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.place()
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run, errno.EBUSY)
    other = rig.another_machine()
    ready(other)
    other.code(other.finish())
    other.done()


@case_for_each(
    "interrupts.run.without-the-address",
    {
        "of-the-distributor": (KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR),
        "of-the-redistributors": (KVM_VGIC_V3_ADDR_TYPE_DIST, GICD),
    },
    "With a GICv3 without the address {}, KVM_RUN is refused with ENXIO.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig, given: tuple[int, int]) -> None:
    controller = Controller(rig)
    controller.set_address(*given)
    controller.initialize()
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run, errno.ENXIO)


@case(
    "interrupts.run.overlapping-frames",
    "With a distributor inside the frames of the redistributors, KVM_RUN is refused with EINVAL.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST, GICR)
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_DIST, GICR + 0x10000)
    controller.initialize()
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run, errno.EINVAL)


def _refused(
    rig: Rig, controller: Controller, kind: int, address: int, number: int = errno.EINVAL
) -> None:
    set_address = partial(controller.set_address, kind, address)
    rig.refused("KVM_SET_DEVICE_ATTR", set_address, number)


_FRAMES = {
    "distributor": KVM_VGIC_V3_ADDR_TYPE_DIST,
    "redistributors": KVM_VGIC_V3_ADDR_TYPE_REDIST,
}


@case_for_each(
    "interrupts.address.twice",
    _FRAMES,
    "A frame's address can be set once; again it is EEXIST, and the first address stays: {}.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig, kind: int) -> None:
    controller = Controller(rig)
    controller.set_address(kind, 0x10000000)
    _refused(rig, controller, kind, 0x20000000, errno.EEXIST)
    rig.expect("the address", controller.address(kind), 0x10000000)


@case_for_each(
    "interrupts.address.misaligned",
    _FRAMES,
    "A frame's address must be a multiple of 64 KiB, otherwise it is EINVAL: {}.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig, kind: int) -> None:
    controller = Controller(rig)
    for address in (0x10001000, 0x10008000):
        _refused(rig, controller, kind, address)
    controller.set_address(kind, 0x10010000)


@case_for_each(
    "interrupts.address.too-high",
    _FRAMES,
    "A frame must be within the machine's physical addresses, otherwise it is E2BIG: {}.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig, kind: int) -> None:
    controller = Controller(rig)
    _refused(rig, controller, kind, 1 << 50, errno.E2BIG)
    controller.set_address(kind, (1 << 40) - GICR_SIZE)


@case(
    "interrupts.address.overlap",
    "The redistributors must not overlap the distributor, otherwise it is EINVAL.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_DIST, GICD)
    _refused(rig, controller, KVM_VGIC_V3_ADDR_TYPE_REDIST, GICD - 0x10000)
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST, GICD - GICR_SIZE)


@case(
    "interrupts.address.of-a-gicv2",
    "The address of a GICv2's frame is refused with ENXIO on a GICv3.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_ADDR)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    _refused(rig, controller, KVM_VGIC_V2_ADDR_TYPE_DIST, GICD, errno.ENXIO)


def _region(count: int, base: int, index: int, flags: int = 0) -> int:
    return count << 52 | base | flags << 12 | index


@case(
    "interrupts.region.twice",
    "Regions of redistributors are numbered in order: the next number is accepted, another is "
    "EINVAL; the first one reads back.",
    _DEVICE + " (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    kind = KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
    first, second = _region(1, GICR, 0), _region(2, GICR + GICR_SIZE, 1)
    controller.set_address(kind, first)
    for wrong in (_region(1, 0x20000000, 0), _region(1, 0x20000000, 2)):
        _refused(rig, controller, kind, wrong)
    controller.set_address(kind, second)
    rig.expect("the first region", controller.address(kind), first)


@case_for_each(
    "interrupts.region.refused",
    {
        "without-redistributors": _region(0, GICR, 0),
        "with-flags": _region(1, GICR, 0, flags=1),
        "that-is-not-the-first": _region(1, GICR, 1),
    },
    "A region {} is refused with EINVAL.",
    _DEVICE + " (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)",
)
def _(rig: Rig, wrong: int) -> None:
    controller = Controller(rig)
    kind = KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION
    _refused(rig, controller, kind, wrong)
    controller.set_address(kind, _region(1, GICR, 0))


@case(
    "interrupts.region.and-a-single-address",
    "Regions and the single address of all redistributors exclude each other: EINVAL.",
    _DEVICE + " (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, _region(1, GICR, 0))
    _refused(rig, controller, KVM_VGIC_V3_ADDR_TYPE_REDIST, 0x20000000)


@case(
    "interrupts.region.a-redistributor-each",
    "The redistributors of two regions are where each region is: GICR_TYPER has their numbers.",
    _DEVICE + " (KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    rig.another_vcpu()
    controller.set_address(KVM_VGIC_V3_ADDR_TYPE_DIST, GICD)
    first, second = 0x09100000, 0x09200000
    for index, base in enumerate((first, second)):
        controller.set_address(KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, _region(1, base, index))
    controller.initialize()
    # Affinity in the upper half, Processor_Number in bits 23 to 8.
    for number, base in enumerate((first, second)):
        rig.code(irq.load(0, base + 8, "ldr"), rig.finish(0))
        typer = rig.done()
        rig.expect("the affinity", typer >> 32, number)
        rig.expect("Processor_Number", typer >> 8 & 0xFFFF, number)


@case_for_each(
    "interrupts.number.refused",
    {"32": 32, "63": 63, "100": 100, "1024": 1024, "1056": 1056},
    "{} is not a number of INTIDs: it is a multiple of 32 from 64 to 992, otherwise EINVAL.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_NR_IRQS)",
)
def _(rig: Rig, number: int) -> None:
    controller = Controller(rig)
    rig.refused("KVM_SET_DEVICE_ATTR", partial(controller.set_number_of_irqs, number))
    controller.set_number_of_irqs(96)


@case_for_each(
    "interrupts.number.accepted",
    {"64": 64, "96": 96, "992": 992},
    "With {} INTIDs, GICD_TYPER has that number, and KVM_IRQ_LINE accepts the last one and refuses "
    "the next.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_NR_IRQS); Arm ARM IHI 0069, GICD_TYPER.ITLinesNumber",
)
def _(rig: Rig, number: int) -> None:
    controller = Controller(rig)
    controller.set_number_of_irqs(number)
    controller.place()
    controller.initialize()
    rig.expect("NR_IRQS", controller.get(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0), number)
    rig.code(irq.load(0, GICD + irq.TYPER), rig.finish(0))
    rig.expect("ITLinesNumber", rig.done() & 0x1F, number // 32 - 1)
    controller.line(number - 1, 1)
    rig.refused("KVM_IRQ_LINE", partial(controller.line, number, 1))


@case(
    "interrupts.number.once",
    "The number of INTIDs can be set once, and not after initialization: EBUSY.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_NR_IRQS)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.set_number_of_irqs(96)
    rig.refused("KVM_SET_DEVICE_ATTR", partial(controller.set_number_of_irqs, 128), errno.EBUSY)
    other = ready(rig.another_machine())
    rig.refused("KVM_SET_DEVICE_ATTR", partial(other.set_number_of_irqs, 128), errno.EBUSY)


@case(
    "interrupts.number.default",
    "Without KVM_DEV_ARM_VGIC_GRP_NR_IRQS there are 256 INTIDs.",
    _DEVICE + " (KVM_DEV_ARM_VGIC_GRP_NR_IRQS)",
)
def _(rig: Rig) -> None:
    controller = ready(rig)
    rig.expect("NR_IRQS", controller.get(KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0), 256)


@case(
    "interrupts.attributes",
    "KVM_HAS_DEVICE_ATTR has the attributes of a GICv3, and no others.",
    "KVM API 4.81 (KVM_HAS_DEVICE_ATTR); devices/arm-vgic-v3.rst",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    has = controller.device.has_attr
    for group, attr, expected in (
        (KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, True),
        (KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, True),
        (KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION, True),
        (KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V2_ADDR_TYPE_DIST, False),
        (KVM_DEV_ARM_VGIC_GRP_ADDR, 99, False),
        (KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, True),
        (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, irq.CTLR, True),
        (KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x5000, False),
        (99, 0, False),
    ):
        rig.expect(f"attribute {attr:#x} of group {group}", has(group, attr), expected)


@case(
    "interrupts.line.before-initialization",
    "KVM_IRQ_LINE of a GICv3 that is not initialized is refused with EBUSY.",
    _LINE + "; devices/arm-vgic-v3.rst (KVM_DEV_ARM_VGIC_CTRL_INIT)",
)
def _(rig: Rig) -> None:
    controller = Controller(rig)
    controller.place()
    for intid in (20, 40):
        rig.refused("KVM_IRQ_LINE", partial(controller.line, intid, 1), errno.EBUSY)
    controller.initialize()
    for intid in (20, 40):
        controller.line(intid, 1)


@case_for_each(
    "interrupts.line.refused",
    {
        "an-sgi": 2 << 24 | 15,
        "an-spi-as-ppi": 2 << 24 | 32,
        "a-ppi-as-spi": 1 << 24 | 31,
        "a-ppi-of-no-vcpu": 2 << 24 | 1 << 16 | 20,
        "beyond-the-last": 1 << 24 | 256,
        "beyond-every-gic": 1 << 24 | 1020,
    },
    "KVM_IRQ_LINE refuses a number that cannot be a line with EINVAL: {}.",
    _LINE,
)
def _(rig: Rig, wrong: int) -> None:
    controller = ready(rig)
    rig.refused("KVM_IRQ_LINE", partial(rig.machine.vm.irq_line, wrong, 1))
    for right in (20, 255):
        controller.line(right, 1)


@case(
    "interrupts.line.of-the-vcpu",
    "With an interrupt controller, a vCPU's own IRQ and FIQ lines are refused with ENXIO.",
    _LINE + ": type 0 is for machines without an interrupt controller in the kernel",
)
def _(rig: Rig) -> None:
    rig.machine.vm.irq_line(0, 0)
    ready(rig)
    for number in (0, 1):
        rig.refused("KVM_IRQ_LINE", partial(rig.machine.vm.irq_line, number, 1), errno.ENXIO)


@case_for_each(
    "interrupts.line.without-a-controller",
    {"ppi": 2 << 24 | 20, "spi": 1 << 24 | 40},
    "Without an interrupt controller, the line of a {} is refused with ENXIO.",
    _LINE,
)
def _(rig: Rig, number: int) -> None:
    rig.refused("KVM_IRQ_LINE", partial(rig.machine.vm.irq_line, number, 1), errno.ENXIO)
