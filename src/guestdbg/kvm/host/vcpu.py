"""A vCPU of the host provider."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from ctypes import c_int
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_FINALIZE,
    KVM_ARM_VCPU_INIT,
    KVM_GET_MP_STATE,
    KVM_GET_VCPU_EVENTS,
    KVM_SET_MP_STATE,
    KVM_SET_VCPU_EVENTS,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host import device, explain, kick
from guestdbg.kvm.host.calls import call, refused
from guestdbg.kvm.host.debug_requests import DebugRequests
from guestdbg.kvm.host.entry import Entry
from guestdbg.kvm.host.immediate_exit import ImmediateExit
from guestdbg.kvm.host.registers import Registers
from guestdbg.kvm.host.run_page import RunPage
from guestdbg.kvm.interface import Vcpu
from guestdbg.kvm.layouts import kvm_mp_state, kvm_vcpu_events, kvm_vcpu_init
from guestdbg.kvm.structures import VcpuEvents

if TYPE_CHECKING:
    from guestdbg.kvm.exits import Exit
    from guestdbg.kvm.interface import Vm
    from guestdbg.kvm.structures import GuestDebug, VcpuInit

_FEATURE_WORDS: Final = 7
_U32: Final = (1 << 32) - 1


class HostVcpu(Vcpu):
    """A vCPU in the kernel."""

    __slots__ = (
        "_debug",
        "_entry",
        "_fd",
        "_id",
        "_immediate_exit",
        "_page",
        "_registers",
        "_running",
        "_vm",
        "run",
    )

    #: A function for each vCPU, not a method: see ``guestdbg.kvm.host.entry``.
    run: Callable[[], Exit]

    def __init__(self, vm: Vm, vcpu_id: int, fd: int, run_size: int) -> None:
        self._id = vcpu_id
        self._vm = vm
        self._fd = fd
        self._debug = DebugRequests(vm)
        try:
            self._page = RunPage(fd, run_size)
            self._registers = Registers(fd)
        except (OSError, ValueError) as error:
            self._fd = -1
            os.close(fd)
            raise refused("KVM_CREATE_VCPU", error) from error
        self._immediate_exit = ImmediateExit(self._page)
        self._entry = Entry(fd, self._page, self._immediate_exit, self.check)
        self._running = self._entry.running
        self.run = self._entry.run

    @property
    def id(self) -> int:
        return self._id

    @property
    def vm(self) -> Vm:
        return self._vm

    def __repr__(self) -> str:
        return f"<HostVcpu {self._id}{' closed' if self._fd < 0 else ''}>"

    @property
    def running(self) -> bool:
        """Whether a thread is inside ``run()``."""
        return self._running()

    def check(self, name: str) -> None:
        """Raise KvmError if the vCPU is running (EBUSY; the kernel would block) or closed."""
        if self._running():
            raise KvmError(
                errno.EBUSY,
                name,
                f"vCPU {self._id} is running in another thread; only kick() may be called then",
            )
        if self._fd < 0:
            raise KvmError(errno.EBADF, name, f"vCPU {self._id} is closed")

    # -- state ------------------------------------------------------------------------------------

    def init(self, init: VcpuInit) -> None:
        name = "KVM_ARM_VCPU_INIT"
        self.check(name)
        if len(init.features) != _FEATURE_WORDS:
            raise KvmError(
                errno.EINVAL,
                name,
                f"features has {len(init.features)} words instead of {_FEATURE_WORDS}",
            )
        if not all(0 <= word <= _U32 for word in (init.target, *init.features)):
            raise KvmError(errno.EINVAL, name, f"{init}: every word is 32 bits wide")
        request = kvm_vcpu_init(init.target)
        request.features[:] = list(init.features)
        call(self._fd, name, KVM_ARM_VCPU_INIT, request, explain.init_of(self._vm, init))

    def finalize(self, feature: int) -> None:
        """The extension SupportsFinalize."""
        name = "KVM_ARM_VCPU_FINALIZE"
        self.check(name)
        number = c_int(feature)
        call(self._fd, name, KVM_ARM_VCPU_FINALIZE, number, explain.finalize_of(feature))

    def get_one_reg(self, reg_id: int) -> int:
        if self._running():
            self.check("KVM_GET_ONE_REG")
        return self._registers.get(reg_id)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if self._running():
            self.check("KVM_SET_ONE_REG")
        self._registers.set(reg_id, value)

    def get_reg_list(self) -> list[int]:
        self.check("KVM_GET_REG_LIST")
        return self._registers.list()

    def get_vcpu_events(self) -> VcpuEvents:
        self.check("KVM_GET_VCPU_EVENTS")
        events = kvm_vcpu_events()
        call(self._fd, "KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, events)
        pending = events.exception
        return VcpuEvents(
            bool(pending.serror_pending),
            bool(pending.serror_has_esr),
            bool(pending.ext_dabt_pending),
            pending.serror_esr,
        )

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        name = "KVM_SET_VCPU_EVENTS"
        self.check(name)
        request = kvm_vcpu_events()
        request.exception.serror_pending = events.serror_pending
        request.exception.serror_has_esr = events.serror_has_esr
        request.exception.ext_dabt_pending = events.ext_dabt_pending
        request.exception.serror_esr = events.serror_esr
        call(self._fd, name, KVM_SET_VCPU_EVENTS, request, explain.events_of(events))

    def get_mp_state(self) -> int:
        self.check("KVM_GET_MP_STATE")
        state = kvm_mp_state()
        call(self._fd, "KVM_GET_MP_STATE", KVM_GET_MP_STATE, state)
        return int(state.mp_state)

    def set_mp_state(self, state: int) -> None:
        name = "KVM_SET_MP_STATE"
        self.check(name)
        request = kvm_mp_state(state & _U32)
        call(self._fd, name, KVM_SET_MP_STATE, request, explain.mp_state_of(state))

    # -- running ----------------------------------------------------------------------------------

    def set_guest_debug(self, debug: GuestDebug) -> None:
        if self._running():
            self.check("KVM_SET_GUEST_DEBUG")
        self._debug.set(self._fd, debug)

    def complete_mmio(self, data: bytes) -> None:
        self.check("complete_mmio")
        self._entry.complete_mmio(data)

    def kick(self) -> None:
        if self._fd >= 0 and self._immediate_exit.kick() and self._running():
            kick.send(self._entry.tid)

    @property
    def immediate_exit(self) -> bool:
        return self._immediate_exit.requested

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        if self._fd < 0:
            self.check("immediate_exit")
        self._immediate_exit.requested = bool(value)

    # -- attributes -------------------------------------------------------------------------------

    def set_device_attr(self, group: int, attr: int, value: bytes) -> None:
        self.check("KVM_SET_DEVICE_ATTR")
        device.set_attr(self._fd, f"vCPU {self._id}", group, attr, value)

    def get_device_attr(self, group: int, attr: int, size: int) -> bytes:
        self.check("KVM_GET_DEVICE_ATTR")
        return device.get_attr(self._fd, f"vCPU {self._id}", group, attr, size)

    def has_device_attr(self, group: int, attr: int) -> bool:
        self.check("KVM_HAS_DEVICE_ATTR")
        return device.has_attr(self._fd, f"vCPU {self._id}", group, attr)

    def close(self) -> None:
        if self._fd < 0:
            return
        self.check("close")
        fd, self._fd = self._fd, -1
        self._registers.close()
        self._entry.close()
        self._page.close()
        with contextlib.suppress(OSError):
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, KvmError):
            self.close()
