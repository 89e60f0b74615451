"""Interrupts between vCPUs: SGIs and their targets, routes of SPIs, PPIs, PSCI"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check import layout
from guestdbg.check.controller import ready
from guestdbg.check.layout import GICD
from guestdbg.check.registry import case, case_for_each
from guestdbg.kvm.constants import KVM_MP_STATE_STOPPED

if TYPE_CHECKING:
    from guestdbg.check.controller import Controller
    from guestdbg.check.rig import Rig

_SGI = "Arm ARM IHI 0069, ICC_SGI1R_EL1"
_ROUTE = "Arm ARM IHI 0069, GICD_IROUTER<n>"
_SPI, _PPI = 40, 20


def _sgi(intid: int, targets: int = 1, *, all_others: bool = False) -> int:
    """A value for ICC_SGI1R_EL1: these vCPUs of the first sixteen, or all but this one."""
    return intid << 24 | all_others << 40 | targets


def _both(rig: Rig, *setup: list[int]) -> tuple[Controller, Rig]:
    """Two vCPUs with the usual handler, both with the CPU interface and SGIs 0 to 15 enabled."""
    other = rig.another_vcpu()
    controller = ready(rig)
    handlers = irq.install(rig)
    other.set_reg("VBAR_EL1", handlers.address)
    for number, one in enumerate((rig, other)):
        sgis = irq.store(irq.frame(0, number) + irq.ISENABLER, 0xFFFF)
        one.code(irq.start(), sgis, rig.finish())
        one.done()
    rig.code(*setup, rig.finish())
    rig.done()
    return controller, other


def _takes(one: Rig, *intids: int) -> None:
    one.code(irq.TAKE, one.finish())
    for intid in intids:
        one.reports(f"INTID at vCPU {one.number}", intid)
    one.done()


def _send(rig: Rig, value: int, register: str = "ICC_SGI1R_EL1") -> None:
    rig.code(irq.set_icc(register, value), rig.finish())
    rig.done()


@case_for_each(
    "interrupts.sgi.to-itself",
    {"0": 0, "7": 7, "15": 15},
    "A vCPU takes the SGI that it sends to itself, once: SGI {}.",
    _SGI,
)
def _(rig: Rig, intid: int) -> None:
    _, other = _both(rig)
    rig.code(irq.set_icc("ICC_SGI1R_EL1", _sgi(intid, 1)), irq.TAKE, rig.finish())
    rig.reports("INTID", intid)
    rig.done()
    _takes(rig)
    _takes(other)


@case_for_each(
    "interrupts.sgi.targets",
    {
        "the-other": (_sgi(5, 2), False, True),
        "both": (_sgi(5, 3), True, True),
        "none": (_sgi(5, 0), False, False),
        "one-that-is-not-there": (_sgi(5, 1 << 7), False, False),
        "all-others": (_sgi(5, 0, all_others=True), False, True),
        "all-others-whatever-the-list": (_sgi(5, 1, all_others=True), False, True),
        "of-another-affinity": (_sgi(5, 3) | 1 << 16, False, False),
    },
    "An SGI goes to the vCPUs of its target list, or to all others: {}.",
    _SGI,
)
def _(rig: Rig, what: tuple[int, bool, bool]) -> None:
    value, here, there = what
    _, other = _both(rig)
    _send(rig, _sgi(6, 3))
    _takes(rig, 6)
    _takes(other, 6)
    _send(rig, value)
    _takes(rig, *[5] * here)
    _takes(other, *[5] * there)


@case(
    "interrupts.sgi.from-several",
    "An SGI that two vCPUs send before it is taken is pending once.",
    _SGI + "; 4.1 (an interrupt that is pending already)",
)
def _(rig: Rig) -> None:
    _, other = _both(rig)
    _send(rig, _sgi(3, 2))
    _send(other, _sgi(3, 2))
    _send(rig, _sgi(4, 2))
    other.code(irq.TAKE, other.finish())
    seen = sorted(other.reports("INTID") for _ in range(2))
    rig.expect("the SGIs", seen, [3, 4])
    other.done()


@case_for_each(
    "interrupts.sgi.group",
    {"sgi0r": ("ICC_SGI0R_EL1", False), "sgi1r": ("ICC_SGI1R_EL1", True)},
    "An SGI of Group 1 is sent by ICC_SGI1R_EL1, not by ICC_SGI0R_EL1: {}.",
    "Arm ARM IHI 0069, ICC_SGI0R_EL1, ICC_SGI1R_EL1",
)
def _(rig: Rig, what: tuple[str, bool]) -> None:
    register, arrives = what
    _, other = _both(rig)
    _send(rig, _sgi(6, 2))
    _takes(other, 6)
    _send(rig, _sgi(5, 2), register)
    _takes(other, *[5] * arrives)


@case(
    "interrupts.sgi.own-enables",
    "Each vCPU enables its own private interrupts: an SGI is taken where it is enabled, and "
    "waits where it is not.",
    "Arm ARM IHI 0069, GICR_ISENABLER0, GICR_ICENABLER0",
)
def _(rig: Rig) -> None:
    _, other = _both(rig, irq.bit(irq.ICENABLER, 5, vcpu=1))
    _send(rig, _sgi(5, 3))
    _takes(rig, 5)
    _takes(other)
    rig.code(irq.bit(irq.ISENABLER, 5, vcpu=1), rig.finish())
    rig.done()
    _takes(other, 5)


@case(
    "interrupts.ppi.own-line",
    "The line of a PPI is a vCPU's own: the other vCPU does not take it.",
    "KVM API 4.25 (KVM_IRQ_LINE, type 2)",
)
def _(rig: Rig) -> None:
    controller, other = _both(rig, irq.enable(_PPI), irq.enable(_PPI, vcpu=1))
    for number, (here, there) in enumerate(((rig, other), (other, rig))):
        controller.line(_PPI, 1, vcpu=number)
        _takes(there)
        here.code(irq.TAKE, here.finish())
        here.reports("INTID", _PPI)
        controller.line(_PPI, 0, vcpu=number)
        here.done()


@case(
    "interrupts.route",
    "An SPI is taken by the vCPU that GICD_IROUTER names: vCPU 0 after reset.",
    _ROUTE,
)
def _(rig: Rig) -> None:
    controller, other = _both(rig, irq.enable(_SPI, edge=True))
    controller.line(_SPI, 1)
    _takes(other)
    _takes(rig, _SPI)
    route = irq.store(GICD + irq.IROUTER + 8 * _SPI, 1, "str")
    rig.code(route, rig.finish())
    rig.done()
    controller.line(_SPI, 0)
    controller.line(_SPI, 1)
    _takes(rig)
    _takes(other, _SPI)


@case(
    "interrupts.route.while-pending",
    "An SPI that is pending moves to the vCPU that GICD_IROUTER names now.",
    _ROUTE,
)
def _(rig: Rig) -> None:
    controller, other = _both(rig, irq.enable(_SPI))
    for number, (here, there) in ((1, (other, rig)), (0, (rig, other))):
        controller.line(_SPI, 1)
        rig.code(irq.store(GICD + irq.IROUTER + 8 * _SPI, number, "str"), rig.finish())
        rig.done()
        _takes(there)
        here.code(irq.TAKE, here.finish())
        here.reports("INTID", _SPI)
        controller.line(_SPI, 0)
        here.done()


@case(
    "interrupts.route.nowhere",
    "An SPI whose route names no vCPU is taken by none, until it has another route.",
    _ROUTE,
)
def _(rig: Rig) -> None:
    controller, other = _both(rig, irq.enable(_SPI))
    controller.line(_SPI, 1)
    rig.code(irq.store(GICD + irq.IROUTER + 8 * _SPI, 9, "str"), rig.finish())
    rig.done()
    _takes(rig)
    _takes(other)
    rig.code(irq.store(GICD + irq.IROUTER + 8 * _SPI, 1, "str"), rig.finish())
    rig.done()
    # KVM looks where an interrupt goes when it becomes pending.
    controller.line(_SPI, 0)
    controller.line(_SPI, 1)
    other.code(irq.TAKE, other.finish())
    other.reports("INTID", _SPI)
    controller.line(_SPI, 0)
    other.done()


@case(
    "interrupts.redistributors",
    "There is a redistributor for each vCPU, in order; GICR_TYPER has its affinity and number, and "
    "the last one says so.",
    "Arm ARM IHI 0069, GICR_TYPER",
)
def _(rig: Rig) -> None:
    other = rig.another_vcpu()
    ready(rig)
    for number, one in enumerate((rig, other)):
        typer = irq.frame(0, number) - irq.SGI_FRAME + 8
        rig.code(irq.load(0, typer, "ldr"), rig.finish(0))
        value = rig.done()
        rig.expect("the affinity", value >> 32, one.reg("MPIDR_EL1") & 0xFFFFFF)
        rig.expect("Processor_Number", value >> 8 & 0xFFFF, number)
        rig.expect("Last", value >> 4 & 1, number)


@case(
    "interrupts.eoi.own-interrupts",
    "An interrupt that is active on one vCPU does not keep the other from its own.",
    "Arm ARM IHI 0069, 4.1 (interrupt handling)",
)
def _(rig: Rig) -> None:
    controller, other = _both(rig, irq.enable(_SPI, edge=True))
    controller.line(_SPI, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", _SPI)
    _send(other, _sgi(5, 2))
    _takes(other, 5)
    rig.expect("the SPI is active", controller.is_set(irq.ISACTIVER, _SPI), True)
    rig.done()


_CPU_ON = 0xC4000003


@case(
    "interrupts.psci.cpu-on",
    "A vCPU that PSCI CPU_ON has started takes the SGI that was sent to it.",
    _SGI + "; KVM API 4.82 (KVM_ARM_VCPU_PSCI_0_2)",
)
def _(rig: Rig) -> None:
    other = rig.another_vcpu()
    other.vcpu.set_mp_state(KVM_MP_STATE_STOPPED)
    ready(rig)
    handlers = irq.install(rig)
    enable = irq.store(irq.frame(0, 1) + irq.ISENABLER, 0xFFFF)
    entry = rig.machine.program(
        # x0 is the context id. The MMU is off.
        *(asm.add_reg(1, 0, 31), *_mmu_on(handlers.address)),
        *(irq.start(), enable, irq.report(1), irq.TAKE, rig.finish()),
    )
    mpidr = other.reg("MPIDR_EL1") & 0xFFFFFF
    rig.code(
        *(asm.mov(0, _CPU_ON), asm.mov(1, mpidr), asm.mov(2, entry.address), asm.mov(3, 0x1234)),
        *(asm.hvc(), irq.set_icc("ICC_SGI1R_EL1", _sgi(5, 2)), rig.finish(0)),
    )
    rig.done(value=0)
    other.reports("the context id", 0x1234)
    other.reports("INTID", 5)
    other.done()


def _mmu_on(vectors: int) -> list[int]:
    """What ``Rig.reset`` sets, by the guest."""
    words: list[int] = []
    for name, value in (
        ("MAIR_EL1", layout.MAIR),
        ("TCR_EL1", layout.TCR),
        ("TTBR0_EL1", layout.TABLES),
        ("VBAR_EL1", vectors),
        ("SCTLR_EL1", layout.SCTLR),
    ):
        words += irq.set_icc(name, value)
    return words
