"""The timers' interrupts: virtual and physical timer, masked, as a level, and out of WFI"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING

from guestdbg.check import assembler as asm
from guestdbg.check import interrupt_code as irq
from guestdbg.check.controller import ready
from guestdbg.check.registry import case, case_for_each
from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_TIMER_CTRL,
    KVM_ARM_VCPU_TIMER_IRQ_PTIMER,
    KVM_ARM_VCPU_TIMER_IRQ_VTIMER,
)
from guestdbg.kvm.regs import sys_reg

if TYPE_CHECKING:
    from guestdbg.check.controller import Controller
    from guestdbg.check.rig import Rig

_TIMER = "Arm ARM D11.2.4 (Generic Timer: timers and their conditions)"
_ATTRIBUTES = "KVM API, devices/vcpu.rst (KVM_ARM_VCPU_TIMER_CTRL)"
_ENABLE, _IMASK, _ISTATUS = 1, 2, 4
#: Timer -> default INTID.
_TIMERS = {"virtual": ("CNTV", 27), "physical": ("CNTP", 30)}


def _guest(rig: Rig, *handler: asm.Item, vtimer: int = 27, ptimer: int = 30) -> Controller:
    """A guest that has enabled the timers' interrupts. The handler disables both timers."""
    controller = ready(rig)
    _install(rig, *handler)
    rig.code(irq.start(), irq.enable(vtimer), irq.enable(ptimer), rig.finish())
    rig.done()
    return controller


def _install(rig: Rig, *handler: asm.Item) -> None:
    disable = [asm.msr("CNTV_CTL_EL0", 31), asm.msr("CNTP_CTL_EL0", 31), asm.ISB]
    usual: list[asm.Item] = [*irq.acknowledge(), *disable, *irq.end(), asm.ERET]
    irq.install(rig, *(handler or usual))


def _expired(name: str, control: int = _ENABLE) -> list[int]:
    """The timer's condition is met: its compare value is 0."""
    return asm.flat(asm.msr(f"{name}_CVAL_EL0", 31), irq.set_icc(f"{name}_CTL_EL0", control))


def _wait(label: str) -> list[asm.Item]:
    """Some time with interrupts unmasked: a timer's interrupt comes a little later."""
    return [
        *(asm.mov(9, 20_000), asm.daifclr(2), asm.label(label)),
        *(asm.sub(9, 9, 1), asm.cbnz(9, label), asm.daifset(2), asm.ISB),
    ]


@case_for_each(
    "interrupts.timer.taken",
    _TIMERS,
    "The guest takes the interrupt of the {} timer, with its usual number.",
    _TIMER + "; KVM API, devices/vcpu.rst: 27 and 30 are the defaults",
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(rig)
    rig.code(*_wait("before"), irq.report(31), _expired(name), *_wait("after"), rig.finish())
    rig.reports("that nothing was taken", 0)
    rig.reports("INTID", intid)
    rig.done()


@case_for_each(
    "interrupts.timer.masked",
    _TIMERS,
    "With IMASK, the {} timer's condition is shown by ISTATUS, but it raises no interrupt.",
    _TIMER,
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(rig)
    rig.code(_expired(name), *_wait("a"), rig.finish())
    rig.reports("INTID", intid)
    rig.done()
    rig.code(
        *(_expired(name, _ENABLE | _IMASK), *_wait("a")),
        *(asm.mrs(0, f"{name}_CTL_EL0"), rig.finish(0)),
    )
    rig.done(value=_ENABLE | _IMASK | _ISTATUS)


@case_for_each(
    "interrupts.timer.unmasked-later",
    _TIMERS,
    "When IMASK is cleared, the interrupt of the {} timer, whose condition is still met, is taken.",
    _TIMER,
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(rig)
    rig.code(
        *(_expired(name, _ENABLE | _IMASK), *_wait("a"), irq.report(31)),
        *(irq.set_icc(f"{name}_CTL_EL0", _ENABLE), *_wait("b"), rig.finish()),
    )
    rig.reports("that nothing was taken", 0)
    rig.reports("INTID", intid)
    rig.done()


@case_for_each(
    "interrupts.timer.disabled",
    _TIMERS,
    "A {} timer that is disabled raises no interrupt, whatever its compare value.",
    _TIMER,
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(rig)
    rig.code(
        *(_expired(name, 0), *_wait("a"), irq.report(31)),
        *(_expired(name), *_wait("b"), rig.finish()),
    )
    rig.reports("that nothing was taken", 0)
    rig.reports("INTID", intid)
    rig.done()


@case_for_each(
    "interrupts.timer.is-a-level",
    _TIMERS,
    "The {} timer's interrupt is taken again after each EOI, until its condition is no longer met.",
    _TIMER + ": the output is level-sensitive",
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(
        rig,
        irq.acknowledge(),
        *(asm.sub(20, 20, 1), asm.cbnz(20, "end"), asm.msr(f"{name}_CTL_EL0", 31), asm.ISB),
        *(asm.label("end"), irq.end(), asm.ERET),
    )
    rig.set_x(20, 4)
    rig.code(_expired(name), *_wait("a"), rig.finish())
    for _ in range(4):
        rig.reports("INTID", intid)
    rig.done()


@case_for_each(
    "interrupts.timer.gone-before-it-is-taken",
    _TIMERS,
    "The {} timer's condition ends while the guest masks interrupts: after an exit, none is taken.",
    _TIMER + ": the output is level-sensitive",
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    _guest(rig)
    for gone in (False, True):
        rig.code(
            *(_expired(name), irq.report(31)),
            *(asm.msr(f"{name}_CTL_EL0", 31) if gone else asm.NOP, asm.ISB, irq.report(31)),
            *(*_wait("a"), rig.finish()),
        )
        rig.reports("that it is pending")
        rig.reports("that it is not any longer")
        if not gone:
            rig.reports("INTID", intid)
        rig.done()


@case_for_each(
    "interrupts.timer.out-of-wfi",
    _TIMERS,
    "WFI waits for the {} timer: its interrupt is taken when the time has come, not earlier.",
    _TIMER + "; Arm ARM D1.16.2 (Wait For Interrupt)",
)
def _(rig: Rig, timer: tuple[str, int]) -> None:
    name, intid = timer
    counter = "CNTVCT_EL0" if name == "CNTV" else "CNTPCT_EL0"
    # The handler returns to the end of the loop: it may be before the WFI when it comes.
    handler: list[asm.Item] = [asm.ISB, asm.mrs(21, counter), *irq.acknowledge()]
    disable = [asm.msr(f"{name}_CTL_EL0", 31), asm.msr("ELR_EL1", 20)]
    _guest(rig, *handler, *disable, asm.ISB, *irq.end(), asm.ERET)
    code = rig.code(
        *(asm.mov(0, 500_000), asm.msr(f"{name}_TVAL_EL0", 0), asm.mrs(22, f"{name}_CVAL_EL0")),
        *(irq.set_icc(f"{name}_CTL_EL0", _ENABLE), asm.daifclr(2)),
        *(asm.label("wait"), asm.WFI, asm.b("wait")),
        *(asm.label("end"), asm.daifset(2), rig.finish()),
    )
    rig.set_x(20, code["end"])
    rig.reports("INTID", intid)
    rig.expect("the time has come", rig.x(21) >= rig.x(22), True)
    rig.done()


@case(
    "interrupts.timer.wfi-while-masked",
    "WFI with interrupts masked ends for the timer, too, and nothing is taken.",
    _TIMER + "; Arm ARM D1.16.2 (Wait For Interrupt)",
)
def _(rig: Rig) -> None:
    _guest(rig)
    rig.code(
        *(asm.mov(0, 500_000), asm.msr("CNTV_TVAL_EL0", 0)),
        *(irq.set_icc("CNTV_CTL_EL0", _ENABLE), asm.label("wait"), asm.WFI),
        *(asm.mrs(0, "CNTV_CTL_EL0"), asm.tbz(0, 2, "wait"), irq.report(0)),
        *(*_wait("a"), rig.finish()),
    )
    rig.reports("CNTV_CTL_EL0", _ENABLE | _ISTATUS)
    rig.reports("INTID", 27)
    rig.done()


@case(
    "interrupts.timer.both",
    "Both timers at once: each has its own interrupt, and both are taken.",
    _TIMER,
)
def _(rig: Rig) -> None:
    _guest(
        rig,
        irq.acknowledge(),
        *(asm.cmp(24, 27), asm.b_cond("eq", "virtual")),
        *(asm.msr("CNTP_CTL_EL0", 31), asm.b("end"), asm.label("virtual")),
        *(asm.msr("CNTV_CTL_EL0", 31), asm.label("end"), asm.ISB, irq.end(), asm.ERET),
    )
    rig.code(_expired("CNTV"), _expired("CNTP"), *_wait("a"), rig.finish())
    seen = sorted(rig.reports("INTID") for _ in range(2))
    rig.expect("the interrupts", seen, [27, 30])
    rig.done()


@case(
    "interrupts.timer.set-by-userspace",
    "A timer that userspace sets by one-reg access raises its interrupt at the next run.",
    "KVM API 4.68 (KVM_SET_ONE_REG: the timer's registers)",
)
def _(rig: Rig) -> None:
    _guest(rig)
    rig.code(*_wait("a"), rig.finish())
    rig.done()
    rig.vcpu.set_one_reg(_CVAL, 0)
    rig.vcpu.set_one_reg(sys_reg("CNTV_CTL_EL0"), _ENABLE)
    rig.code(*_wait("a"), rig.finish())
    rig.reports("INTID", 27)
    rig.done()


#: The id of the virtual timer's compare value has CNTVCT_EL0's encoding (KVM API 4.68).
_CVAL = sys_reg("CNTVCT_EL0")
_PPIS = {
    "virtual": KVM_ARM_VCPU_TIMER_IRQ_VTIMER,
    "physical": KVM_ARM_VCPU_TIMER_IRQ_PTIMER,
}


def _set_ppi(rig: Rig, attr: int, intid: int) -> None:
    rig.vcpu.set_device_attr(KVM_ARM_VCPU_TIMER_CTRL, attr, intid.to_bytes(4, "little"))


def _ppi(rig: Rig, attr: int) -> int:
    return int.from_bytes(rig.vcpu.get_device_attr(KVM_ARM_VCPU_TIMER_CTRL, attr, 4), "little")


@case_for_each(
    "interrupts.timer-ppi.chosen",
    _PPIS,
    "The {} timer has the PPI that userspace chooses, for all vCPUs.",
    _ATTRIBUTES,
)
def _(rig: Rig, attr: int) -> None:
    other = rig.another_vcpu()
    rig.expect("the default", _ppi(rig, attr), 27 if attr == 0 else 30)
    ready(rig)
    _set_ppi(rig, attr, 20)
    rig.expect("the PPI", _ppi(rig, attr), 20)
    rig.expect("the other vCPU's", _ppi(other, attr), 20)
    _install(rig)
    rig.code(irq.start(), irq.enable(20), rig.finish())
    rig.done()
    rig.code(_expired("CNTV" if attr == 0 else "CNTP"), *_wait("a"), rig.finish())
    rig.reports("INTID", 20)
    rig.done()


@case_for_each(
    "interrupts.timer-ppi.refused",
    {"an-sgi": 15, "an-spi": 32},
    "A timer's interrupt must be a PPI, otherwise it is EINVAL: {}.",
    _ATTRIBUTES,
)
def _(rig: Rig, intid: int) -> None:
    ready(rig)
    for attr in _PPIS.values():
        rig.refused("KVM_SET_DEVICE_ATTR", partial(_set_ppi, rig, attr, intid))
        _set_ppi(rig, attr, 20 + attr)


@case(
    "interrupts.timer-ppi.without-a-controller",
    "Without an interrupt controller, a timer's PPI cannot be chosen: EINVAL.",
    _ATTRIBUTES,
)
def _(rig: Rig) -> None:
    other = rig.another_machine()
    ready(other)
    _set_ppi(other, 0, 20)
    rig.refused("KVM_SET_DEVICE_ATTR", partial(_set_ppi, rig, 0, 20))


@case(
    "interrupts.timer-ppi.after-a-run",
    "Once the vCPU has run, its timers' PPIs cannot be changed: EBUSY.",
    _ATTRIBUTES,
)
def _(rig: Rig) -> None:
    ready(rig)
    _set_ppi(rig, 0, 20)
    rig.code(rig.finish())
    rig.done()
    rig.refused("KVM_SET_DEVICE_ATTR", partial(_set_ppi, rig, 0, 21), errno.EBUSY)


@case(
    "interrupts.timer-ppi.the-same-twice",
    "With the same PPI for both timers, KVM_RUN is refused with EINVAL.",
    _ATTRIBUTES,
)
def _(rig: Rig) -> None:
    ready(rig)
    for attr in _PPIS.values():
        _set_ppi(rig, attr, 20)
    rig.code(rig.finish())
    rig.refused("KVM_RUN", rig.run)


@case(
    "interrupts.timer-ppi.of-userspace",
    "KVM_IRQ_LINE on a timer's PPI changes nothing: the line belongs to the timer.",
    "KVM API 4.25 (KVM_IRQ_LINE); " + _ATTRIBUTES,
)
def _(rig: Rig) -> None:
    controller = _guest(rig)
    rig.code(irq.enable(20), rig.finish())
    rig.done()
    for intid in (27, 20):
        controller.line(intid, 1)
    rig.code(irq.TAKE, rig.finish())
    rig.reports("INTID", 20)
    controller.line(20, 0)
    rig.done()
