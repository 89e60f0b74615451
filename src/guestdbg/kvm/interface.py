"""The seam: ``Kvm``, ``Vm``, ``Vcpu`` and ``Device``, which either provider implements.

The methods are the calls of the KVM API. Section numbers are those of the kernel's document,
Documentation/virt/kvm/api.rst; docs/kvm-api.md describes each call in full.

Every method may raise ``KvmError`` with the errno of the kernel: EBADF for an object that is
closed, and for a vCPU EBUSY while a thread is inside ``run()`` and ENOEXEC before ``init()``. The
errors listed with a method are those that a caller can expect beyond these.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.container import MemoryImage, PageRuns, PageSource
    from guestdbg.kvm.debug_state import DebugState
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.structures import GuestDebug, VcpuEvents, VcpuInit

#: Memory that can back a guest: writable, contiguous, its length a multiple of the page size. That
#: is 4 KiB; on the host provider it is the host's, and the buffer must start on a page.
Memory = mmap.mmap | bytearray | memoryview


class Kvm(Closing):
    """A provider: ``/dev/kvm``, or the software KVM that answers like it.

    Attributes:
        provider: ``"soft"`` or ``"host"``.
        linux: the release of the kernel that answers, such as ``"6.1.0-31-arm64"``; of the software
            KVM, the version that it answers as, such as ``"6.14"``.
    """

    provider: str
    linux: str

    @abstractmethod
    def api_version(self) -> int:
        """KVM_GET_API_VERSION (4.1): always 12."""

    @abstractmethod
    def check_extension(self, cap: int) -> int:
        """KVM_CHECK_EXTENSION (4.4) of a capability (KVM_CAP_*).

        Returns 0 if the provider does not have it, otherwise 1 or the capability's value.
        """

    @abstractmethod
    def create_vm(self, vm_type: int = 0) -> Vm:
        """KVM_CREATE_VM (4.2).

        Args:
            vm_type: the width of guest-physical addresses in bits, or 0 for the default, 40.

        Raises:
            KvmError: EINVAL for fewer than 32 bits, or more than KVM_CAP_ARM_VM_IPA_SIZE.
        """


class _Attributed(Closing):
    """An object with device attributes: a machine, or a vCPU (timer, PMU)."""

    @abstractmethod
    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        """KVM_SET_DEVICE_ATTR (4.80).

        Args:
            value: what the attribute's pointer points to, in the host's byte order; ``b""`` for an
                attribute without a value.

        Raises:
            KvmError: ENXIO: no such attribute; EINVAL: not this value, or not now; EBUSY: in use.
        """

    @abstractmethod
    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        """KVM_GET_DEVICE_ATTR (4.80): the attribute's value, ``size`` bytes.

        Raises:
            KvmError: ENXIO: no such attribute; EFAULT or EINVAL: another size.
        """

    @abstractmethod
    def has_device_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR (4.81): whether the attribute exists."""


class Vm(_Attributed):
    """A virtual machine: memory slots, vCPUs, devices. Its calls may come from any thread."""

    @property
    @abstractmethod
    def vcpus(self) -> Sequence[Vcpu]:
        """The vCPUs created so far, in the order of their creation."""

    @abstractmethod
    def check_extension(self, cap: int) -> int:
        """KVM_CHECK_EXTENSION (4.4) on the machine: 0, 1, or the capability's value."""

    @abstractmethod
    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        """KVM_ENABLE_CAP (4.37): turn on an optional behaviour.

        KVM_CAP_ARM_NISV_TO_USER makes accesses without a valid syndrome exit as ``ExitArmNisv``.

        Raises:
            KvmError: EINVAL for a capability that cannot be enabled.
        """

    @abstractmethod
    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        """KVM_SET_USER_MEMORY_REGION (4.35): create, move, change or delete a memory slot.

        The guest reads and writes the caller's buffer itself; the slot keeps the buffer alive.

        Args:
            slot: number of the slot, below KVM_CAP_NR_MEMSLOTS.
            guest_phys_addr: where the guest has the memory, a multiple of the page size.
            memory: the buffer; None deletes the slot.
            flags: KVM_MEM_READONLY: the guest's writes exit as ``ExitMmio``;
                KVM_MEM_LOG_DIRTY_PAGES: ``get_dirty_log`` has the pages that the guest writes, from
                now on; or 0. A second call with the same memory turns the log on or off.

        Raises:
            KvmError: EINVAL: alignment, no bytes, an unknown flag, a slot out of range, another
                size than the slot has, or deleting a slot that is not in use; EEXIST: the range
                overlaps another slot; EFAULT: beyond the machine's physical addresses, or a
                read-only buffer.
        """

    @abstractmethod
    def get_dirty_log(self, slot: int) -> bytes:
        """KVM_GET_DIRTY_LOG (4.8): the pages of a slot that the guest wrote since the last call.

        A bit for each page of the size that slots have, the first page in bit 0 of byte 0; whole
        64-bit words. What userspace writes to the buffer is not in it. Call it between runs; during
        a run a page may be missing, and then it is in the next log.

        Raises:
            KvmError: EINVAL: a slot out of range; ENOENT: the slot is not in use, or was set
                without KVM_MEM_LOG_DIRTY_PAGES.
        """

    @abstractmethod
    def create_vcpu(self, vcpu_id: int = 0) -> Vcpu:
        """KVM_CREATE_VCPU (4.7). MPIDR_EL1 gets Aff0 = id & 15 and Aff1 = id >> 4.

        Raises:
            KvmError: EEXIST: there is a vCPU with this id; EINVAL: not below KVM_CAP_MAX_VCPU_ID.
        """

    @abstractmethod
    def preferred_target(self) -> VcpuInit:
        """KVM_ARM_PREFERRED_TARGET (4.83): the argument for ``Vcpu.init``, without features."""

    @abstractmethod
    def create_device(self, device_type: int, flags: int = 0) -> Device:
        """KVM_CREATE_DEVICE (4.79): a device in the kernel.

        Args:
            device_type: KVM_DEV_TYPE_*.
            flags: KVM_CREATE_DEVICE_TEST: only find out whether it could be created; or 0.

        Raises:
            KvmError: ENODEV: no device of this type; EEXIST, EBUSY: the machine has an interrupt
                controller, or has run already; E2BIG: more vCPUs than a GICv2 can have.
        """

    @abstractmethod
    def irq_line(self, irq: int, level: int) -> None:
        """KVM_IRQ_LINE (4.25): set an interrupt line.

        Args:
            irq: type << 24 | vCPU << 16 | number. Type 0: a vCPU's own IRQ (0) or FIQ (1) line,
                without an interrupt controller in the kernel; with one, types 1 (SPI; the number is
                its INTID, from 32) and 2 (PPI, 16 to 31).
            level: 0 or 1.

        Raises:
            KvmError: EINVAL: no such vCPU or number; ENXIO: no interrupt controller, or a type that
                the machine's does not have.
        """


class Vcpu(_Attributed):
    """A virtual processor.

    One thread runs it and calls its methods. Only ``kick()`` may be called by another thread.
    """

    @property
    @abstractmethod
    def id(self) -> int:
        """The id that it was created with."""

    @property
    @abstractmethod
    def vm(self) -> Vm:
        """The machine that it belongs to."""

    @abstractmethod
    def init(self, init: VcpuInit) -> None:
        """KVM_ARM_VCPU_INIT (4.82): choose target and features, and reset. Again: reset only.

        After it: PC 0, EL1h, D, A, I and F masked, MMU off; stopped with the feature
        KVM_ARM_VCPU_POWER_OFF. ``set_guest_debug`` stays in force.

        Raises:
            KvmError: EINVAL: another target than the preferred one, a feature that is not offered,
                or other features than before; ENOENT: a feature that does not exist.
        """

    @abstractmethod
    def get_one_reg(self, reg_id: int) -> int:
        """KVM_GET_ONE_REG (4.69). ``guestdbg.kvm.regs`` has the ids by name.

        Of the debug registers it is always the guest's own set.

        Raises:
            KvmError: ENOENT: no such register; EINVAL: this cannot be an id.
        """

    @abstractmethod
    def set_one_reg(self, reg_id: int, value: int) -> None:
        """KVM_SET_ONE_REG (4.68).

        Raises:
            KvmError: ENOENT: no such register; EINVAL: this cannot be an id, or the register does
                not accept the value (too wide, a mode that does not exist, an ID register).
        """

    @abstractmethod
    def get_reg_list(self) -> list[int]:
        """KVM_GET_REG_LIST (4.84): every id that one-reg access accepts."""

    @abstractmethod
    def get_vcpu_events(self) -> VcpuEvents:
        """KVM_GET_VCPU_EVENTS (4.31): exceptions that are pending for the guest."""

    @abstractmethod
    def set_vcpu_events(self, events: VcpuEvents) -> None:
        """KVM_SET_VCPU_EVENTS (4.32): make exceptions pending.

        Raises:
            KvmError: EINVAL: a syndrome for an SError, on a processor without RAS.
        """

    @abstractmethod
    def get_mp_state(self) -> int:
        """KVM_GET_MP_STATE (4.38): KVM_MP_STATE_RUNNABLE or KVM_MP_STATE_STOPPED."""

    @abstractmethod
    def set_mp_state(self, state: int) -> None:
        """KVM_SET_MP_STATE (4.39).

        Raises:
            KvmError: EINVAL for any state but those two.
        """

    @abstractmethod
    def set_guest_debug(self, debug: GuestDebug) -> None:
        """KVM_SET_GUEST_DEBUG (4.87): how the guest is debugged from the next run on.

        Raises:
            KvmError: EINVAL for a control flag that is not in KVM_CAP_SET_GUEST_DEBUG2; nothing has
                changed then.
        """

    @abstractmethod
    def run(self) -> Exit:
        """KVM_RUN (4.10): run the guest until there is an exit to userspace.

        A kick or ``immediate_exit`` gives ``ExitIntr``, never an error.

        Raises:
            KvmError: ENOSYS: the guest accessed an address outside every slot with an instruction
                that the syndrome does not describe (see ``ExitArmNisv``).
        """

    @abstractmethod
    def complete_mmio(self, data: bytes) -> None:
        """Answer the read of the last ``ExitMmio``; the next run writes it to the register.

        Args:
            data: ``len`` bytes in memory order. A read that is not answered gives zero.

        Raises:
            KvmError: EINVAL: the last exit was not an MMIO read, or another number of bytes.
        """

    @abstractmethod
    def kick(self) -> None:
        """Make the current ``run()``, or else the next, return ``ExitIntr``. From any thread."""

    @property
    @abstractmethod
    def immediate_exit(self) -> bool:
        """``kvm_run.immediate_exit``: while True, ``run()`` does not enter the guest.

        It completes pending work (an MMIO access) and returns ``ExitIntr``.
        """

    @immediate_exit.setter
    @abstractmethod
    def immediate_exit(self, value: bool) -> None: ...


class Device(Closing):
    """A device in the kernel, which ``Vm.create_device`` returns."""

    @abstractmethod
    def set_attr(self, group: int, attr: int, value: bytes) -> None:
        """KVM_SET_DEVICE_ATTR (4.80): see ``Vm.set_device_attr``."""

    @abstractmethod
    def get_attr(self, group: int, attr: int, size: int) -> bytes:
        """KVM_GET_DEVICE_ATTR (4.80): ``size`` bytes."""

    @abstractmethod
    def has_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR (4.81): whether the attribute exists."""


# -- optional interfaces: what only one provider has. Ask with isinstance(). ---------------------


@runtime_checkable
class SupportsDebugState(Protocol):
    """A vCPU whose hidden debug state can be read."""

    @property
    def debug_state(self) -> DebugState:
        """Who owns the debug registers and what they hold, at this moment. Between runs only."""


@runtime_checkable
class SupportsCounterFrequency(Protocol):
    """A vCPU that says how fast its virtual counter (CNTVCT_EL0) counts: one-reg does not."""

    @property
    def counter_frequency(self) -> int:
        """Ticks in a second: the CNTFRQ_EL0 that the guest reads after reset."""


@runtime_checkable
class SupportsInstructionCount(Protocol):
    """A vCPU that counts the instructions it retires."""

    @property
    def instructions(self) -> int:
        """Instructions retired since the vCPU was created."""


@runtime_checkable
class SupportsInstructionLimit(Protocol):
    """A vCPU that can stop after a number of instructions."""

    @property
    def max_instructions(self) -> int | None:
        """``run()`` returns ``ExitIntr`` once so many have retired in total; None: no limit.

        Setting a negative number raises KvmError (EINVAL).
        """

    @max_instructions.setter
    def max_instructions(self, value: int | None) -> None: ...


@runtime_checkable
class SupportsPausedVcpus(Protocol):
    """A machine in which a vCPU that waits (WFI) may wait for the timer of another one.

    Attributes:
        paused: the ids of vCPUs that userspace does not run for now. None waits for their timers,
            or for what they might do: time goes on without them. Empty at the start.
    """

    paused: frozenset[int]


@runtime_checkable
class SupportsFinalize(Protocol):
    """A vCPU with features whose configuration is fixed after ``init`` (SVE)."""

    def finalize(self, feature: int) -> None:
        """KVM_ARM_VCPU_FINALIZE (4.119): fix the configuration of a feature (KVM_ARM_VCPU_SVE).

        Raises:
            KvmError: EINVAL: the vCPU was not initialised with the feature; EPERM: finalized
                already.
        """


@runtime_checkable
class SupportsCodeChanged(Protocol):
    """A machine that must know when userspace writes instructions into its memory."""

    def code_changed(self, guest_phys_addr: int, length: int) -> None:
        """Forget what was decoded or cached of ``length`` bytes at ``guest_phys_addr``.

        Call it after every write of instructions. The guest's own writes need no call.
        """


class DirtyPageReader(Protocol):
    """A reader of ``SupportsDirtyPages``."""

    def pages(self) -> list[tuple[int, int]]:
        """(first page, pages) of the slot, in ascending order, in units of 4 KiB: what was written
        since the last call, or since the reader was opened.

        Raises:
            KvmError: ENOENT: it is closed, or the slot was replaced.
        """

    def close(self) -> None:
        """Nothing is noted for this reader any more."""


@runtime_checkable
class SupportsDirtyPages(Protocol):
    """A machine that knows which pages of memory were written. Any number of readers may be open.

    Attributes:
        reports_writes: userspace calls ``memory_written`` after each of its writes. Then a snapshot
            looks only at the pages that were written since the last one. False at the start.
    """

    reports_writes: bool

    def memory_written(self, guest_phys_addr: int, length: int) -> None:
        """Userspace, or a device, has written ``length`` bytes of memory. See ``code_changed`` for
        instructions. The guest's own writes need no call."""

    def dirty_pages(self, slot: int) -> DirtyPageReader:
        """Open a reader. Unlike ``get_dirty_log``, it knows of ``memory_written``, too.

        Raises:
            KvmError: ENOENT: the slot is not in use.
        """


@runtime_checkable
class SupportsRepeatedRuns(Protocol):
    """A machine that does the same again, from a snapshot and with the same inputs.

    Attributes:
        stops_are_invisible: a guest runs the same whether it is stopped and stepped or not. An exit
            that userspace's debugging has caused does not clear the exclusive monitor, as the
            exception return of real hardware does when the vCPU goes on; the TLBs never hold a
            translation that the guest's tables do not have, so that it does not matter when they
            are emptied; and SPSR_EL1 does not show userspace's steps. False at the start.
        before_change: called with the name of a call of userspace that may change the machine
            (``"KVM_SET_ONE_REG"``, ``"KVM_RUN"``, ``"restore"``, …), before it does; an error that
            it raises is the call's. None at the start.
    """

    stops_are_invisible: bool
    before_change: Callable[[str], object] | None

    @property
    def runs_repeat(self) -> bool:
        """Whether it does now: not while its time is the host's."""

    def prepare_snapshot(self, beside: Snapshot | None) -> int:
        """Bytes of the host's memory that the guest memory in a snapshot takes, if it is taken now,
        at most, without what ``beside`` holds too. Between runs only.

        The next snapshot shares the pages of ``beside`` that are as they were then; otherwise those
        of the snapshot that was taken or restored last. Where the memory slots were others then,
        nothing is shared.

        Raises:
            KvmError: EBUSY and EBADF as ``SupportsSnapshots.snapshot``; EINVAL: that is a snapshot
                of another provider.
        """


class Snapshot(ABC):
    """The state of a machine at one time: vCPUs, memory, pending work. See ``SupportsSnapshots``.

    While it is referenced it keeps a copy of every page that is not zero; it shares equal pages
    with the snapshots taken before and after it.
    """

    @property
    @abstractmethod
    def instructions(self) -> tuple[int, ...]:
        """Instructions that each vCPU had retired."""

    @property
    @abstractmethod
    def memory_size(self) -> int:
        """Bytes of guest memory that it holds: its pages that were not zero."""

    @property
    @abstractmethod
    def own_memory_size(self) -> int:
        """Bytes of these that no other snapshot holds too."""

    @abstractmethod
    def size_beside(self, other: Snapshot | None) -> int:
        """Bytes of the host's memory that all of it takes, without what ``other`` holds too."""


@runtime_checkable
class SupportsOptions(Protocol):
    """A provider that says how it was opened.

    Attributes:
        options: the keyword arguments of ``open_kvm`` for another one like it: text, numbers and
            truth values.
    """

    @property
    def options(self) -> dict[str, str | int | bool]: ...


class SavedSnapshot(NamedTuple):
    """A snapshot as it is written to a file: see ``SupportsSnapshotFiles``.

    Attributes:
        state: all of it except the contents of memory.
        pages: the pages of each memory slot that are not zero, or that have changed, by its number.
        sizes: the size of each slot in bytes.
    """

    state: bytes
    pages: Mapping[int, PageSource]
    sizes: Mapping[int, int]


@runtime_checkable
class SupportsSnapshotFiles(Protocol):
    """A machine whose snapshots can be written to files, and read by another process."""

    def save_snapshot(self, snapshot: Snapshot, before: Snapshot | None = None) -> SavedSnapshot:
        """A snapshot of this or another machine, as it is written to a file.

        ``before``: the file has this snapshot of the same machine too: only pages that differ from
        it are given, also those that are zero now.

        Raises:
            KvmError: EINVAL: it is of another provider.
        """

    def load_snapshot(self, state: bytes, image: MemoryImage, mapped: Iterable[int]) -> Snapshot:
        """The snapshot of ``SavedSnapshot.state``, for ``restore``. ``image`` has its memory.

        ``mapped``: the slots whose buffers are mapped from ``image`` (``MemoryImage.private``) and
        have not been written since: restoring it does not look at their pages.

        Raises:
            KvmError: EINVAL: it is damaged, or this machine differs from that of the snapshot.
        """

    def load_changed_snapshot(
        self, state: bytes, before: Snapshot, changed: Iterable[PageRuns]
    ) -> Snapshot:
        """The same for a snapshot that was saved with ``before``, and these pages.

        Raises:
            KvmError: EINVAL: as above, or a page is outside its slot, or twice there.
        """


@runtime_checkable
class SupportsSnapshots(Protocol):
    """A machine whose whole state can be saved, and restored any number of times."""

    def snapshot(self) -> Snapshot:
        """Save the machine's state: vCPUs, memory, time, and what is pending. Between runs only.

        Raises:
            KvmError: EBUSY: a vCPU is running; EBADF: the machine is closed.
        """

    def restore(self, snapshot: Snapshot) -> None:
        """Give the machine the state of ``snapshot``: from here it runs as it ran from there.

        Between runs only. The snapshot may be of another machine with the same provider options,
        vCPUs, interrupt controller and memory slots (addresses, sizes and flags).

        Raises:
            KvmError: EBUSY and EBADF as above; EINVAL: these are not the same; the text says what
                differs. Nothing has changed then.
        """
