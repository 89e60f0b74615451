"""A machine of the host provider."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
from collections.abc import Sequence
from ctypes import addressof, c_char
from typing import TYPE_CHECKING

from guestdbg.kvm.constants import (
    KVM_ARM_PREFERRED_TARGET,
    KVM_CAP_ARM_NISV_TO_USER,
    KVM_CREATE_DEVICE,
    KVM_CREATE_DEVICE_TEST,
    KVM_CREATE_VCPU,
    KVM_ENABLE_CAP,
    KVM_GET_DIRTY_LOG,
    KVM_IRQ_LINE,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host import device
from guestdbg.kvm.host.calls import call, check_extension
from guestdbg.kvm.host.device import HostDevice
from guestdbg.kvm.host.slots import Slots
from guestdbg.kvm.host.vcpu import HostVcpu
from guestdbg.kvm.interface import Vm
from guestdbg.kvm.layouts import (
    kvm_create_device,
    kvm_dirty_log,
    kvm_enable_cap,
    kvm_irq_level,
    kvm_vcpu_init,
)
from guestdbg.kvm.structures import VcpuInit

if TYPE_CHECKING:
    from guestdbg.kvm.host.caches import MakeVisible
    from guestdbg.kvm.interface import Memory

_U32 = (1 << 32) - 1
_U64 = (1 << 64) - 1


class HostVm(Vm):
    """A machine in the kernel. Closing it closes its vCPUs and devices."""

    def __init__(self, fd: int, run_size: int) -> None:
        """``run_size``: bytes of a vCPU's ``kvm_run`` mapping (KVM_GET_VCPU_MMAP_SIZE)."""
        self._fd = fd
        self._run_size = run_size
        self._slots = Slots()
        self._vcpus: list[HostVcpu] = []
        self._devices: list[HostDevice] = []

    def __repr__(self) -> str:
        return f"<HostVm {len(self._slots)} slots, {len(self._vcpus)} vCPUs>"

    @property
    def vcpus(self) -> Sequence[HostVcpu]:
        return tuple(self._vcpus)

    def check_extension(self, cap: int) -> int:
        return check_extension(self._fd, cap)

    def enable_cap(self, cap: int, args: Sequence[int] = ()) -> None:
        name = "KVM_ENABLE_CAP"
        if not 0 <= cap <= _U32 or len(args) > 4 or not all(0 <= arg <= _U64 for arg in args):
            raise KvmError(
                errno.EINVAL,
                name,
                f"capability {cap} with {len(args)} arguments: a capability is 32 bits wide, and "
                "takes up to 4 arguments of 64",
            )
        request = kvm_enable_cap(cap=cap)
        request.args[: len(args)] = list(args)

        def explain(number: int) -> str | None:
            if number == errno.EINVAL:
                return (
                    f"capability {cap} cannot be enabled on this kernel, or not now; "
                    f"KVM_CAP_ARM_NISV_TO_USER ({KVM_CAP_ARM_NISV_TO_USER}) can where "
                    "check_extension() has it"
                )
            return None

        call(self._fd, name, KVM_ENABLE_CAP, request, explain)

    def set_user_memory_region(
        self, slot: int, guest_phys_addr: int, memory: Memory | None, flags: int = 0
    ) -> None:
        self._slots.set(self._fd, slot, guest_phys_addr, memory, flags)

    def get_dirty_log(self, slot: int) -> bytes:
        name = "KVM_GET_DIRTY_LOG"

        def explain(number: int) -> str | None:
            return {
                errno.EINVAL: f"slot {slot} must be below KVM_CAP_NR_MEMSLOTS",
                errno.ENOENT: f"slot {slot} is not in use, or was set without "
                "KVM_MEM_LOG_DIRTY_PAGES",
            }.get(number)

        if not 0 <= slot < 1 << 32:
            raise KvmError(errno.EINVAL, name, f"slot {slot} is not 32 bits wide")
        # The kernel writes as many bytes as the slot needs.
        bitmap = bytearray(-(-self._slots.size(slot) // mmap.PAGESIZE // 64) * 8 or 8)
        place = (c_char * len(bitmap)).from_buffer(bitmap)
        call(self._fd, name, KVM_GET_DIRTY_LOG, kvm_dirty_log(slot, 0, addressof(place)), explain)
        return bytes(bitmap)

    def make_visible(self, make: MakeVisible, guest_phys_addr: int, length: int) -> None:
        """Make instructions that userspace wrote visible to the guest's fetches."""
        if self._fd < 0:
            raise KvmError(errno.EBADF, "code_changed", "the machine is closed")
        for _, address, size in self._slots.pieces(guest_phys_addr, length):
            make(address, address + size)

    def create_vcpu(self, vcpu_id: int = 0) -> HostVcpu:
        name = "KVM_CREATE_VCPU"

        def explain(number: int) -> str | None:
            return {
                errno.EEXIST: f"there is a vCPU {vcpu_id} already",
                errno.EINVAL: f"id {vcpu_id}: it must be below KVM_CAP_MAX_VCPUS "
                "(and fewer where the interrupt controller allows fewer)",
                errno.EBUSY: "the interrupt controller has been initialised: create vCPUs first",
            }.get(number)

        if not 0 <= vcpu_id < 1 << 31:
            raise KvmError(errno.EINVAL, name, f"id {vcpu_id}: 0 to KVM_CAP_MAX_VCPUS - 1")
        fd = call(self._fd, name, KVM_CREATE_VCPU, vcpu_id, explain)
        vcpu = HostVcpu(self, vcpu_id, fd, self._run_size)
        self._vcpus.append(vcpu)
        return vcpu

    def preferred_target(self) -> VcpuInit:
        init = kvm_vcpu_init()
        call(self._fd, "KVM_ARM_PREFERRED_TARGET", KVM_ARM_PREFERRED_TARGET, init)
        return VcpuInit(init.target, tuple(init.features))

    def create_device(self, device_type: int, flags: int = 0) -> HostDevice:
        name = "KVM_CREATE_DEVICE"
        if not 0 <= device_type <= _U32 or not 0 <= flags <= _U32:
            raise KvmError(
                errno.EINVAL,
                name,
                f"device type {device_type}, flags {flags:#x}: both are 32 bits wide",
            )

        def explain(number: int) -> str | None:
            return {
                errno.ENODEV: f"this kernel, or this processor, has no device of type {device_type}"
                " (a GICv3 host without a GICv2 interface has no GICv2 for guests)",
                errno.EEXIST: "the machine has an interrupt controller already",
                errno.EBUSY: "the vCPUs have run already: create the interrupt controller first",
                errno.EINVAL: f"unknown flags {flags:#x}",
                errno.E2BIG: "the machine has more vCPUs than this interrupt controller can have",
            }.get(number)

        request = kvm_create_device(device_type, 0, flags)
        call(self._fd, name, KVM_CREATE_DEVICE, request, explain)
        if flags & KVM_CREATE_DEVICE_TEST:
            return HostDevice(-1, device_type)
        device_ = HostDevice(request.fd, device_type)
        self._devices.append(device_)
        return device_

    def irq_line(self, irq: int, level: int) -> None:
        name = "KVM_IRQ_LINE"
        if not 0 <= irq <= _U32:
            raise KvmError(errno.EINVAL, name, f"irq {irq:#x} is not 32 bits wide")

        def explain(number: int) -> str | None:
            return {
                errno.EINVAL: f"irq {irq:#x} (type << 24 | vcpu << 16 | number): no such vCPU or "
                "number",
                errno.ENXIO: f"irq {irq:#x}: type 0, a vCPU's own lines, is for machines without "
                "an interrupt controller in the kernel; types 1 (SPI) and 2 (PPI) need one",
            }.get(number)

        call(self._fd, name, KVM_IRQ_LINE, kvm_irq_level(irq, int(bool(level))), explain)

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        device.set_attr(self._fd, "the machine", group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        return device.get_attr(self._fd, "the machine", group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        return device.has_attr(self._fd, "the machine", group, attr)

    def close(self) -> None:
        fd = self._fd
        if fd < 0:
            return
        running = next((vcpu for vcpu in self._vcpus if vcpu.running), None)
        if running is not None:
            running.check("close")
        for vcpu in self._vcpus:
            vcpu.close()
        for device_ in self._devices:
            device_.close()
        self._fd = -1
        with contextlib.suppress(OSError):
            os.close(fd)
        # The kernel unmaps the guest's memory with the last descriptor; the buffers must live until
        # then.
        self._slots.release()

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, KvmError):
            self.close()


class CodeChangingHostVm(HostVm):
    """A machine on a host whose caches let userspace make code visible to the guest."""

    def __init__(self, fd: int, run_size: int, make: MakeVisible) -> None:
        super().__init__(fd, run_size)
        self._make = make

    def code_changed(self, guest_phys_addr: int, length: int) -> None:
        """The extension SupportsCodeChanged: see ``guestdbg.kvm.host.caches``.

        Raises:
            KvmError: EBADF when the machine is closed.
        """
        self.make_visible(self._make, guest_phys_addr, length)
