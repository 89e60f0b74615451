"""The seam: ``Kvm``, ``Vm``, ``Vcpu`` and ``Device``, answered by either provider.

These are the KVM API's calls as methods. docs/kvm-api.md tells each in full: parameters, what is
returned, and which errors. Every method may raise ``KvmError`` with the errno of the kernel.
"""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from guestdbg.closing import Closing
from guestdbg.kvm.debug_state import DebugState
from guestdbg.kvm.exits import Exit
from guestdbg.kvm.structures import GuestDebug, VcpuEvents, VcpuInit

#: Memory that can back a guest: writable, its length a multiple of the page size (4 KiB).
Memory = mmap.mmap | bytearray | memoryview


class Kvm(Closing):
    """A provider: ``/dev/kvm``, or the software KVM that answers like it.

    Attributes:
        provider: ``"soft"`` or ``"host"``.
    """

    provider: str

    @abstractmethod
    def api_version(self) -> int:
        """KVM_GET_API_VERSION: always 12."""

    @abstractmethod
    def check_extension(self, cap: int) -> int:
        """KVM_CHECK_EXTENSION: 0 for what is not there, otherwise 1 or the capability's value."""

    @abstractmethod
    def create_vm(self, vm_type: int = 0) -> Vm:
        """KVM_CREATE_VM. ``vm_type``: 0, or the width of the physical address space in bits."""


class _Attributed(Closing):
    """What has attributes of its own: a machine, or a vCPU (timer, PMU)."""

    @abstractmethod
    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        """KVM_SET_DEVICE_ATTR."""

    @abstractmethod
    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        """KVM_GET_DEVICE_ATTR: ``size`` bytes."""

    @abstractmethod
    def has_device_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR."""


class Vm(_Attributed):
    """A virtual machine: memory slots, vCPUs, devices."""

    @property
    @abstractmethod
    def vcpus(self) -> Sequence[Vcpu]:
        """The vCPUs created so far, in the order of their creation."""

    @abstractmethod
    def check_extension(self, cap: int) -> int:
        """KVM_CHECK_EXTENSION on the machine."""

    @abstractmethod
    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        """KVM_ENABLE_CAP: turn on an optional behaviour (KVM_CAP_ARM_NISV_TO_USER)."""

    @abstractmethod
    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        """KVM_SET_USER_MEMORY_REGION: map ``memory`` at a guest-physical address; None deletes.

        The guest reads and writes the caller's buffer itself; it is kept alive by the slot.
        """

    @abstractmethod
    def create_vcpu(self, vcpu_id: int = 0) -> Vcpu:
        """KVM_CREATE_VCPU."""

    @abstractmethod
    def preferred_target(self) -> VcpuInit:
        """KVM_ARM_PREFERRED_TARGET: what ``Vcpu.init`` should be given."""

    @abstractmethod
    def create_device(self, device_type: int, flags: int = 0) -> Device:
        """KVM_CREATE_DEVICE: a device in the kernel (KVM_DEV_TYPE_*)."""

    @abstractmethod
    def irq_line(self, irq: int, level: int) -> None:
        """KVM_IRQ_LINE: ``irq`` as type << 24 | vcpu << 16 | number."""


class Vcpu(_Attributed):
    """A virtual processor.

    One thread runs it and calls its methods. Only ``kick()`` may be called by any other.
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
        """KVM_ARM_VCPU_INIT: choose target and features, and reset. Again: reset only."""

    @abstractmethod
    def get_one_reg(self, reg_id: int) -> int:
        """KVM_GET_ONE_REG. Ids by name: ``guestdbg.kvm.regs``."""

    @abstractmethod
    def set_one_reg(self, reg_id: int, value: int) -> None:
        """KVM_SET_ONE_REG."""

    @abstractmethod
    def get_reg_list(self) -> list[int]:
        """KVM_GET_REG_LIST: every id that one-reg access knows."""

    @abstractmethod
    def get_vcpu_events(self) -> VcpuEvents:
        """KVM_GET_VCPU_EVENTS."""

    @abstractmethod
    def set_vcpu_events(self, events: VcpuEvents) -> None:
        """KVM_SET_VCPU_EVENTS."""

    @abstractmethod
    def get_mp_state(self) -> int:
        """KVM_GET_MP_STATE: KVM_MP_STATE_RUNNABLE or KVM_MP_STATE_STOPPED."""

    @abstractmethod
    def set_mp_state(self, state: int) -> None:
        """KVM_SET_MP_STATE."""

    @abstractmethod
    def set_guest_debug(self, debug: GuestDebug) -> None:
        """KVM_SET_GUEST_DEBUG: debug the guest from here on as ``debug`` says."""

    @abstractmethod
    def run(self) -> Exit:
        """KVM_RUN: run the guest until something concerns the caller.

        A kick or ``immediate_exit`` gives ``ExitIntr``, never an error.
        """

    @abstractmethod
    def complete_mmio(self, data: bytes) -> None:
        """Answer the read of the last ``ExitMmio``: ``len`` bytes, taken at the next run."""

    @abstractmethod
    def kick(self) -> None:
        """Make the current ``run()``, or the next, return ``ExitIntr``. From any thread."""

    @property
    @abstractmethod
    def immediate_exit(self) -> bool:
        """``kvm_run.immediate_exit``: run() completes pending work and returns ``ExitIntr``."""

    @immediate_exit.setter
    @abstractmethod
    def immediate_exit(self, value: bool) -> None: ...


class Device(Closing):
    """A device in the kernel, of ``Vm.create_device``."""

    @abstractmethod
    def set_attr(self, group: int, attr: int, value: bytes) -> None:
        """KVM_SET_DEVICE_ATTR."""

    @abstractmethod
    def get_attr(self, group: int, attr: int, size: int) -> bytes:
        """KVM_GET_DEVICE_ATTR: ``size`` bytes."""

    @abstractmethod
    def has_attr(self, group: int, attr: int) -> bool:
        """KVM_HAS_DEVICE_ATTR."""


# -- optional interfaces: what only one provider can do. Find out with isinstance(). --------------


@runtime_checkable
class SupportsDebugState(Protocol):
    """A vCPU whose hidden debug state can be looked at."""

    @property
    def debug_state(self) -> DebugState:
        """A snapshot of who owns the debug registers and what they hold."""


@runtime_checkable
class SupportsInstructionCount(Protocol):
    """A vCPU that counts what it retires."""

    @property
    def instructions(self) -> int:
        """Instructions retired since the vCPU was created."""


@runtime_checkable
class SupportsInstructionLimit(Protocol):
    """A vCPU that can be told when to stop."""

    @property
    def max_instructions(self) -> int | None:
        """``run()`` returns ``ExitIntr`` once this many have retired in total; None: no limit."""

    @max_instructions.setter
    def max_instructions(self, value: int | None) -> None: ...


@runtime_checkable
class SupportsFinalize(Protocol):
    """A vCPU that can have features whose shape is chosen after ``init`` (SVE)."""

    def finalize(self, feature: int) -> None:
        """KVM_ARM_VCPU_FINALIZE: the shape of a feature (KVM_ARM_VCPU_SVE) is as it is now.

        KvmError: EINVAL for a feature that the vCPU was not initialised with, EPERM a second time.
        """


@runtime_checkable
class SupportsCodeChanged(Protocol):
    """A machine that must be told when userspace writes instructions."""

    def code_changed(self, guest_phys_addr: int, length: int) -> None:
        """Forget what was decoded from ``length`` bytes at ``guest_phys_addr``."""


class Snapshot(ABC):
    """A machine as it was at one time: vCPUs, memory, pending work. See ``SupportsSnapshots``.

    It takes the memory of its pages that hold anything, less those that it shares with the
    snapshots before and after it, for as long as somebody refers to it.
    """

    @property
    @abstractmethod
    def instructions(self) -> tuple[int, ...]:
        """What each vCPU had retired."""

    @property
    @abstractmethod
    def memory_size(self) -> int:
        """Bytes of guest memory that it holds: its pages that were not zero."""

    @property
    @abstractmethod
    def own_memory_size(self) -> int:
        """Of these, bytes that no other snapshot holds as well."""


@runtime_checkable
class SupportsSnapshots(Protocol):
    """A machine whose whole state can be kept, and brought back as often as wanted."""

    def snapshot(self) -> Snapshot:
        """All that the machine is: its vCPUs, memory, time, and what is pending.

        Between runs only. KvmError: EBUSY while a vCPU runs, EBADF when the machine is closed.
        """

    def restore(self, snapshot: Snapshot) -> None:
        """Be exactly as at ``snapshot``: the run from here is the run from there.

        Between runs only. KvmError: EBUSY and EBADF as above; EINVAL for a snapshot of another
        machine, or when vCPUs or memory slots are not those that there were. Nothing has changed
        then.
        """
