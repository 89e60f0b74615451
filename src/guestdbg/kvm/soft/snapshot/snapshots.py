"""Taking a snapshot of a machine, and restoring it.

The state of a machine is in the attributes of ``VmState`` and ``VcpuState``, the processors and the
memory. All attributes are saved except those that are listed here, so that a new one is not
forgotten.
"""

from __future__ import annotations

import errno
import heapq
import sys
import weakref
from collections.abc import Callable, Iterable
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from guestdbg.cpu.processor import (
    PAGE_COST,
    PAGE_ENTRY,
    DirtyPages,
    Pages,
    address_of,
)
from guestdbg.kvm.constants import KVM_GUESTDBG_USE_HW, KVM_MEM_LOG_DIRTY_PAGES
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Snapshot
from guestdbg.kvm.soft.register_fields import U64
from guestdbg.kvm.soft.snapshot.present_pages import (
    all_pages,
    is_private_anonymous,
    present_pages,
)
from guestdbg.kvm.soft.state import PendingMmio, VcpuState
from guestdbg.kvm.soft.vgic import save as vgic_save
from guestdbg.kvm.soft.vgic.arm_vgic import VGIC_V2, VGIC_V3
from guestdbg.kvm.structures import DebugRegisters, VcpuInit
from guestdbg.object_size import size_beside

if TYPE_CHECKING:
    from guestdbg.cpu.processor import (
        ProcessorState,
    )
    from guestdbg.kvm.soft.snapshot.present_pages import (
        Runs,
    )
    from guestdbg.kvm.soft.state import VmState

PAGE: Final = 4096

#: Attributes that a restore leaves as they are: what never changes, what belongs to the host, and
#: what userspace requested from outside (a kick; hit programs, with their counts and buffers).
NOT_SAVED: Final = frozenset(
    {
        "_warned",
        "before_change",
        "clock",
        "closed",
        "dirty_logs",
        "flow_buffer",
        "instruction_buffer",
        "ipa_bits",
        "ipa_limit",
        "keeps_monitor",
        "latest_snapshot",
        "model",
        "on_undefined",
        "paused",
        "phys",
        "private_memory",
        "linux",
        "reports_writes",
        "run_lock",
        "single_vcpu",
        "slots",
        "smc_calls",
        "snapshot_readers",
        "soft_vcpus",
        "vgic",
    }
)
VCPU_NOT_SAVED: Final = frozenset(
    {
        "affinity",
        "closed",
        "cpu",
        "hit_programs",
        "hlt_exit",
        "id",
        "kicked",
        "refuses_calls",
        "request_pending",
        "running",
        "vgic_cpu",
        "vm",
        "wake",
    }
)

_VCPU_SAVED: Final = tuple(name for name in VcpuState.__slots__ if name not in VCPU_NOT_SAVED)
_vcpu_values = attrgetter(*_VCPU_SAVED)

_GIC_NAMES: Final = {VGIC_V2: "GICv2", VGIC_V3: "GICv3"}

#: Types whose values can be kept without a copy, because they cannot change.
_IMMUTABLE: Final = (bool, int, str, bytes, type(None), DebugRegisters, PendingMmio, VcpuInit)

#: The types of the others, see ``_kept``.
_CONTAINERS: Final = frozenset({tuple, list, dict})

#: What the objects of a snapshot take that are not counted one by one.
_SLACK: Final = 2048

State = dict[str, Any]
Result = TypeVar("Result")


def _kept(value: object) -> object:
    """A copy of a value that later changes of the machine do not reach."""
    if isinstance(value, _IMMUTABLE):
        return value
    if isinstance(value, tuple):
        return value if all(_kept(part) is part for part in value) else tuple(map(_kept, value))
    if isinstance(value, list):
        return [_kept(part) for part in value]
    if isinstance(value, dict):
        return {key: _kept(part) for key, part in value.items()}
    raise TypeError(f"a snapshot cannot keep a {type(value).__name__}")


class Region:
    """A memory slot and its contents.

    ``before``: the same slot in the snapshot last taken or restored, or None. ``written``: the
    pages that were written since then; None if that is not known.
    """

    @classmethod
    def of_pages(cls, address: int, size: int, flags: int, pages: Pages) -> Region:
        """A slot whose pages are known."""
        region = cls.__new__(cls)
        region.address, region.size, region.flags, region.pages = address, size, flags, pages
        return region

    def __init__(
        self, vm: VmState, number: int, before: Region | None, written: Runs | None
    ) -> None:
        self.address, self.size, self.flags, memory = vm.slots[number]
        known = before.pages if before is not None and before.size == self.size else None
        self.pages: Pages
        if known is not None and written is not None:
            self.pages = Pages(memory, written, known, only=True)
        else:
            self.pages = Pages(memory, _present(vm, number), known)

    @property
    def shape(self) -> tuple[int, int, int]:
        """What a slot must be to be given these contents."""
        return self.address, self.size, _kept_flags(self.flags)


def _kept_flags(flags: int) -> int:
    """Whether writes are logged is no property of the memory."""
    return flags & ~KVM_MEM_LOG_DIRTY_PAGES


def _is_private(vm: VmState, number: int) -> bool:
    """Whether the memory of a slot is private anonymous memory, which the host can have back."""
    memory = vm.slots[number].memory
    place = address_of(memory)
    known = vm.private_memory.get(number)
    if known is None or known[0] != place:
        known = vm.private_memory[number] = (place, is_private_anonymous(*place))
    return known[1]


def _present(vm: VmState, number: int) -> Runs:
    """The pages of a slot that may not be zero."""
    host, size = address_of(vm.slots[number].memory)
    return present_pages(host, size) if _is_private(vm, number) else all_pages(size)


class SoftSnapshot(Snapshot):
    """The state of a machine at one time. It is never changed.

    It belongs to no machine: every machine of the same ``shape`` can be given this state.
    """

    def __init__(self, vm: VmState) -> None:
        self.shape = machine_shape(vm)
        before = vm.latest_snapshot() if vm.latest_snapshot is not None else None
        known: dict[int, Region] = before.regions if isinstance(before, SoftSnapshot) else {}
        written = _written(vm) if known else {}
        self.regions: dict[int, Region] = {
            number: Region(vm, number, known.get(number), written.get(number))
            for number in vm.slots
        }
        self.machine: State = {
            name: _kept(value) for name, value in vars(vm).items() if name not in NOT_SAVED
        }
        self.vcpus: list[tuple[ProcessorState, State]] = [
            (vcpu.cpu.save_state(), vcpu_state(vcpu)) for vcpu in vm.soft_vcpus
        ]
        self.vgic: vgic_save.VgicState | None = None
        if vm.vgic is not None:
            known_vgic = before.vgic if isinstance(before, SoftSnapshot) else None
            self.vgic = vgic_save.take(vm.vgic, known_vgic)
        self.ticks = vm.model.template.counter
        self._instructions = tuple(vcpu.cpu.instructions for vcpu in vm.soft_vcpus)

    def set_instructions(self, counts: tuple[int, ...]) -> None:
        """How many each vCPU had retired, of a snapshot that is made from a file."""
        self._instructions = counts

    @property
    def instructions(self) -> tuple[int, ...]:
        return self._instructions

    @cached_property
    def vcpu_values(self) -> list[tuple[object, ...]]:
        """Of each vCPU its state without the names, in the order of ``_VCPU_SAVED``."""
        return [tuple(state[name] for name in _VCPU_SAVED) for _, state in self.vcpus]

    @cached_property
    def machine_values(self) -> tuple[Callable[[object], tuple[object, ...]], tuple[object, ...]]:
        """What gives the machine's attributes, and what they were."""
        return attrgetter(*self.machine), tuple(self.machine.values())

    @property
    def memory_size(self) -> int:
        return sum(len(region.pages) for region in self.regions.values()) * PAGE

    @property
    def own_memory_size(self) -> int:
        return sum(region.pages.owned() for region in self.regions.values()) * PAGE

    def size_beside(self, other: Snapshot | None) -> int:
        other = other if isinstance(other, SoftSnapshot) else None
        total = _SLACK
        for number, region in self.regions.items():
            known = None if other is None else other.regions.get(number)
            total += region.pages.index_size
            if known is not None and known.pages.length == region.pages.length:
                total += region.pages.count_beside(known.pages) * PAGE_COST
            else:
                total += len(region.pages) * PAGE_COST
        total += sum(sys.getsizeof(bytes(processor)) for processor, _ in self.vcpus)
        return total + size_beside(
            (self.shape, self.machine, [state for _, state in self.vcpus], self.vgic),
            other and (other.shape, other.machine, [s for _, s in other.vcpus], other.vgic),
        )

    def __repr__(self) -> str:
        counts = ", ".join(map(str, self._instructions))
        return f"<SoftSnapshot at {counts} instructions, {self.memory_size >> 10} KiB of memory>"


def vcpu_state(vcpu: VcpuState) -> State:
    """The state that EL2 keeps of a vCPU, by attribute."""
    return {
        name: _kept(getattr(vcpu, name))
        for name in VcpuState.__slots__
        if name not in VCPU_NOT_SAVED
    }


def take(vm: VmState) -> SoftSnapshot:
    """Take a snapshot of the machine as it is now."""
    return _exclusively(vm, "snapshot", lambda: _take(vm))


def restore(vm: VmState, snapshot: Snapshot) -> None:
    """Restore the machine; nothing has changed if this raises an error.

    Raises:
        KvmError: see ``SupportsSnapshots.restore``.
    """
    call = "restore"
    if not isinstance(snapshot, SoftSnapshot):
        raise KvmError(errno.EINVAL, call, f"{snapshot!r} is not a snapshot of the soft provider")
    _exclusively(vm, call, lambda: _restore(vm, snapshot))


def _exclusively(vm: VmState, call: str, action: Callable[[], Result]) -> Result:
    """Do ``action`` while no vCPU runs, and none can start."""
    vm.check_open(call)
    _check_not_running(vm, call)
    if not vm.run_lock.try_acquire(False):
        raise KvmError(errno.EBUSY, call, "another thread is changing or running the machine")
    try:
        _check_not_running(vm, call)  # a vCPU that sleeps in run() has released the lock
        return action()
    finally:
        vm.run_lock.release()


def _check_not_running(vm: VmState, call: str) -> None:
    for vcpu in vm.soft_vcpus:
        if vcpu.running:
            raise KvmError(
                errno.EBUSY,
                call,
                f"vCPU {vcpu.id} is running in another thread: kick() it, and wait for its run() "
                "to return",
            )


def _take(vm: VmState) -> SoftSnapshot:
    try:
        snapshot = SoftSnapshot(vm)
        _begin_reading(vm)
    except BaseException:
        _stop_reading(vm)
        raise
    vm.latest_snapshot = weakref.ref(snapshot)
    return snapshot


# ---- the pages that were written since the latest snapshot --------------------------------------
# A reader is open for each slot whose contents are those of ``latest_snapshot`` but for the pages
# that the reader returns. Where there is none, all pages are compared.


def _written(vm: VmState) -> dict[int, Runs]:
    """The pages written since the latest snapshot, by slot. This can be asked only once."""
    found = {
        number: reader.pages() for number, reader in vm.snapshot_readers.items() if reader.is_open
    }
    return found if vm.reports_writes else {}


def prepare(vm: VmState, beside: Snapshot | None) -> int:
    """See ``SupportsRepeatedRuns.prepare_snapshot``."""
    if beside is not None and not isinstance(beside, SoftSnapshot):
        raise KvmError(errno.EINVAL, "prepare_snapshot", f"{beside!r} is of another provider")
    return _exclusively(vm, "prepare_snapshot", lambda: _prepare(vm, beside))


def _prepare(vm: VmState, beside: SoftSnapshot | None) -> int:
    latest = vm.latest_snapshot() if vm.latest_snapshot is not None else None
    if beside is not None and latest is not beside:
        if _slots_are_those_of(vm, beside):
            _share(vm, beside)
            latest = beside
        else:  # such as where flash is a device at one time and memory at another: it may take all
            latest = None
    total = 0
    for number in vm.slots:
        reader = vm.snapshot_readers.get(number)
        before = latest.regions.get(number) if isinstance(latest, SoftSnapshot) else None
        if reader is not None and reader.is_open and vm.reports_writes and before is not None:
            total += len(before.pages) * PAGE_ENTRY
            changed = reader.peek()
            if beside is None:
                changed = _union(changed, before.pages.numbers())
        else:
            changed = _present(vm, number)
        # The list of pages is grown by doubling.
        total += sum(count for _, count in changed) * (PAGE_COST + 2 * PAGE_ENTRY)
    return total


def _slots_are_those_of(vm: VmState, snapshot: SoftSnapshot) -> bool:
    """Whether the memory slots are as they were when a snapshot was taken."""
    return {number: region.shape for number, region in snapshot.regions.items()} == {
        number: (slot.start, slot.size, _kept_flags(slot.flags))
        for number, slot in vm.slots.items()
    }


def _share(vm: VmState, snapshot: SoftSnapshot) -> None:
    """Make a snapshot the latest one, as if it had been restored and then changed to what is now
    there."""
    try:
        changes = _changes(vm, snapshot)
        _begin_reading(vm)
        for number, runs in changes.items():
            for first, count in runs:
                vm.phys.written(snapshot.regions[number].address + first * PAGE, count * PAGE)
    except BaseException:
        _stop_reading(vm)
        raise
    vm.latest_snapshot = weakref.ref(snapshot)


def _begin_reading(vm: VmState) -> None:
    """The contents of all slots are those of a snapshot now."""
    if not vm.reports_writes:
        _stop_reading(vm)
        return
    for number in vm.snapshot_readers.keys() - vm.slots.keys():
        del vm.snapshot_readers[number]
    for number in vm.slots:
        reader = vm.snapshot_readers.get(number)
        if reader is not None and reader.is_open:
            reader.pages()
        else:
            vm.snapshot_readers[number] = DirtyPages(vm.phys, number)


def _stop_reading(vm: VmState) -> None:
    for reader in vm.snapshot_readers.values():
        reader.close()
    vm.snapshot_readers.clear()


def _changes(vm: VmState, snapshot: SoftSnapshot) -> dict[int, Runs]:
    """The pages of each slot in which memory and the snapshot differ."""
    latest = vm.latest_snapshot() if vm.latest_snapshot is not None else None
    known = latest.regions if isinstance(latest, SoftSnapshot) else {}
    written = _written(vm) if known else {}
    found: dict[int, Runs] = {}
    for number, region in snapshot.regions.items():
        memory = vm.slots[number][3]
        if number in written and number in known:
            runs = _union(written[number], region.pages.unlike(known[number].pages))
            found[number] = region.pages.differing_in(memory, runs)
        else:
            found[number] = region.pages.differing(memory, _present(vm, number))
    return found


def _union(one: Runs, other: Runs) -> Runs:
    """The pages of both, each in ascending order."""
    runs: Runs = []
    for first, count in heapq.merge(one, other):
        if runs and first <= sum(runs[-1]):
            runs[-1] = (runs[-1][0], max(sum(runs[-1]), first + count) - runs[-1][0])
        else:
            runs.append((first, count))
    return runs


def _restore(vm: VmState, snapshot: SoftSnapshot) -> None:
    known = _knows_what_was_written(vm, snapshot)
    if not known or not _is_complete(vm, snapshot):
        _check_same(vm, snapshot)
    _restore_memory(vm, snapshot, known=known)
    # A snapshot from a file may be of a host whose counter is further.
    ticks = (vm.model.template.counter - snapshot.ticks) & U64
    for vcpu, (processor, _), values in zip(
        vm.soft_vcpus, snapshot.vcpus, snapshot.vcpu_values, strict=True
    ):
        vcpu.cpu.restore_state(processor, ticks)
        now = _vcpu_values(vcpu)
        if now != values:
            _set_values(vcpu, _VCPU_SAVED, values, now)
        programs = vcpu.hit_programs if vcpu.guest_debug & KVM_GUESTDBG_USE_HW else None
        vcpu.cpu.set_programs(programs)
        vcpu.refuses_calls = vcpu.closed or vcpu.initialised_with is None
        # Power and interrupt lines may have changed: the next entry must look at them.
        vcpu.request_pending = True
    if vm.vgic is not None and snapshot.vgic is not None:
        vgic_save.restore(vm.vgic, snapshot.vgic)
    names, values = snapshot.machine_values
    now = names(vm)
    if now != values:
        _set_values(vm, snapshot.machine, values, now)
    vm.latest_snapshot = weakref.ref(snapshot)


def _set_values(
    owner: object, names: Iterable[str], values: Iterable[object], now: Iterable[object]
) -> None:
    """Set those of these attributes that may not be what they were: most of them never change."""
    for name, value, present in zip(names, values, now, strict=True):
        if value is present:
            continue
        if value.__class__ in _CONTAINERS:  # they are copies, and so never the same object
            if value == present:
                continue
            value = _kept(value)
        setattr(owner, name, value)


def _restore_memory(vm: VmState, snapshot: SoftSnapshot, *, known: bool) -> None:
    """``known``: see ``_knows_what_was_written``."""
    # All slots are compared before any is written, because two slots may be the same memory.
    try:
        if known:
            for number, region in snapshot.regions.items():
                region.pages.put_back_written(vm.snapshot_readers[number], _is_private(vm, number))
            return
        for number, runs in _changes(vm, snapshot).items():
            region = snapshot.regions[number]
            region.pages.put_back(vm.slots[number][3], runs, _is_private(vm, number))
            for first, count in runs:
                vm.phys.code_changed(region.address + first * PAGE, count * PAGE)
                vm.phys.written(region.address + first * PAGE, count * PAGE)
        _begin_reading(vm)
    except BaseException:
        _stop_reading(vm)
        raise


def _knows_what_was_written(vm: VmState, snapshot: SoftSnapshot) -> bool:
    """Whether memory is that of this snapshot but for the pages that the readers return."""
    if vm.latest_snapshot is None or vm.latest_snapshot() is not snapshot:
        return False
    if not vm.reports_writes or vm.phys.shares_memory:
        return False
    if len(vm.slots) != len(snapshot.regions):
        return False
    readers = vm.snapshot_readers
    # A reader is closed when its slot is removed or replaced.
    return all(number in readers and readers[number].is_open for number in snapshot.regions)


def _is_complete(vm: VmState, snapshot: SoftSnapshot) -> bool:
    """Whether nothing was added to the machine since it had this snapshot, its latest one."""
    if len(vm.soft_vcpus) != len(snapshot.vcpus):
        return False
    gic, was = vm.vgic, snapshot.vgic
    if gic is None or was is None:
        return gic is None and was is None
    return gic.initialized == was.initialized and len(gic.spis) == len(was.spis)


def machine_shape(vm: VmState) -> dict[str, object]:
    """What a machine is, and does not change by running: all but its memory slots."""
    gic = vm.vgic
    return {
        "processor": str(vm.model.cpu),
        "debug registers (breakpoints, context-aware, watchpoints)": vm.model.debug_registers,
        "clock": vm.clock,
        "Linux version": vm.linux.name,
        "SMC calls": vm.smc_calls,
        "bits of physical addresses": vm.ipa_bits,
        "vCPUs": [vcpu.id for vcpu in vm.soft_vcpus],
        "interrupt controller": None if gic is None else _GIC_NAMES[gic.model],
        "interrupt controller initialised": gic is not None and gic.initialized,
        "shared interrupts": 0 if gic is None else len(gic.spis),
    }


def _check_same(vm: VmState, snapshot: SoftSnapshot) -> None:
    """Raise KvmError (EINVAL) if the machine has not the shape that it had, or that another had."""
    now = machine_shape(vm)
    if now == snapshot.shape and _slots_are_those_of(vm, snapshot):
        return
    for what, was in snapshot.shape.items():
        if now[what] != was:
            raise KvmError(
                errno.EINVAL,
                "restore",
                f"the machines differ in their {what}: {was} in the snapshot, {now[what]} here; "
                "vCPUs and interrupt controller are made before the first snapshot, and a machine "
                "that is given the snapshot of another is made in the same way",
            )
    for number in sorted(snapshot.regions.keys() | vm.slots.keys()):
        region, slot = snapshot.regions.get(number), vm.slots.get(number)
        here = None if slot is None else (slot.start, slot.size, _kept_flags(slot.flags))
        if region is not None and region.shape == here:
            continue
        was = "not there" if region is None else f"{region.size:#x} bytes at {region.address:#x}"
        present = "not there" if slot is None else f"{slot[1]:#x} bytes at {slot[0]:#x}"
        same = " (with other flags)" if was == present else ""
        raise KvmError(
            errno.EINVAL,
            "restore",
            f"memory slot {number} is {present}, and was {was} when the snapshot was taken{same}: "
            "map the slots as they were, then restore",
        )
