"""MMIO exits: the device that handles each, and what happens at an address without a device.

Devices of QEMU's board that this board does not have (``layout.RAZ_WI_WINDOWS``) read as zero and
ignore writes. An access to any other address is an external abort, as in hardware; userspace
injects it with KVM_SET_VCPU_EVENTS (ext_dabt_pending, KVM API 4.32). Both are logged, once for each
address. Each such device, or page without one, is also passed to ``Bus.on_missing`` once.
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from guestdbg.kvm import VcpuEvents
from guestdbg.kvm.regs import PC
from guestdbg.machine.device import SupportsFiles, SupportsPeek, SupportsState
from guestdbg.machine.devices.mmio_device import MmioDevice
from guestdbg.machine.errors import MachineError
from guestdbg.machine.layout import PAGE_SIZE, RAZ_WI_WINDOWS

if TYPE_CHECKING:
    from guestdbg.kvm import ExitArmNisv, ExitMmio, Vcpu
    from guestdbg.machine.device import Device
    from guestdbg.machine.devices.virt_devices import MissingDevice

log = logging.getLogger("guestdbg.machine")

LOGGED_ADDRESSES_MAX = 256  # so that a guest cannot fill the log, or the memory of this set
#: How many missing devices are reported, for the same reason.
MISSING_MAX = 64

_EXTERNAL_ABORT = VcpuEvents(ext_dabt_pending=True)
_ROOM = __name__.rpartition(".")[0] + "."


def _is_own(device: Device) -> bool:
    """Whether a device was made by the user."""
    return isinstance(device, MmioDevice) or not type(device).__module__.startswith(_ROOM)


class Bus:
    """Passes MMIO exits to devices.

    ``aborts``: an access without a device becomes an external abort, which the provider must be
    able to inject; otherwise it reads as zero. ``on_access`` is called after every access with the
    vCPU, the exit and the bytes that were read or written; debuggers use it to report watched
    device registers. ``on_missing`` is called with a ``MissingDevice`` at the first access to a
    device that this board does not have, at most 64 times.

    Attributes:
        devices: the devices, in the order of their addresses.
        with_state: at the place of each device that device if it has state, otherwise None.
        with_files: the devices whose state lies over files.
        has_own_devices: whether any of them was made by the user, so that it may change what it is.
    """

    def __init__(self, devices: Iterable[Device] = (), *, aborts: bool) -> None:
        self._set(())
        for device in devices:
            self.add(device)
        self.aborts = aborts
        self.on_access: Callable[[Vcpu, ExitMmio, bytes], object] | None = None
        self.on_missing: Callable[[MissingDevice], object] | None = None
        self._logged: set[int] = set()
        self._missing: set[int] = set()

    def add(self, device: Device) -> None:
        """Add a device. ``devices`` are in the order of their addresses.

        Raises:
            MachineError: it overlaps another device.
        """
        index = bisect_right(self._bases, device.base)
        for other in self.devices[max(index - 1, 0) : index + 1]:
            if device.base < other.base + other.size and other.base < device.base + device.size:
                raise MachineError(
                    f"{device.name} at {device.base:#x}, {device.size:#x} bytes, overlaps "
                    f"{other.name} at {other.base:#x}, {other.size:#x} bytes"
                )
        self._set((*self.devices[:index], device, *self.devices[index:]))

    def remove(self, device: Device) -> None:
        """Remove a device."""
        self._set(tuple(other for other in self.devices if other is not device))

    def _set(self, devices: tuple[Device, ...]) -> None:
        self.devices = devices
        self._bases = [device.base for device in devices]
        # Asked at each restore: isinstance() with a protocol costs as much as restoring a device.
        self.with_state = tuple(d if isinstance(d, SupportsState) else None for d in devices)
        self.has_own_devices = any(map(_is_own, devices))
        self.with_files = tuple(d for d in devices if isinstance(d, SupportsFiles))

    def access(self, vcpu: Vcpu, exit_: ExitMmio) -> None:
        """Perform the access of an MMIO exit; a read is completed with the value."""
        data = exit_.data
        device = self._device(exit_.phys_addr, exit_.len)
        if device is not None:
            offset = exit_.phys_addr - device.base
            if exit_.is_write:
                device.write(offset, exit_.len, int.from_bytes(data, "little"))
            else:
                value = device.read(offset, exit_.len) & ((1 << 8 * exit_.len) - 1)
                data = value.to_bytes(exit_.len, "little")
                vcpu.complete_mmio(data)
        elif not self._without_device(vcpu, exit_) and not exit_.is_write:
            data = bytes(exit_.len)
            vcpu.complete_mmio(data)
        if self.on_access is not None:
            self.on_access(vcpu, exit_, data)

    def peek(self, address: int, length: int) -> bytes | None:
        """Device registers at a guest-physical address, for debuggers. Reading them has no effect.

        Up to ``length`` bytes: it ends before a register that has side effects when it is read,
        and where the device ends. Empty if the first one has. None if there is no such device.
        """
        device = self._device(address, 1)
        if device is None or not isinstance(device, SupportsPeek):
            return None
        offset = address - device.base
        end = min(offset + length, device.size)
        data = bytearray()
        for at in range(offset & ~3, end, 4):
            value = device.peek(at)
            if value is None:
                break
            data += value.to_bytes(4, "little")
        return bytes(data[offset & 3 :][: end - offset])

    def name_at(self, address: int) -> str | None:
        """The name of the device at a guest-physical address; None if there is none."""
        device = self._device(address, 1)
        return None if device is None else device.name

    def undescribed(self, vcpu: Vcpu, exit_: ExitArmNisv) -> None:
        """Handle KVM_EXIT_ARM_NISV: an MMIO access without a valid instruction syndrome.

        For pairs, SIMD, write-back and DC ZVA the hardware reports ESR_EL2.ISV = 0. Register and
        size are not known, so no device can perform the access: the guest gets an external abort.
        """
        self._log(
            exit_.fault_ipa,
            f"access at {exit_.fault_ipa:#x} by an instruction that the syndrome does not describe "
            "(a pair, write-back or SIMD: see docs/examples.md)",
            "the guest gets an external abort",
            logging.WARNING,
        )
        if self._device(exit_.fault_ipa, 1) is None:
            self._report_missing(vcpu, exit_.fault_ipa, None, aborted=True)
        vcpu.set_vcpu_events(_EXTERNAL_ABORT)

    def _device(self, address: int, length: int) -> Device | None:
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            return None
        device = self.devices[index]
        return device if address + length <= device.base + device.size else None

    def _without_device(self, vcpu: Vcpu, exit_: ExitMmio) -> bool:
        """Handle an access at which there is no device. Returns whether the guest got an abort."""
        address = exit_.phys_addr
        window = next((window for window in RAZ_WI_WINDOWS if address in window), None)
        access = "write" if exit_.is_write else "read"
        self._report_missing(vcpu, address, access, aborted=self.aborts and window is None)
        if window is not None:
            self._log(address, exit_, f"this board has no {window.name}; reads as zero")
            return False
        if not self.aborts:
            self._log(address, exit_, "no device; reads as zero")
            return False
        self._log(address, exit_, "no device; the guest gets an external abort")
        vcpu.set_vcpu_events(_EXTERNAL_ABORT)
        return True

    def _report_missing(
        self, vcpu: Vcpu, address: int, access: str | None, *, aborted: bool
    ) -> None:
        """Report the first access to a device, or to a page with none, to ``on_missing``."""
        from guestdbg.machine.devices.virt_devices import MissingDevice, device_at

        window = device_at(address)
        key = address & -PAGE_SIZE if window is None else window.base
        if self.on_missing is None or key in self._missing or len(self._missing) >= MISSING_MAX:
            return
        self._missing.add(key)
        name = None if window is None else window.name
        pc = vcpu.get_one_reg(PC)
        self.on_missing(MissingDevice(address, name, pc, vcpu.id, access, aborted))

    def _log(self, address: int, access: object, outcome: str, level: int = logging.INFO) -> None:
        if address in self._logged or len(self._logged) >= LOGGED_ADDRESSES_MAX:
            return
        self._logged.add(address)
        log.log(level, "%s: %s", access, outcome)
        if len(self._logged) == LOGGED_ADDRESSES_MAX:
            log.info("%d such addresses: no more are logged", LOGGED_ADDRESSES_MAX)
