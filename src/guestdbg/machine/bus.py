"""Accesses outside memory: to which device they go, and what happens where there is none.

Where QEMU's board has hardware that ours has not (``layout.TOLERATED``), a guest that probes it
reads zero. Anywhere else nobody answers, which on the hardware is an external abort: KVM lets
userspace inject it (KVM_SET_VCPU_EVENTS, ext_dabt_pending). Either is logged once an address.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from guestdbg.kvm import ExitArmNisv, ExitMmio, Vcpu, VcpuEvents
from guestdbg.machine.device import Device
from guestdbg.machine.layout import TOLERATED, Window

log = logging.getLogger("guestdbg.machine")

LOGGED_ADDRESSES_MAX = 256  # a guest may not fill the log, nor the memory that remembers it

_EXTERNAL_ABORT = VcpuEvents(ext_dabt_pending=True)


class Bus:
    """Hands MMIO exits to devices.

    ``aborts``: whether the provider can inject external aborts; without that, what nobody answers
    reads as zero too. ``on_access`` is called after every access, with its vCPU, its exit and the
    bytes written or read: debuggers report watched device registers from there.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        aborts: bool,
        tolerated: Sequence[Window] = TOLERATED,
    ) -> None:
        self.devices = tuple(devices)
        self.aborts = aborts
        self.on_access: Callable[[Vcpu, ExitMmio, bytes], object] | None = None
        self._tolerated = tuple(tolerated)
        self._logged: set[int] = set()

    def access(self, vcpu: Vcpu, exit_: ExitMmio) -> None:
        """Carry out an MMIO exit; a read is answered."""
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
        elif not self._nobody(vcpu, exit_) and not exit_.is_write:
            data = bytes(exit_.len)
            vcpu.complete_mmio(data)
        if self.on_access is not None:
            self.on_access(vcpu, exit_, data)

    def undescribed(self, vcpu: Vcpu, exit_: ExitArmNisv) -> None:
        """An access by an instruction that the hardware does not describe (pairs, SIMD, DC ZVA).

        No device can be asked, whoever is there, so it is an external abort.
        """
        self._log(
            exit_.fault_ipa,
            f"access at {exit_.fault_ipa:#x} by an instruction that the hardware does not describe "
            "(a pair, write-back or SIMD: see docs/examples.md)",
            "the guest gets an external abort",
            logging.WARNING,
        )
        vcpu.set_vcpu_events(_EXTERNAL_ABORT)

    def _device(self, address: int, length: int) -> Device | None:
        for device in self.devices:
            if device.base <= address and address + length <= device.base + device.size:
                return device
        return None

    def _nobody(self, vcpu: Vcpu, exit_: ExitMmio) -> bool:
        """Nobody is there. Whether the guest got an abort for it."""
        address = exit_.phys_addr
        window = next((window for window in self._tolerated if address in window), None)
        if window is not None:
            self._log(address, exit_, f"no {window.name} on this board; reads as zero")
            return False
        if not self.aborts:
            self._log(address, exit_, "nobody answers; reads as zero")
            return False
        self._log(address, exit_, "nobody answers; the guest gets an external abort")
        vcpu.set_vcpu_events(_EXTERNAL_ABORT)
        return True

    def _log(self, address: int, what: object, outcome: str, severity: int = logging.INFO) -> None:
        if address in self._logged or len(self._logged) >= LOGGED_ADDRESSES_MAX:
            return
        self._logged.add(address)
        log.log(severity, "%s: %s", what, outcome)
        if len(self._logged) == LOGGED_ADDRESSES_MAX:
            log.info("%d such addresses: no more are reported", LOGGED_ADDRESSES_MAX)
