"""A machine of the soft provider: memory slots, vCPUs, interrupt lines (arm.c, kvm_main.c)."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import (
    KVM_ARM_IRQ_CPU_FIQ,
    KVM_ARM_IRQ_NUM_MASK,
    KVM_ARM_IRQ_TYPE_CPU,
    KVM_ARM_IRQ_TYPE_PPI,
    KVM_ARM_IRQ_TYPE_SHIFT,
    KVM_ARM_IRQ_TYPE_SPI,
    KVM_ARM_IRQ_VCPU2_SHIFT,
    KVM_ARM_IRQ_VCPU_SHIFT,
    KVM_ARM_TARGET_GENERIC_V8,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_CAP_MAX_VCPUS,
    KVM_CREATE_DEVICE_TEST,
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    KVM_VM_TYPE_ARM_IPA_SIZE_MASK,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import SavedSnapshot
from guestdbg.kvm.soft.capabilities import (
    DEFAULT_IPA_BITS,
    MAX_MEMSLOTS,
    MIN_IPA_BITS,
    check_extension,
)
from guestdbg.kvm.soft.dirty_log import DirtyLog, SoftDirtyPages
from guestdbg.kvm.soft.processor_model import MPIDR_RES1
from guestdbg.kvm.soft.run import requests
from guestdbg.kvm.soft.state import Slot, VmState
from guestdbg.kvm.soft.vcpu import SoftVcpu
from guestdbg.kvm.soft.vgic import vgic, vgic_init, vgic_mmio_v3
from guestdbg.kvm.soft.vgic.arm_vgic import (
    VGIC_NR_PRIVATE_IRQS,
    VGIC_NR_SGIS,
    VGIC_V2,
    VGIC_V3,
)
from guestdbg.kvm.soft.vgic.vgic_kvm_device import VgicDevice
from guestdbg.kvm.structures import VcpuInit

if TYPE_CHECKING:
    # At run time they are imported for a VM that is traced, or of which there are snapshots.
    from guestdbg.container import MemoryImage, PageRuns
    from guestdbg.kvm.interface import Device, Memory, Snapshot
    from guestdbg.kvm.soft import flow_trace, instruction_trace
    from guestdbg.kvm.soft.processor_model import ProcessorModel
    from guestdbg.kvm.soft.snapshot.snapshots import SoftSnapshot
    from guestdbg.kvm.soft.state import LinuxVersion
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicDist,
    )
    from guestdbg.kvm.tracing import FlowKind

PAGE: Final = 4096


class SoftVm(VmState):
    """A machine of the soft provider. Its vCPUs share one physical memory."""

    soft_vcpus: list[SoftVcpu]

    def __init__(
        self, model: ProcessorModel, vm_type: int, linux: LinuxVersion, *, smc_calls: bool
    ) -> None:
        super().__init__(model, _ipa_bits(vm_type, model.ipa_limit), linux, smc_calls=smc_calls)
        self.soft_vcpus = []
        self.dirty_logs: dict[int, DirtyLog] = {}

    def __repr__(self) -> str:
        return f"<SoftVm {len(self.slots)} slots, {len(self.soft_vcpus)} vCPUs>"

    @property
    def vcpus(self) -> Sequence[SoftVcpu]:
        return tuple(self.soft_vcpus)

    def check_extension(self, cap: int) -> int:
        self.check_open("KVM_CHECK_EXTENSION")
        if cap == KVM_CAP_MAX_VCPUS:
            return self.max_vcpus
        return check_extension(self.model.template, cap)

    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        self.check_open("KVM_ENABLE_CAP")
        if cap != KVM_CAP_ARM_NISV_TO_USER:
            raise KvmError(
                errno.EINVAL,
                "KVM_ENABLE_CAP",
                f"capability {cap} cannot be enabled; KVM_CAP_ARM_NISV_TO_USER "
                f"({KVM_CAP_ARM_NISV_TO_USER}) can",
            )
        self.will_change("KVM_ENABLE_CAP")
        self.nisv_to_user = True

    @property
    def runs_repeat(self) -> bool:
        """The extension SupportsRepeatedRuns."""
        return self.clock == "virtual"

    @property
    def stops_are_invisible(self) -> bool:
        """The extension SupportsRepeatedRuns."""
        return self.keeps_monitor

    @stops_are_invisible.setter
    def stops_are_invisible(self, value: bool) -> None:
        with self.stopped():
            self.phys.follow_tables(bool(value))
        self.keeps_monitor = bool(value)
        for vcpu in self.soft_vcpus:
            vcpu.cpu.keeps_monitor = self.keeps_monitor

    # -- memory -----------------------------------------------------------------------------------

    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        call = "KVM_SET_USER_MEMORY_REGION"
        self.check_open(call)
        if not 0 <= slot < MAX_MEMSLOTS:
            raise KvmError(errno.EINVAL, call, f"slot {slot}: 0 to {MAX_MEMSLOTS - 1} exist")
        self.will_change(call)
        if memory is None:
            if slot not in self.slots:
                raise KvmError(errno.EINVAL, call, f"slot {slot} is not in use")
            with self.stopped():
                self.phys.unmap(slot)
            self.dirty_logs.pop(slot, None)
            self.private_memory.pop(slot, None)
            del self.slots[slot]
            return
        new = self._checked(slot, guest_phys_addr, memory, flags)
        self._map(slot, new)

    def _checked(self, slot: int, guest_phys_addr: int, memory: Memory, flags: int) -> Slot:
        """The slot as it is to be; a KvmError if it cannot be so."""
        call = "KVM_SET_USER_MEMORY_REGION"
        if flags & ~(KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES):
            raise KvmError(
                errno.EINVAL,
                call,
                f"flags {flags:#x}: only KVM_MEM_LOG_DIRTY_PAGES (1) and KVM_MEM_READONLY (2) are "
                "supported",
            )
        size = _size_of(memory)
        if guest_phys_addr % PAGE or size % PAGE or not size:
            raise KvmError(
                errno.EINVAL,
                call,
                f"{size:#x} bytes at {guest_phys_addr:#x}: both must be multiples of the page "
                f"size, {PAGE:#x}, and there must be at least one page",
            )
        if guest_phys_addr < 0 or (guest_phys_addr + size - 1) >> self.ipa_bits:
            raise KvmError(
                errno.EFAULT,
                call,
                f"{size:#x} bytes at {guest_phys_addr:#x} do not fit into the {self.ipa_bits} bits "
                "of the machine's physical addresses",
            )
        old = self.slots.get(slot)
        if old is not None and old[1] != size:
            raise KvmError(
                errno.EINVAL,
                call,
                f"slot {slot} is {old[1]:#x} bytes and cannot become {size:#x}; delete it first",
            )
        for other, (start, length, _, _) in self.slots.items():
            overlaps = start < guest_phys_addr + size and guest_phys_addr < start + length
            if other != slot and overlaps:
                raise KvmError(
                    errno.EEXIST,
                    call,
                    f"{size:#x} bytes at {guest_phys_addr:#x} overlap slot {other}, "
                    f"{length:#x} bytes at {start:#x}",
                )
        return Slot(guest_phys_addr, size, flags, memory)

    def _map(self, slot: int, new: Slot) -> None:
        old = self.slots.get(slot)
        log = self.dirty_logs.get(slot)
        with self.stopped():
            if not _only_log_changes(old, new):
                if log is not None:
                    log.collect()
                if old is not None:
                    self.phys.unmap(slot)
                    self.private_memory.pop(slot, None)
                self.phys.map(slot, new.start, new.memory, bool(new.flags & KVM_MEM_READONLY))
                if log is not None:
                    log.move(self.phys, slot)
            if not new.flags & KVM_MEM_LOG_DIRTY_PAGES:
                if log is not None:
                    log.close()
                    del self.dirty_logs[slot]
            elif log is None:
                self.dirty_logs[slot] = DirtyLog(self.phys, slot, new.size)
        self.slots[slot] = new

    def get_dirty_log(self, slot: int) -> bytes:
        call = "KVM_GET_DIRTY_LOG"
        self.check_open(call)
        if not 0 <= slot < MAX_MEMSLOTS:
            raise KvmError(errno.EINVAL, call, f"slot {slot}: 0 to {MAX_MEMSLOTS - 1} exist")
        log = self.dirty_logs.get(slot)
        if log is None:
            raise KvmError(
                errno.ENOENT,
                call,
                f"slot {slot} is not in use, or was set without KVM_MEM_LOG_DIRTY_PAGES",
            )
        with self.stopped():
            return log.take()

    def memory_written(self, guest_phys_addr: int, length: int) -> None:
        """The extension SupportsDirtyPages."""
        self.check_open("memory_written")
        if self.phys.has_readers:
            with self.stopped():
                self.phys.written(guest_phys_addr, length)

    def dirty_pages(self, slot: int) -> SoftDirtyPages:
        """The extension SupportsDirtyPages."""
        self.check_open("dirty_pages")
        if slot not in self.slots:
            raise KvmError(errno.ENOENT, "dirty_pages", f"slot {slot} is not in use")
        return SoftDirtyPages(self, slot)

    def code_changed(self, guest_phys_addr: int, length: int) -> None:
        """The extension SupportsCodeChanged: forget what was decoded from there."""
        self.check_open("code_changed")
        with self.stopped():
            self.phys.code_changed(guest_phys_addr, length)

    def start_flow_trace(
        self,
        what: Collection[FlowKind],
        sink: Callable[[bytes], object],
        *,
        arguments: bool = False,
        start: int | None = None,
        stop: int | None = None,
    ) -> flow_trace.SoftFlowTrace:
        """The extension SupportsFlowTrace."""
        from guestdbg.kvm.soft import flow_trace

        return flow_trace.start(self, what, sink, arguments=arguments, first=start, last=stop)

    def start_instruction_trace(
        self,
        sink: Callable[[bytes], object],
        *,
        start: int | None = None,
        stop: int | None = None,
    ) -> instruction_trace.SoftInstructionTrace:
        """The extension SupportsInstructionTrace."""
        from guestdbg.kvm.soft import instruction_trace

        return instruction_trace.start(self, sink, first=start, last=stop)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Hold the run lock, so that no vCPU is inside the guest; running vCPUs are interrupted."""
        for vcpu in self.soft_vcpus:
            if vcpu.running:
                requests.request(vcpu)
        with self.run_lock:
            yield

    # -- vCPUs ------------------------------------------------------------------------------------

    def create_vcpu(self, vcpu_id: int = 0) -> SoftVcpu:
        self.check_open("KVM_CREATE_VCPU")
        self.will_change("KVM_CREATE_VCPU")
        vgic_init.check_vcpu(self)
        if not 0 <= vcpu_id < self.max_vcpus:
            raise KvmError(
                errno.EINVAL,
                "KVM_CREATE_VCPU",
                f"id {vcpu_id}: 0 to {self.max_vcpus - 1} are possible",
            )
        if any(vcpu.id == vcpu_id for vcpu in self.soft_vcpus):
            raise KvmError(errno.EEXIST, "KVM_CREATE_VCPU", f"there is a vCPU {vcpu_id} already")
        # MPIDR_EL1 as KVM assigns it: 16 vCPUs to a cluster (Aff0), then Aff1.
        mpidr = MPIDR_RES1 | (vcpu_id >> 4) << 8 | vcpu_id & 15
        cpu = self.model.new_processor(self.phys, mpidr)
        vcpu = SoftVcpu(self, vcpu_id, cpu, mpidr)
        with self.stopped():
            self.soft_vcpus.append(vcpu)
            self.single_vcpu = len(self.soft_vcpus) == 1
            if self.vgic is not None and self.vgic.model == VGIC_V3:
                self._add_redist(self.vgic, vcpu)
        return vcpu

    def _add_redist(self, dist: VgicDist, vcpu: SoftVcpu) -> None:
        """Give a new vCPU's redistributor its place, if the address is set already."""
        if not vgic_mmio_v3.register_redist(self, dist, len(self.soft_vcpus) - 1):
            self.soft_vcpus.remove(vcpu)
            self.single_vcpu = len(self.soft_vcpus) == 1
            raise KvmError(
                errno.EINVAL,
                "KVM_CREATE_VCPU",
                f"the redistributor of vCPU {vcpu.id} does not fit at its address, or overlaps "
                "another frame",
            )

    def preferred_target(self) -> VcpuInit:
        self.check_open("KVM_ARM_PREFERRED_TARGET")
        return VcpuInit(
            KVM_ARM_TARGET_GENERIC_V8 if self.linux.generic_target else self.model.target
        )

    # -- devices and lines ------------------------------------------------------------------------

    def create_device(self, device_type: int, flags: int = 0) -> Device:
        call = "KVM_CREATE_DEVICE"
        self.check_open(call)
        if device_type not in (VGIC_V2, VGIC_V3):
            raise KvmError(
                errno.ENODEV,
                call,
                f"no device of type {device_type}: the soft provider has the GICv2 "
                f"(KVM_DEV_TYPE_ARM_VGIC_V2, {VGIC_V2}) and the GICv3 (KVM_DEV_TYPE_ARM_VGIC_V3, "
                f"{VGIC_V3})",
            )
        if flags & KVM_CREATE_DEVICE_TEST:
            return VgicDevice(None, device_type)
        self.will_change(call)
        vgic_init.create(self, device_type)
        return VgicDevice(self, device_type)

    def irq_line(self, irq: int, level: int) -> None:
        call = "KVM_IRQ_LINE"
        self.check_open(call)
        self.will_change(call)
        kind = irq >> KVM_ARM_IRQ_TYPE_SHIFT & 15
        number = irq & KVM_ARM_IRQ_NUM_MASK
        if kind == KVM_ARM_IRQ_TYPE_CPU:
            self._cpu_line(irq, number, bool(level))
            return
        if kind not in (KVM_ARM_IRQ_TYPE_SPI, KVM_ARM_IRQ_TYPE_PPI):
            raise KvmError(errno.EINVAL, call, f"type {kind}: there are 0 (CPU), 1 (SPI), 2 (PPI)")
        if self.vgic is None:
            raise KvmError(
                errno.ENXIO,
                call,
                f"type {kind}: SPIs and PPIs need an interrupt controller (create_device), and "
                "the machine has none; a vCPU's own IRQ and FIQ lines (type 0) exist",
            )
        if kind == KVM_ARM_IRQ_TYPE_PPI:
            place = self.soft_vcpus.index(self._irq_vcpu(irq))
            if not VGIC_NR_SGIS <= number < VGIC_NR_PRIVATE_IRQS:
                raise KvmError(errno.EINVAL, call, f"PPI {number}: they are 16 to 31")
            vgic_init.lazy_init(self, call)
            vgic.inject_irq(self, place, number, bool(level))
        else:
            if number < VGIC_NR_PRIVATE_IRQS:
                raise KvmError(errno.EINVAL, call, f"SPI {number}: they begin at 32")
            vgic_init.lazy_init(self, call)
            vgic.inject_irq(self, None, number, bool(level))

    def _irq_vcpu(self, irq: int) -> SoftVcpu:
        """The vCPU that KVM_IRQ_LINE names, by its id."""
        number = (irq >> KVM_ARM_IRQ_VCPU_SHIFT & 255) + 256 * (irq >> KVM_ARM_IRQ_VCPU2_SHIFT & 15)
        vcpu = next((v for v in self.soft_vcpus if v.id == number), None)
        if vcpu is None:
            raise KvmError(errno.EINVAL, "KVM_IRQ_LINE", f"there is no vCPU {number}")
        return vcpu

    def _cpu_line(self, irq: int, number: int, level: bool) -> None:
        if self.vgic is not None:
            raise KvmError(
                errno.ENXIO,
                "KVM_IRQ_LINE",
                "type 0: the interrupt controller drives the vCPUs' own lines; it takes SPIs "
                "(type 1) and PPIs (type 2)",
            )
        vcpu = self._irq_vcpu(irq)
        if number > KVM_ARM_IRQ_CPU_FIQ:
            raise KvmError(
                errno.EINVAL, "KVM_IRQ_LINE", f"line {number}: a vCPU has IRQ (0) and FIQ (1)"
            )
        requests.set_line(vcpu, number, level)

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self._no_attr("KVM_SET_DEVICE_ATTR", group, attr)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        raise self._no_attr_error("KVM_GET_DEVICE_ATTR", group, attr)

    def has_device_attr(self, group: int, attr: int) -> bool:
        self.check_open("KVM_HAS_DEVICE_ATTR")
        return False

    def _no_attr(self, call: str, group: int, attr: int) -> None:
        raise self._no_attr_error(call, group, attr)

    def _no_attr_error(self, call: str, group: int, attr: int) -> KvmError:
        self.check_open(call)
        return KvmError(errno.ENXIO, call, f"the machine has no attribute {attr} in group {group}")

    # -- snapshots --------------------------------------------------------------------------------

    def snapshot(self) -> SoftSnapshot:
        """The extension SupportsSnapshots."""
        from guestdbg.kvm.soft.snapshot import snapshots

        return snapshots.take(self)

    def restore(self, snapshot: Snapshot) -> None:
        """The extension SupportsSnapshots."""
        self.will_change("restore")
        from guestdbg.kvm.soft.snapshot import snapshots

        snapshots.restore(self, snapshot)

    def prepare_snapshot(self, beside: Snapshot | None) -> int:
        """The extension SupportsRepeatedRuns."""
        from guestdbg.kvm.soft.snapshot import snapshots

        return snapshots.prepare(self, beside)

    def save_snapshot(self, snapshot: Snapshot, before: Snapshot | None = None) -> SavedSnapshot:
        """The extension SupportsSnapshotFiles."""
        from guestdbg.kvm.soft.snapshot import serial
        from guestdbg.kvm.soft.snapshot.changed_pages import ChangedPages
        from guestdbg.kvm.soft.snapshot.snapshots import SoftSnapshot

        data = serial.save(snapshot)
        assert isinstance(snapshot, SoftSnapshot)
        regions = snapshot.regions
        known = before.regions if isinstance(before, SoftSnapshot) else {}
        return SavedSnapshot(
            data,
            {
                number: ChangedPages(region.pages, known[number].pages)
                if number in known and known[number].size == region.size
                else region.pages
                for number, region in regions.items()
            },
            {number: region.size for number, region in regions.items()},
        )

    def load_snapshot(self, state: bytes, image: MemoryImage, mapped: Iterable[int]) -> Snapshot:
        """The extension SupportsSnapshotFiles."""
        self.check_open("load_snapshot")
        from guestdbg.kvm.soft.snapshot import serial

        snapshot = serial.load(self, state, image)
        serial.known_contents(self, snapshot, set(mapped))
        return snapshot

    def load_changed_snapshot(
        self, state: bytes, before: Snapshot, changed: Iterable[PageRuns]
    ) -> Snapshot:
        """The extension SupportsSnapshotFiles."""
        self.check_open("load_snapshot")
        from guestdbg.kvm.soft.snapshot import serial

        return serial.load_changed(self, state, before, changed)

    def close(self) -> None:
        if self.closed:
            return
        for vcpu in self.soft_vcpus:
            vcpu.close()
        for slot in list(self.slots):
            self.phys.unmap(slot)
        self.slots.clear()
        self.dirty_logs.clear()
        self.closed = True


def _only_log_changes(old: Slot | None, new: Slot) -> bool:
    """Whether the slot stays as it is, but for KVM_MEM_LOG_DIRTY_PAGES (KVM_MR_FLAGS_ONLY)."""
    return (
        old is not None
        and old.memory is new.memory
        and old.start == new.start
        and old.flags ^ new.flags == KVM_MEM_LOG_DIRTY_PAGES
    )


def _size_of(memory: Memory) -> int:
    """The length of a buffer in bytes.

    Raises:
        KvmError: EFAULT: it is not writable, or not contiguous.
    """
    call = "KVM_SET_USER_MEMORY_REGION"
    # Released at once: who keeps an error keeps its frames, and must be able to close the buffer.
    with memoryview(memory) as view:
        if view.readonly:
            raise KvmError(
                errno.EFAULT,
                call,
                "the buffer is read-only; give a writable one (KVM_MEM_READONLY makes the slot "
                "read-only to the guest)",
            )
        if not view.c_contiguous:
            raise KvmError(errno.EFAULT, call, "the buffer is not contiguous")
        return view.nbytes


def _ipa_bits(vm_type: int, limit: int) -> int:
    """The width of a machine's physical addresses, from the type of KVM_CREATE_VM."""
    if vm_type & ~KVM_VM_TYPE_ARM_IPA_SIZE_MASK or vm_type < 0:
        raise KvmError(errno.EINVAL, "KVM_CREATE_VM", f"unknown machine type {vm_type:#x}")
    bits = vm_type or min(DEFAULT_IPA_BITS, limit)
    if not MIN_IPA_BITS <= bits <= limit:
        raise KvmError(
            errno.EINVAL,
            "KVM_CREATE_VM",
            f"{bits} bits of physical address: {MIN_IPA_BITS} to {limit} are possible "
            "(KVM_CAP_ARM_VM_IPA_SIZE)",
        )
    return bits
