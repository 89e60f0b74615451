"""The interrupt controller as a device in the kernel, and its attributes (vgic-kvm-device.c)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from guestdbg.kvm import constants as kvm
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.interface import Device
from guestdbg.kvm.regs import name_of, sys_reg_id
from guestdbg.kvm.soft.vgic import vgic, vgic_init, vgic_mmio, vgic_mmio_v2, vgic_mmio_v3
from guestdbg.kvm.soft.vgic.arm_vgic import (
    V2_CPU_SIZE,
    V2_DIST_SIZE,
    V3_DIST_SIZE,
    VGIC_MAX_RESERVED,
    VGIC_NR_PRIVATE_IRQS,
    VGIC_V2,
    VGIC_V3,
)
from guestdbg.kvm.soft.vgic.vgic_sys_reg_v3 import ICC_REGS

if TYPE_CHECKING:
    from guestdbg.kvm.soft.state import VcpuState, VmState
    from guestdbg.kvm.soft.vgic.arm_vgic import (
        VgicDist,
    )
    from guestdbg.kvm.soft.vgic.vgic_mmio import RegisterTable

_SET: Final = "KVM_SET_DEVICE_ATTR"
_GET: Final = "KVM_GET_DEVICE_ATTR"
_U32: Final = 0xFFFF_FFFF
_UNDEFINED_ADDRESS: Final = (1 << 64) - 1

#: The attributes of KVM_DEV_ARM_VGIC_GRP_ADDR by model.
_ADDRESSES: Final = {
    VGIC_V2: (kvm.KVM_VGIC_V2_ADDR_TYPE_DIST, kvm.KVM_VGIC_V2_ADDR_TYPE_CPU),
    VGIC_V3: (
        kvm.KVM_VGIC_V3_ADDR_TYPE_DIST,
        kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST,
        kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
    ),
}
#: The registers by model and group.
_TABLES: Final[dict[tuple[int, int], RegisterTable]] = {
    (VGIC_V2, kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS): vgic_mmio_v2.DIST_REGISTERS,
    (VGIC_V2, kvm.KVM_DEV_ARM_VGIC_GRP_CPU_REGS): vgic_mmio_v2.CPU_REGISTERS,
    (VGIC_V3, kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS): vgic_mmio_v3.DIST_REGISTERS,
    (VGIC_V3, kvm.KVM_DEV_ARM_VGIC_GRP_REDIST_REGS): vgic_mmio_v3.REDIST_REGISTERS,
}
_CONTROLS: Final = {
    VGIC_V2: (kvm.KVM_DEV_ARM_VGIC_CTRL_INIT,),
    VGIC_V3: (kvm.KVM_DEV_ARM_VGIC_CTRL_INIT, kvm.KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES),
}


class VgicDevice(Device):
    """What ``Vm.create_device`` returns for a GICv2 or GICv3; ``vm`` None: it was only tested."""

    def __init__(self, vm: VmState | None, model: int) -> None:
        self._vm = vm
        self._model = model

    def __repr__(self) -> str:
        return f"<VgicDevice GICv{2 if self._model == VGIC_V2 else 3}>"

    def _open(self, call: str) -> tuple[VmState, VgicDist]:
        if self._vm is None:
            raise KvmError(errno.EBADF, call, "the device is closed, or was only tested for")
        self._vm.check_open(call)
        return self._vm, vgic.get_dist(self._vm)

    def close(self) -> None:
        # The interrupt controller stays: it belongs to the machine.
        self._vm = None

    def set_attr(self, group: int, attr: int, value: bytes) -> None:
        vm, dist = self._open(_SET)
        vm.will_change(_SET)
        if (self._model, group) in _TABLES:
            self._set_register(vm, dist, group, attr, value)
        elif self._model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
            self._set_sys_reg(vm, dist, attr, value)
        elif self._model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
            vcpu, intid = self._level_info(vm, attr, _SET)
            levels = _word(value)
            with self._vcpus_locked(vm, dist, _SET):
                _check_level_info(attr, intid, _SET)
                vgic_mmio.write_line_levels(vcpu, intid, levels)
        elif group == kvm.KVM_DEV_ARM_VGIC_GRP_ADDR and attr in _ADDRESSES[self._model]:
            with dist.lock:
                _set_address(vm, dist, attr, _double(value))
        elif group == kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
            _set_nr_irqs(dist, _word(value))
        elif group == kvm.KVM_DEV_ARM_VGIC_GRP_CTRL and attr in _CONTROLS[self._model]:
            self._control(vm, dist, attr)
        else:
            raise self._no_attr(_SET, group, attr)

    def get_attr(self, group: int, attr: int, size: int) -> bytes:
        vm, dist = self._open(_GET)
        if size < 0:
            raise KvmError(errno.EINVAL, _GET, f"{size} bytes: a size is not negative")
        if (self._model, group) in _TABLES:
            value, width = self._get_register(vm, dist, group, attr), 4
        elif self._model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
            value, width = self._get_sys_reg(vm, dist, attr), 8
        elif self._model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
            vcpu, intid = self._level_info(vm, attr, _GET)
            with self._vcpus_locked(vm, dist, _GET):
                _check_level_info(attr, intid, _GET)
                value, width = vgic_mmio.read_line_levels(vcpu, intid), 4
        elif group == kvm.KVM_DEV_ARM_VGIC_GRP_ADDR and attr in _ADDRESSES[self._model]:
            value, width = _get_address(dist, attr), 8
        elif group == kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
            value, width = dist.nr_irqs, 4
        else:
            raise self._no_attr(_GET, group, attr)
        # The kernel writes as many bytes as the attribute has, and the caller takes ``size``.
        return value.to_bytes(width, "little").ljust(size, b"\0")[:size]

    def has_attr(self, group: int, attr: int) -> bool:
        vm, dist = self._open("KVM_HAS_DEVICE_ATTR")
        model = self._model
        if group == kvm.KVM_DEV_ARM_VGIC_GRP_ADDR:
            return attr in _ADDRESSES[model]
        if group == kvm.KVM_DEV_ARM_VGIC_GRP_NR_IRQS:
            return True
        if group == kvm.KVM_DEV_ARM_VGIC_GRP_CTRL:
            return attr in _CONTROLS[model]
        table = _TABLES.get((model, group))
        if table is not None:
            offset = attr & _U32
            return (
                self._vcpu(vm, group, attr) is not None
                and offset % 4 == 0
                and table.find(dist, offset, 4) is not None
            )
        if model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS:
            return self._vcpu(vm, group, attr) is not None and attr & 0xFFFF in ICC_REGS
        if model == VGIC_V3 and group == kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO:
            return _is_line_level(attr)
        return False

    def _no_attr(self, call: str, group: int, attr: int) -> KvmError:
        return KvmError(errno.ENXIO, call, f"{self!r} has no attribute {attr:#x} in group {group}")

    # -- registers --------------------------------------------------------------------------------

    def _vcpu(self, vm: VmState, group: int, attr: int) -> VcpuState | None:
        """The vCPU that an attribute names: by id for a GICv2, by affinity for a GICv3."""
        if self._model == VGIC_V2:
            number = attr >> 32 & 0xFF
            return next((vcpu for vcpu in vm.soft_vcpus if vcpu.id == number), None)
        if group == kvm.KVM_DEV_ARM_VGIC_GRP_DIST_REGS:
            return vm.soft_vcpus[0] if vm.soft_vcpus else None
        packed = attr >> 32 & _U32
        affinity = (packed >> 24) << 32 | packed & 0xFF_FFFF
        return next((vcpu for vcpu in vm.soft_vcpus if vcpu.affinity == affinity), None)

    def _needed_vcpu(self, vm: VmState, group: int, attr: int, call: str) -> VcpuState:
        vcpu = self._vcpu(vm, group, attr)
        if vcpu is None:
            raise KvmError(
                errno.EINVAL, call, f"attribute {attr:#x}: the machine has no vCPU {attr >> 32:#x}"
            )
        return vcpu

    @contextmanager
    def _vcpus_locked(self, vm: VmState, dist: VgicDist, call: str) -> Iterator[None]:
        """Hold all vCPUs, with their interrupts up to date.

        Raises:
            KvmError: EBUSY: a vCPU is running, or a GICv3 is not initialised.
        """
        # A vCPU that waits by the host's clock is inside run() too, without the run lock.
        if any(vcpu.running for vcpu in vm.soft_vcpus) or not vm.run_lock.try_acquire(False):
            raise KvmError(errno.EBUSY, call, "a vCPU is running")
        try:
            if self._model == VGIC_V2:
                vgic_init.init(vm)
            elif not dist.initialized:
                raise KvmError(
                    errno.EBUSY,
                    call,
                    "the GICv3 is not initialised: set KVM_DEV_ARM_VGIC_CTRL_INIT first",
                )
            with dist.lock:
                vgic.sync_all(vm)
                yield
                for vcpu in vm.soft_vcpus:
                    vcpu.request_pending = True
        finally:
            vm.run_lock.release()

    def _set_register(
        self, vm: VmState, dist: VgicDist, group: int, attr: int, value: bytes
    ) -> None:
        vcpu = self._needed_vcpu(vm, group, attr, _SET)
        word = _word(value)
        with self._vcpus_locked(vm, dist, _SET):
            if not _TABLES[self._model, group].user_write(vcpu, attr & _U32, word):
                raise KvmError(
                    errno.EINVAL,
                    _SET,
                    f"the register at {attr & _U32:#x} does not accept {word:#x}",
                )

    def _get_register(self, vm: VmState, dist: VgicDist, group: int, attr: int) -> int:
        vcpu = self._needed_vcpu(vm, group, attr, _GET)
        with self._vcpus_locked(vm, dist, _GET):
            return _TABLES[self._model, group].user_read(vcpu, attr & _U32)

    def _set_sys_reg(self, vm: VmState, dist: VgicDist, attr: int, value: bytes) -> None:
        vcpu = self._needed_vcpu(vm, kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr, _SET)
        with self._vcpus_locked(vm, dist, _SET):
            if attr & 0xFFFF not in ICC_REGS:
                raise _no_sys_reg(attr, _SET)
            double = _double(value)
            if not ICC_REGS[attr & 0xFFFF][1](vcpu, double):
                raise KvmError(
                    errno.EINVAL, _SET, f"{_sys_reg_name(attr)} does not accept {double:#x}"
                )

    def _get_sys_reg(self, vm: VmState, dist: VgicDist, attr: int) -> int:
        vcpu = self._needed_vcpu(vm, kvm.KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, attr, _GET)
        with self._vcpus_locked(vm, dist, _GET):
            if attr & 0xFFFF not in ICC_REGS:
                raise _no_sys_reg(attr, _GET)
            try:
                return ICC_REGS[attr & 0xFFFF][0](vcpu)
            except ValueError:
                raise KvmError(
                    errno.EINVAL, _GET, f"{_sys_reg_name(attr)}: there are 5 bits of priority"
                ) from None

    def _level_info(self, vm: VmState, attr: int, call: str) -> tuple[VcpuState, int]:
        vcpu = self._needed_vcpu(vm, kvm.KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, attr, call)
        return vcpu, attr & kvm.KVM_DEV_ARM_VGIC_LINE_LEVEL_INTID_MASK

    def _control(self, vm: VmState, dist: VgicDist, attr: int) -> None:
        if attr == kvm.KVM_DEV_ARM_VGIC_CTRL_INIT:
            with dist.lock:
                vgic_init.init(vm)
        elif not dist.initialized:
            raise KvmError(errno.ENXIO, _SET, "the GICv3 is not initialised")
        # KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES: without LPIs there are none.


def _is_line_level(attr: int) -> bool:
    info = (attr & kvm.KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_MASK) >> (
        kvm.KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT
    )
    return info == kvm.VGIC_LEVEL_INFO_LINE_LEVEL


def _check_level_info(attr: int, intid: int, call: str) -> None:
    if not _is_line_level(attr) or intid % 32:
        raise KvmError(
            errno.EINVAL,
            call,
            f"attribute {attr:#x}: it has the levels (VGIC_LEVEL_INFO_LINE_LEVEL) of 32 "
            "interrupts from a multiple of 32 on",
        )


def _sys_reg_name(attr: int) -> str:
    return name_of(sys_reg_id(attr & 0xFFFF))


def _no_sys_reg(attr: int, call: str) -> KvmError:
    return KvmError(errno.ENOENT, call, f"{_sys_reg_name(attr)} is no register of the GICv3")


def _bytes(value: bytes, size: int) -> int:
    """A value that userspace gives: the kernel reads ``size`` bytes."""
    if len(value) < size:
        raise KvmError(
            errno.EFAULT, _SET, f"the value has {len(value)} bytes; the attribute has {size}"
        )
    return int.from_bytes(value[:size], "little")


def _word(value: bytes) -> int:
    return _bytes(value, 4)


def _double(value: bytes) -> int:
    return _bytes(value, 8)


# -- addresses and the number of interrupts --------------------------------------------------------


def _set_address(vm: VmState, dist: VgicDist, attr: int, address: int) -> None:
    """kvm_vgic_addr(), write"""
    if attr == kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST:
        vgic_mmio_v3.set_redist_base(vm, dist, 0, address, 0)
    elif attr == kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION:
        # count [63:52], base [51:16], flags [15:12], index [11:0]
        count, flags, index = address >> 52, address >> 12 & 0xF, address & 0xFFF
        if not count or flags:
            raise KvmError(
                errno.EINVAL,
                _SET,
                f"REDIST_REGION {address:#x}: count, in [63:52], is 1 or more, and the flags in "
                "[15:12] are 0",
            )
        base = address & 0x000F_FFFF_FFFF_0000
        vgic_mmio_v3.set_redist_base(vm, dist, index & 0xFF, base, count)
    elif attr == kvm.KVM_VGIC_V3_ADDR_TYPE_DIST:
        _check_range(vm, dist.dist_base, address, 0x10000, V3_DIST_SIZE)
        dist.dist_base = address
    elif attr == kvm.KVM_VGIC_V2_ADDR_TYPE_DIST:
        _check_range(vm, dist.dist_base, address, 0x1000, V2_DIST_SIZE)
        dist.dist_base = address
    else:
        _check_range(vm, dist.cpu_base, address, 0x1000, V2_CPU_SIZE)
        dist.cpu_base = address


def _check_range(vm: VmState, present: int | None, address: int, alignment: int, size: int) -> None:
    """vgic_check_iorange()"""
    if present is not None:
        raise KvmError(errno.EEXIST, _SET, f"the address is set already, to {present:#x}")
    if address % alignment:
        raise KvmError(
            errno.EINVAL, _SET, f"{address:#x} is not a multiple of {alignment >> 10} KiB"
        )
    if address + size >= 1 << 64:
        raise KvmError(errno.EINVAL, _SET, f"{address:#x}: it crosses the end of memory")
    if address + size > 1 << vm.ipa_bits:
        raise KvmError(
            errno.E2BIG,
            _SET,
            f"{size:#x} bytes at {address:#x} do not fit into the machine's {vm.ipa_bits} bits",
        )


def _get_address(dist: VgicDist, attr: int) -> int:
    """kvm_vgic_addr(), read. Of the regions of redistributors it is the first."""
    found: int | None
    if attr == kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST:
        found = dist.rd_regions[0].base if dist.rd_regions else None
    elif attr == kvm.KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION:
        if not dist.rd_regions:
            raise KvmError(errno.ENOENT, _GET, "there is no region of redistributors")
        region = dist.rd_regions[0]
        return region.count << 52 | region.base | region.index
    elif attr == kvm.KVM_VGIC_V2_ADDR_TYPE_CPU:
        found = dist.cpu_base
    else:
        found = dist.dist_base
    return _UNDEFINED_ADDRESS if found is None else found


def _set_nr_irqs(dist: VgicDist, number: int) -> None:
    if number < VGIC_NR_PRIVATE_IRQS + 32 or number > VGIC_MAX_RESERVED or number % 32:
        raise KvmError(
            errno.EINVAL, _SET, f"{number} interrupts: it must be a multiple of 32, 64 to 992"
        )
    if dist.ready or dist.nr_spis:
        raise KvmError(
            errno.EBUSY, _SET, f"the number of interrupts is set already, to {dist.nr_irqs}"
        )
    dist.nr_spis = number - VGIC_NR_PRIVATE_IRQS
