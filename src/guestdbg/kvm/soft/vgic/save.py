"""The interrupt controller's state, for snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from guestdbg.container.values import conforms
from guestdbg.kvm.soft.vgic import vgic_mmio_v2, vgic_mmio_v3
from guestdbg.kvm.soft.vgic.arm_vgic import (
    VGIC_NR_LR,
    VGIC_NR_PRIVATE_IRQS,
    Frame,
    RedistRegion,
    VgicCpu,
    VgicIrq,
)

if TYPE_CHECKING:
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicDist,
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
_NOT_SAVED: Final = frozenset(
    {"cpus", "lock", "model", "places", "spis", "touched", "unchanged_since"}
)


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


def take(dist: VgicDist, before: VgicState | None) -> VgicState:
    """The state, as one from which a restore finds what has changed. It shares with ``before`` what
    is as it was then."""
    with dist.lock:
        state = save(dist)
        if before is not None:
            state = sharing(state, before)
        _begin(dist, state)
    return state


def _begin(dist: VgicDist, state: VgicState) -> None:
    """The controller is in this state now."""
    dist.unchanged_since = state
    dist.touched.clear()
    # These are changed without asking for them by number.
    for cpu in dist.cpus:
        dist.touched.update(cpu.ap_list, cpu.lr_irqs)


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


def sharing(state: VgicState, before: VgicState) -> VgicState:
    """The same state, with the interrupts that are as they were in ``before`` taken from there."""
    if len(state.spis) != len(before.spis) or len(state.cpus) != len(before.cpus):
        return state
    return state._replace(
        spis=_sharing(state.spis, before.spis),
        cpus=[
            (fields, _sharing(private, known), queued, loaded)
            for (fields, private, queued, loaded), (_, known, _, _) in zip(
                state.cpus, before.cpus, strict=True
            )
        ],
    )


def _sharing(irqs: list[tuple[Any, ...]], before: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    # Most interrupts are never used.
    if irqs == before:
        return before
    return [was if was == irq else irq for irq, was in zip(irqs, before, strict=True)]


def restore(dist: VgicDist, state: VgicState) -> None:
    """Give the controller a state that it had since it was initialised."""
    with dist.lock:
        present = vars(dist)
        for name, value in state.dist.items():
            if present[name] != value:
                setattr(dist, name, value.copy() if isinstance(value, list | dict) else value)
        touched = dist.touched if dist.unchanged_since is state else None
        _restore_irqs(dist.spis, state.spis, touched)
        for cpu, (fields, private, queued, loaded) in zip(dist.cpus, state.cpus, strict=True):
            if _cpu_state(cpu) != fields:
                for name, value in zip(_CPU_FIELDS, fields, strict=True):
                    setattr(cpu, name, value)
            _restore_irqs(cpu.private_irqs, private, touched)
            if queued or cpu.ap_list:
                cpu.ap_list = [_irq(dist, cpu, intid) for intid in queued]
            if loaded or cpu.lr_irqs:
                cpu.lr_irqs = [_irq(dist, cpu, intid) for intid in loaded]
        _begin(dist, state)


def _restore_irqs(
    irqs: list[VgicIrq], states: list[tuple[Any, ...]], touched: set[VgicIrq] | None
) -> None:
    """Restore interrupts; ``touched``: only these may have changed."""
    if touched is None:
        for irq, values in zip(irqs, states, strict=True):
            _set_irq(irq, values)
        return
    first = irqs[0].intid if irqs else 0
    for irq in touched:
        place = irq.intid - first
        if 0 <= place < len(irqs) and irqs[place] is irq:
            _set_irq(irq, states[place])


def _set_irq(irq: VgicIrq, values: tuple[Any, ...]) -> None:
    for name, value in zip(_IRQ_FIELDS, values, strict=True):
        setattr(irq, name, value)


def _irq(dist: VgicDist, cpu: VgicCpu, intid: int) -> VgicIrq:
    if intid < VGIC_NR_PRIVATE_IRQS:
        return cpu.private_irqs[intid]
    return dist.spis[intid - VGIC_NR_PRIVATE_IRQS]


# ---- for files ----------------------------------------------------------------------------------

#: The register tables of frames, which are named in files.
_TABLES: Final = {
    "GICv2 distributor": vgic_mmio_v2.DIST_REGISTERS,
    "GICv3 distributor": vgic_mmio_v3.DIST_REGISTERS,
    "GICv3 redistributor": vgic_mmio_v3.REDIST_REGISTERS,
}

#: The attributes of the distributor that a snapshot keeps, and what they are.
DIST: Final[Mapping[str, Any]] = {
    "initialized": bool,
    "ready": bool,
    "nr_spis": int,
    "dist_base": int | None,
    "cpu_base": int | None,
    "rd_regions": list[RedistRegion],
    "redists": dict[int, tuple[int, int]],
    "frames": list[tuple[int, int, str, int | None]],
    "enabled": bool,
    "implementation_rev": int,
    "v2_groups_user_writable": bool,
    "propbaser": int,
}
#: Those of an interrupt and of a vCPU's part; the others are int.
_IRQ_BOOLS: Final = frozenset(
    {"active", "edge", "enabled", "line_level", "mapped", "owned", "pending_latch"}
)
_IRQ_VCPUS: Final = frozenset({"vcpu", "target_vcpu"})

_Irqs = list[tuple[int | bool | None, ...]]
SavedVgic = tuple[
    int,
    dict[str, object],
    _Irqs,
    list[tuple[tuple[int, ...], _Irqs, list[int], list[int]]],
]
#: The records in a saved controller.
RECORDS: Final = (RedistRegion,)


def to_values(state: VgicState) -> SavedVgic:
    """The state as plain values."""
    names = {id(table): name for name, table in _TABLES.items()}
    dist = dict(state.dist)
    dist["frames"] = [
        (frame.base, frame.end, names[id(frame.registers)], frame.vcpu) for frame in dist["frames"]
    ]
    return state.model, dist, state.spis, state.cpus


def from_values(dist: VgicDist, saved: SavedVgic) -> VgicState:
    """A state from ``to_values``, for this controller.

    Raises:
        ValueError: it is damaged, or of another controller.
    """
    model, attributes, spis, cpus = saved
    if model != dist.model or (len(spis), len(cpus)) != (len(dist.spis), len(dist.cpus)):
        raise ValueError("it is of another interrupt controller")
    if attributes.keys() != DIST.keys():
        raise ValueError("the state of the interrupt controller has other attributes")
    for name, annotation in DIST.items():
        if not conforms(attributes[name], annotation):
            raise ValueError(f"the interrupt controller's {name} is {attributes[name]!r:.60}")
    for irq in (*spis, *(irq for _, private, _, _ in cpus for irq in private)):
        _check_irq(irq, len(cpus))
    for fields, private, queued, loaded in cpus:
        if len(fields) != len(_CPU_FIELDS) or len(private) != VGIC_NR_PRIVATE_IRQS:
            raise ValueError("a vCPU's part of the interrupt controller has other fields")
        if not all(0 <= intid < VGIC_NR_PRIVATE_IRQS + len(spis) for intid in (*queued, *loaded)):
            raise ValueError("a vCPU has an interrupt that there is not")
        if len(loaded) > VGIC_NR_LR or len(set(queued)) != len(queued):
            raise ValueError("a vCPU has an interrupt twice, or too many in list registers")
    checked: dict[str, Any] = dict(attributes)
    _check_places(checked, len(cpus))
    checked["frames"] = [
        Frame(base, end, _TABLES[table], vcpu) for base, end, table, vcpu in checked["frames"]
    ]
    return VgicState(model, bool(checked["initialized"]), checked, spis, cpus)


def _check_irq(irq: tuple[int | bool | None, ...], vcpus: int) -> None:
    if len(irq) != len(_IRQ_FIELDS):
        raise ValueError("an interrupt has other fields")
    for name, value in zip(_IRQ_FIELDS, irq, strict=True):
        if name in _IRQ_VCPUS:
            good = value is None or (type(value) is int and 0 <= value < vcpus)
        else:
            good = type(value) is (bool if name in _IRQ_BOOLS else int)
        if not good:
            raise ValueError(f"an interrupt's {name} is {value!r}")


def _check_places(attributes: dict[str, Any], vcpus: int) -> None:
    """What frames and redistributors name must exist."""
    regions = len(attributes["rd_regions"])
    for place, (region, _) in attributes["redists"].items():
        if not (0 <= place < max(vcpus, 1) and 0 <= region < regions):
            raise ValueError("a redistributor is in a region that there is not")
    for _, _, table, vcpu in attributes["frames"]:
        if table not in _TABLES or (vcpu is not None and not 0 <= vcpu < vcpus):
            raise ValueError(f"a frame of registers is of {table!r:.40}, vCPU {vcpu}")
