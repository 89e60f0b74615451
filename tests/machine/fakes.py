"""A provider without a processor: its vCPUs return exits from a list, and record the calls."""

import errno
from collections.abc import Callable, Iterable, Sequence

from guestdbg.kvm import (
    Device,
    Exit,
    ExitIntr,
    ExitSystemEvent,
    GuestDebug,
    Kvm,
    KvmError,
    Memory,
    Vcpu,
    VcpuEvents,
    VcpuInit,
    Vm,
)
from guestdbg.kvm.constants import (
    KVM_CAP_ARM_INJECT_EXT_DABT,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_CAP_READONLY_MEM,
    KVM_CREATE_DEVICE_TEST,
    KVM_SYSTEM_EVENT_SHUTDOWN,
)
from guestdbg.kvm.regs import name_of

ALL_CAPS = frozenset({KVM_CAP_ARM_INJECT_EXT_DABT, KVM_CAP_ARM_NISV_TO_USER, KVM_CAP_READONLY_MEM})
POWER_OFF = ExitSystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN)


class FakeVcpu(Vcpu):
    def __init__(self, vm: "FakeVm", number: int) -> None:
        self._vm = vm
        self._id = number
        self.script: list[Exit | BaseException] = []
        self.answers: list[bytes] = []
        self.events: list[VcpuEvents] = []
        self.regs: dict[str, int] = {}
        self.inits: list[VcpuInit] = []
        self._immediate_exit = False
        self.kicks = 0
        self.before_run: Callable[[], object] = lambda: None

    @property
    def id(self) -> int:
        return self._id

    @property
    def vm(self) -> Vm:
        return self._vm

    def init(self, init: VcpuInit) -> None:
        self.inits.append(init)
        self.regs.clear()

    def get_one_reg(self, reg_id: int) -> int:
        return self.regs.get(name_of(reg_id), 0)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        self.regs[name_of(reg_id)] = value

    def get_reg_list(self) -> list[int]:
        return []

    def get_vcpu_events(self) -> VcpuEvents:
        return VcpuEvents()

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        self.events.append(events)

    def get_mp_state(self) -> int:
        return 0

    def set_mp_state(self, state: int) -> None:
        raise NotImplementedError

    def set_guest_debug(self, debug: GuestDebug) -> None:
        raise NotImplementedError

    def run(self) -> Exit:
        if self._immediate_exit:
            return ExitIntr()
        self.before_run()
        if not self.script:
            return POWER_OFF
        exit_ = self.script.pop(0)
        if isinstance(exit_, BaseException):
            raise exit_
        return exit_

    def complete_mmio(self, data: bytes) -> None:
        self.answers.append(data)

    def kick(self) -> None:
        self.kicks += 1

    @property
    def immediate_exit(self) -> bool:
        return self._immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        self._immediate_exit = value

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        raise NotImplementedError

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        raise NotImplementedError

    def has_device_attr(self, group: int, attr: int) -> bool:
        return False

    def close(self) -> None:
        pass


class FakeDevice(Device):
    """A device in the kernel: records the attributes that are set."""

    def __init__(self) -> None:
        self.attributes: list[tuple[int, int, bytes]] = []

    def set_attr(self, group: int, attr: int, value: bytes) -> None:
        self.attributes.append((group, attr, value))

    def get_attr(self, group: int, attr: int, size: int) -> bytes:
        return (0x403).to_bytes(size, "little")  # ICC_CTLR_EL1: 5 priority bits, CBPR, EOImode

    def has_attr(self, group: int, attr: int) -> bool:
        return True

    def close(self) -> None:
        pass


class FakeVm(Vm):
    def __init__(self, caps: Iterable[int], device_types: Iterable[int] = ()) -> None:
        self.caps = frozenset(caps)
        self.device_types = frozenset(device_types)
        self.devices: dict[int, FakeDevice] = {}
        self.lines: list[tuple[int, int]] = []
        self.enabled: list[int] = []
        self.slots: dict[int, tuple[int, Memory | None, int]] = {}
        self.changed: list[tuple[int, int]] = []
        self.closed = False
        self._vcpus: list[FakeVcpu] = []

    @property
    def vcpus(self) -> Sequence[Vcpu]:
        return self._vcpus

    def check_extension(self, cap: int) -> int:
        return int(cap in self.caps)

    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        self.enabled.append(cap)

    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        self.slots[slot] = (guest_phys_addr, memory, flags)

    def get_dirty_log(self, slot: int) -> bytes:
        raise NotImplementedError

    def create_vcpu(self, vcpu_id: int = 0) -> Vcpu:
        vcpu = FakeVcpu(self, vcpu_id)
        self._vcpus.append(vcpu)
        return vcpu

    def preferred_target(self) -> VcpuInit:
        return VcpuInit(2)

    def create_device(self, device_type: int, flags: int = 0) -> Device:
        if device_type not in self.device_types:
            raise KvmError(errno.ENODEV, "KVM_CREATE_DEVICE", "no such device")
        device = FakeDevice()
        if not flags & KVM_CREATE_DEVICE_TEST:
            self.devices[device_type] = device
        return device

    def irq_line(self, irq: int, level: int) -> None:
        self.lines.append((irq, level))

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        raise NotImplementedError

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        raise NotImplementedError

    def has_device_attr(self, group: int, attr: int) -> bool:
        return False

    def code_changed(self, guest_phys_addr: int, length: int) -> None:
        self.changed.append((guest_phys_addr, length))

    def close(self) -> None:
        self.closed = True


class FakeKvm(Kvm):
    provider = "fake"

    def __init__(self, caps: Iterable[int] = ALL_CAPS, device_types: Iterable[int] = ()) -> None:
        self.caps = caps
        self.device_types = device_types
        self.vm = FakeVm(caps, device_types)

    def api_version(self) -> int:
        return 12

    def check_extension(self, cap: int) -> int:
        return int(cap in self.vm.caps)

    def create_vm(self, vm_type: int = 0) -> Vm:
        self.vm = FakeVm(self.caps, self.device_types)
        return self.vm

    def close(self) -> None:
        pass
