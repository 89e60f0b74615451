"""The interrupt controller's state, for snapshots."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final, NamedTuple

from guestdbg.kvm.soft.vgic.arm_vgic import (
    VGIC_NR_PRIVATE_IRQS,
    VgicCpu,
    VgicDist,
    VgicIrq,
)

_IRQ_FIELDS: Final = tuple(name for name in VgicIrq.__slots__ if name != "intid")
_irq_state = attrgetter(*_IRQ_FIELDS)
_CPU_FIELDS: Final = tuple(
    name
    for name in VgicCpu.__slots__
    if name not in ("ap_list", "index", "lr_irqs", "private_irqs")
)
_cpu_state = attrgetter(*_CPU_FIELDS)
#: What the machine's description fixes, or what is saved in another form.
_NOT_SAVED: Final = frozenset({"cpus", "lock", "model", "places", "spis"})


class VgicState(NamedTuple):
    """A copy of the state, which later changes do not reach.

    Attributes:
        model, initialized: which controller it was, and whether it had its interrupts.
        dist: the attributes of the distributor.
        spis: the state of each SPI.
        cpus: of each vCPU its attributes, the state of its private interrupts, and the INTIDs of
            its list and of its list registers.
    """

    model: int
    initialized: bool
    dist: dict[str, Any]
    spis: list[tuple[Any, ...]]
    cpus: list[tuple[tuple[Any, ...], list[tuple[Any, ...]], list[int], list[int]]]


def save(dist: VgicDist) -> VgicState:
    """Copy the state."""
    with dist.lock:
        return VgicState(
            dist.model,
            dist.initialized,
            {
                name: value.copy() if isinstance(value, list | dict) else value
                for name, value in vars(dist).items()
                if name not in _NOT_SAVED
            },
            [_irq_state(irq) for irq in dist.spis],
            [
                (
                    _cpu_state(cpu),
                    [_irq_state(irq) for irq in cpu.private_irqs],
                    [irq.intid for irq in cpu.ap_list],
                    [irq.intid for irq in cpu.lr_irqs],
                )
                for cpu in dist.cpus
            ],
        )


def restore(dist: VgicDist, state: VgicState) -> None:
    """Give the controller a state that it had since it was initialised."""
    with dist.lock:
        for name, value in state.dist.items():
            setattr(dist, name, value.copy() if isinstance(value, list | dict) else value)
        for irq, values in zip(dist.spis, state.spis, strict=True):
            _set_irq(irq, values)
        for cpu, (fields, private, queued, loaded) in zip(dist.cpus, state.cpus, strict=True):
            for name, value in zip(_CPU_FIELDS, fields, strict=True):
                setattr(cpu, name, value)
            for irq, values in zip(cpu.private_irqs, private, strict=True):
                _set_irq(irq, values)
            cpu.ap_list = [_irq(dist, cpu, intid) for intid in queued]
            cpu.lr_irqs = [_irq(dist, cpu, intid) for intid in loaded]


def _set_irq(irq: VgicIrq, values: tuple[Any, ...]) -> None:
    for name, value in zip(_IRQ_FIELDS, values, strict=True):
        setattr(irq, name, value)


def _irq(dist: VgicDist, cpu: VgicCpu, intid: int) -> VgicIrq:
    if intid < VGIC_NR_PRIVATE_IRQS:
        return cpu.private_irqs[intid]
    return dist.spis[intid - VGIC_NR_PRIVATE_IRQS]
