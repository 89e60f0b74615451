"""A snapshot as bytes, for files: all of it except the contents of memory.

What is read may have been made by anybody. So each attribute is checked against its type here,
and numbers that are used as an index against the machine that it is read for.
"""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from guestdbg.container.values import conforms, decode, encode, record_types
from guestdbg.cpu.processor import DirtyPages, Pages
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.soft.snapshot.changed_pages import changed_pages
from guestdbg.kvm.soft.snapshot.snapshots import PAGE, Region, SoftSnapshot, machine_shape
from guestdbg.kvm.soft.state import (
    DEBUG_PTR_EXTERNAL,
    DEBUG_PTR_GUEST,
    INCREMENT_PC,
    OWNER_FREE,
    OWNER_GUEST,
    OWNER_HOST,
    PendingMmio,
)
from guestdbg.kvm.soft.vgic import save as vgic_save
from guestdbg.kvm.structures import DebugRegisters, VcpuInit

if TYPE_CHECKING:
    from guestdbg.container import MemoryImage, PageRuns
    from guestdbg.kvm.interface import Snapshot
    from guestdbg.kvm.soft.state import (
        VmState,
    )

_Set = DebugRegisters

#: The attributes of ``VmState`` that a snapshot keeps, and what they are.
MACHINE: Final[Mapping[str, Any]] = {
    "nisv_to_user": bool,
    "has_run": bool,
    "id_aa64dfr0_el1": int | None,
    "max_vcpus": int,
    "timer_ppis": tuple[int, int],
    "cntvoff": int,
    "virtual_time": int,
}

#: Those of ``VcpuState``.
VCPU: Final[Mapping[str, Any]] = {
    "_immediate_exit": bool,
    "_max_instructions": int | None,
    "active_pending": bool,
    "debug_owner": Literal["free", "guest", "host"],
    "debug_ptr": Literal["guest", "external"],
    "dirty": bool,
    "external_debug_state": _Set,
    "external_mdscr_el1": int,
    "guest_debug": int,
    "hardware_debug_state": _Set,
    "hardware_mdscr_el1": int,
    "initialised_with": VcpuInit | None,
    "irq_lines": int,
    "last_injected": object,
    "mdccint_el1": int,
    "mdcr_el2": int,
    "mdscr_el1": int,
    "mmio": PendingMmio | None,
    "mmio_data": bytes | None,
    "os_lock": bool,
    "pc_adjustment": tuple[int, int | None] | None,
    "preserved_ss": int,
    "psci_version": int,
    "reset_state": tuple[int, int] | None,
    "spsr_aarch32": list[int],
    "stopped": bool,
    "timer_enabled": bool,
    "unused_regs": dict[int, int],
    "vcpu_debug_state": _Set,
    "waiting": bool,
}
#: These are compared by identity.
_CONSTANTS: Final[Mapping[str, tuple[Any, ...]]] = {
    "debug_owner": (OWNER_FREE, OWNER_GUEST, OWNER_HOST),
    "debug_ptr": (DEBUG_PTR_GUEST, DEBUG_PTR_EXTERNAL),
    "pc_adjustment": (INCREMENT_PC,),
}

_RECORDS: Final = record_types(
    DebugRegisters, PendingMmio, VcpuInit, *vgic_save.RECORDS
)  # fmt: skip
_Slots = dict[int, tuple[int, int, int]]
_WHOLE: Final = tuple[
    dict[str, object],
    _Slots,
    dict[str, object],
    list[tuple[bytes, dict[str, object]]],
    vgic_save.SavedVgic | None,
    int,
    tuple[int, ...],
]


def save(snapshot: Snapshot) -> bytes:
    """All of a snapshot but the contents of memory.

    Raises:
        KvmError: EINVAL: it is no snapshot of this provider.
    """
    if not isinstance(snapshot, SoftSnapshot):
        raise KvmError(errno.EINVAL, "save_snapshot", f"{snapshot!r} is not one of this provider")
    vgic = None if snapshot.vgic is None else vgic_save.to_values(snapshot.vgic)
    return encode(
        (
            snapshot.shape,
            {number: region.shape for number, region in snapshot.regions.items()},
            snapshot.machine,
            [(cpu.serialize(), state) for cpu, state in snapshot.vcpus],
            vgic,
            snapshot.ticks,
            snapshot.instructions,
        )
    )


def load(vm: VmState, data: bytes, image: MemoryImage) -> SoftSnapshot:
    """A snapshot from ``save``, for this machine, whose memory is in ``image``.

    Raises:
        KvmError: EINVAL: it is damaged, or is for a machine that differs from this one.
    """
    try:
        return _load(vm, data, lambda number, shape: _region(number, shape, image))
    except (ValueError, LookupError) as error:
        raise KvmError(errno.EINVAL, "load_snapshot", str(error)) from error


def load_changed(
    vm: VmState, data: bytes, before: Snapshot, changed: Iterable[PageRuns]
) -> SoftSnapshot:
    """The same for a snapshot that has the memory of ``before`` but for these pages.

    Raises:
        KvmError: EINVAL: as above, or a page is outside its slot, or twice there.
    """
    try:
        if not isinstance(before, SoftSnapshot):
            raise ValueError(f"{before!r} is not a snapshot of this provider")
        pages = changed_pages(
            {number: region.pages for number, region in before.regions.items()}, changed
        )
        return _load(vm, data, lambda number, shape: Region.of_pages(*shape, pages[number]))
    except (ValueError, LookupError) as error:
        raise KvmError(errno.EINVAL, "load_snapshot", str(error)) from error


_MakeRegion = Callable[[int, tuple[int, int, int]], Region]


def _load(vm: VmState, data: bytes, make_region: _MakeRegion) -> SoftSnapshot:
    shape, slots, machine, vcpus, vgic, ticks, instructions = decode(data, _RECORDS, _WHOLE)
    here = machine_shape(vm)
    if shape != here:
        differ = [
            f"{what}: {shape.get(what)} there, {value} here"
            for what, value in here.items()
            if shape.get(what) != value
        ]
        raise ValueError(f"it is of another machine ({'; '.join(differ) or 'of another version'})")
    if len(vcpus) != len(vm.soft_vcpus) or len(instructions) != len(vcpus):
        raise ValueError(f"it has {len(vcpus)} vCPUs, and the machine {len(vm.soft_vcpus)}")
    _check_attributes("machine", machine, MACHINE)
    for _, state in vcpus:
        _check_vcpu(state)
    for value in _ints((machine, vgic, ticks, instructions, [state for _, state in vcpus])):
        if not -1 << 63 <= value < 1 << 64:
            raise ValueError(f"a number is out of range: {value:#x}")
    snapshot = SoftSnapshot.__new__(SoftSnapshot)
    snapshot.shape = here
    snapshot.regions = {
        number: make_region(number, shape_) for number, shape_ in sorted(slots.items())
    }
    for number, region in snapshot.regions.items():
        if region.size != region.pages.length * PAGE:
            raise ValueError(f"memory slot {number} has {region.size:#x} bytes, and other pages")
    snapshot.machine = machine
    snapshot.vcpus = [
        (vcpu.cpu.parse_state(cpu), state)
        for vcpu, (cpu, state) in zip(vm.soft_vcpus, vcpus, strict=True)
    ]
    if (vgic is None) != (vm.vgic is None):
        raise ValueError("its interrupt controller is not that of the machine")
    snapshot.vgic = None if vm.vgic is None else vgic_save.from_values(vm.vgic, vgic)
    snapshot.ticks = ticks
    snapshot.set_instructions(instructions)
    return snapshot


def _check_attributes(
    what: str, state: dict[str, object], types: Mapping[str, Any]
) -> None:  # fmt: skip
    if state.keys() != types.keys():
        differ = ", ".join(sorted(map(str, state.keys() ^ types.keys())))
        raise ValueError(f"the state of the {what} has other attributes: {differ}")
    for name, annotation in types.items():
        if not conforms(state[name], annotation):
            raise ValueError(f"the attribute {name} of the {what} is {state[name]!r:.60}")


def _check_vcpu(state: dict[str, object]) -> None:
    _check_attributes("vCPU", state, VCPU)
    spsr = state["spsr_aarch32"]
    if not isinstance(spsr, list) or len(spsr) != 5:
        raise ValueError("the attribute spsr_aarch32 of the vCPU has other than 5 values")
    for name in ("vcpu_debug_state", "external_debug_state", "hardware_debug_state"):
        each = state[name]
        assert isinstance(each, DebugRegisters)
        if any(len(values) != 16 for values in (each.bcr, each.bvr, each.wcr, each.wvr)):
            raise ValueError(f"the attribute {name} of the vCPU has other than 16 registers")
    init, mmio = state["initialised_with"], state["mmio"]
    if isinstance(init, VcpuInit) and len(init.features) != 7:
        raise ValueError("the attribute initialised_with of the vCPU has other than 7 words")
    if isinstance(mmio, PendingMmio) and not (
        mmio.length in (1, 2, 4, 8) and 0 <= mmio.register <= 31
    ):
        raise ValueError(f"the vCPU has an impossible access to complete: {mmio}")
    for name, constants in _CONSTANTS.items():
        state[name] = next((each for each in constants if each == state[name]), state[name])


def _ints(value: object) -> Iterator[int]:
    """All numbers in a value."""
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _ints(key)
            yield from _ints(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _ints(each)
    elif isinstance(value, DebugRegisters):
        yield from _ints((value.bcr, value.bvr, value.wcr, value.wvr))
    elif isinstance(value, VcpuInit):
        yield from _ints((value.target, value.features))


def _region(number: int, shape: tuple[int, int, int], image: MemoryImage) -> Region:
    place = image.slices.get(number)
    if place is None or place.size != shape[1] or place.size % PAGE:
        raise ValueError(f"the file has no memory of {shape[1]:#x} bytes for slot {number}")
    return Region.of_pages(*shape, Pages.over(image.view(number), place.runs))


def known_contents(vm: VmState, snapshot: Snapshot, slots: set[int]) -> None:
    """Userspace has mapped the memory of these slots from the snapshot's image.

    A restore of it then looks only at what was written since.
    """
    if not isinstance(snapshot, SoftSnapshot) or not vm.reports_writes:
        return
    for reader in vm.snapshot_readers.values():
        reader.close()
    vm.snapshot_readers.clear()
    for number in slots:
        vm.snapshot_readers[number] = DirtyPages(vm.phys, number)
    vm.latest_snapshot = weakref.ref(snapshot)
