"""A vCPU of the host provider."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from ctypes import c_int
from threading import get_ident
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import (
    KVM_ARM_VCPU_FINALIZE,
    KVM_ARM_VCPU_INIT,
    KVM_CAP_SET_GUEST_DEBUG,
    KVM_CAP_SET_GUEST_DEBUG2,
    KVM_EXIT_DEBUG,
    KVM_EXIT_MMIO,
    KVM_GET_MP_STATE,
    KVM_GET_VCPU_EVENTS,
    KVM_GUESTDBG_VALID_MASK,
    KVM_MP_STATE_RUNNABLE,
    KVM_MP_STATE_STOPPED,
    KVM_RUN,
    KVM_SET_GUEST_DEBUG,
    KVM_SET_MP_STATE,
    KVM_SET_VCPU_EVENTS,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.exits import Exit, ExitMmio
from guestdbg.kvm.host import device, kick
from guestdbg.kvm.host.calls import call, refused
from guestdbg.kvm.host.registers import Registers
from guestdbg.kvm.host.run_page import (
    EXIT_REASON,
    IMMEDIATE_EXIT,
    INTR,
    MMIO_DATA,
    SYNDROME,
    RunPage,
)
from guestdbg.kvm.interface import Vcpu
from guestdbg.kvm.layouts import kvm_guest_debug, kvm_mp_state, kvm_vcpu_events, kvm_vcpu_init
from guestdbg.kvm.structures import GuestDebug, VcpuEvents, VcpuInit, control_names

if TYPE_CHECKING:
    from guestdbg.kvm.host.vm import HostVm

_FEATURE_WORDS: Final = 7
_U32: Final = (1 << 32) - 1
_GUEST_DEBUG: Final = struct.Struct("=II16Q16Q16Q16Q")
_PREPARED: Final = 16

assert _GUEST_DEBUG.size == kvm_guest_debug.arch.offset + kvm_guest_debug.arch.size


class HostVcpu(Vcpu):
    """A vCPU in the kernel."""

    # Slots, and few other objects: a run must not need much memory. On its way back from the guest
    # a processor's caches are cold (and QEMU, where it is the hardware, starts from nothing).
    __slots__ = (
        "_answerable",
        "_fd",
        "_id",
        "_immediate_exit",
        "_ioctl",
        "_kicked",
        "_page",
        "_prepared",
        "_reason",
        "_registers",
        "_running",
        "_stop",
        "_stop_key",
        "_syndrome",
        "_vm",
        "thread",
        "tid",
    )

    def __init__(self, vm: HostVm, vcpu_id: int, fd: int, run_size: int) -> None:
        self._id = vcpu_id
        self._vm = vm
        self._fd = fd
        self._running = False
        self._ioctl = fcntl.ioctl
        # See guestdbg.kvm.host.kick.
        self.thread = 0
        self.tid = 0
        # The last debug exit and, as one number, the two words of the page that made it.
        self._stop_key = -1
        self._stop: Exit = INTR
        self._kicked = False
        self._immediate_exit = False
        self._answerable = False
        # Guest debug settings as the kernel takes them. The object is kept with its bytes: an id
        # is that object's as long as it lives.
        self._prepared: dict[int, tuple[GuestDebug, bytes]] = {}
        try:
            self._page = RunPage(fd, run_size)
            self._reason = self._page.words[EXIT_REASON : EXIT_REASON + 1]
            self._syndrome = self._page.longs[SYNDROME : SYNDROME + 1]
            self._registers = Registers(fd)
        except (OSError, ValueError) as error:
            self._fd = -1
            os.close(fd)
            raise refused("KVM_CREATE_VCPU", error) from error

    @property
    def id(self) -> int:
        return self._id

    @property
    def vm(self) -> HostVm:
        return self._vm

    def __repr__(self) -> str:
        return f"<HostVcpu {self._id}{' closed' if self._fd < 0 else ''}>"

    @property
    def running(self) -> bool:
        """Whether a thread is inside ``run()``."""
        return self._running

    def check(self, name: str) -> None:
        """Refuse a call while the vCPU is inside run(), where the kernel would let it wait."""
        if self._running:
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

        def explain(number: int) -> str | None:
            if number == errno.ENOENT:
                return f"features {init.features} has bits that this kernel does not know"
            if number == errno.EINVAL:
                preferred = self._vm.preferred_target().target
                if init.target != preferred:
                    return (
                        f"target {init.target} is not this processor's, {preferred} "
                        "(KVM_ARM_PREFERRED_TARGET)"
                    )
                return (
                    f"features {init.features[0]:#x}: one of them is not offered here, or the vCPU "
                    "was initialised with other features before, or the machine's other vCPUs were"
                )
            return None

        call(self._fd, name, KVM_ARM_VCPU_INIT, request, explain)

    def finalize(self, feature: int) -> None:
        """The extension SupportsFinalize."""
        name = "KVM_ARM_VCPU_FINALIZE"
        self.check(name)

        def explain(number: int) -> str | None:
            return {
                errno.EINVAL: f"feature {feature} is none that is finalized, or the vCPU was not "
                "initialised with it",
                errno.EPERM: f"feature {feature} has been finalized already",
            }.get(number)

        call(self._fd, name, KVM_ARM_VCPU_FINALIZE, c_int(feature), explain)

    def get_one_reg(self, reg_id: int) -> int:
        if self._running:
            self.check("KVM_GET_ONE_REG")
        return self._registers.get(reg_id)

    def set_one_reg(self, reg_id: int, value: int) -> None:
        if self._running:
            self.check("KVM_SET_ONE_REG")
        self._registers.set(reg_id, value)

    def get_reg_list(self) -> list[int]:
        self.check("KVM_GET_REG_LIST")
        return self._registers.list()

    def get_vcpu_events(self) -> VcpuEvents:
        self.check("KVM_GET_VCPU_EVENTS")
        events = kvm_vcpu_events()
        call(self._fd, "KVM_GET_VCPU_EVENTS", KVM_GET_VCPU_EVENTS, events)
        waiting = events.exception
        return VcpuEvents(
            bool(waiting.serror_pending),
            bool(waiting.serror_has_esr),
            bool(waiting.ext_dabt_pending),
            waiting.serror_esr,
        )

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        name = "KVM_SET_VCPU_EVENTS"
        self.check(name)
        request = kvm_vcpu_events()
        request.exception.serror_pending = events.serror_pending
        request.exception.serror_has_esr = events.serror_has_esr
        request.exception.ext_dabt_pending = events.ext_dabt_pending
        request.exception.serror_esr = events.serror_esr

        def explain(number: int) -> str | None:
            if number != errno.EINVAL:
                return None
            if events.serror_has_esr:
                return (
                    "serror_has_esr: the processor has no RAS extension to report a syndrome with, "
                    "or serror_esr is more than 24 bits"
                )
            return "this kernel does not take these events (KVM_CAP_ARM_INJECT_EXT_DABT)"

        call(self._fd, name, KVM_SET_VCPU_EVENTS, request, explain)

    def get_mp_state(self) -> int:
        self.check("KVM_GET_MP_STATE")
        state = kvm_mp_state()
        call(self._fd, "KVM_GET_MP_STATE", KVM_GET_MP_STATE, state)
        return int(state.mp_state)

    def set_mp_state(self, state: int) -> None:
        name = "KVM_SET_MP_STATE"
        self.check(name)

        def explain(number: int) -> str | None:
            if number == errno.EINVAL:
                return (
                    f"state {state}: arm64 knows RUNNABLE ({KVM_MP_STATE_RUNNABLE}) and "
                    f"STOPPED ({KVM_MP_STATE_STOPPED})"
                )
            return None

        call(self._fd, name, KVM_SET_MP_STATE, kvm_mp_state(state & _U32), explain)

    # -- guest debug ------------------------------------------------------------------------------

    def set_guest_debug(self, debug: GuestDebug) -> None:
        if self._running:
            self.check("KVM_SET_GUEST_DEBUG")
        known = self._prepared.get(id(debug))
        request = self._prepare(debug) if known is None else known[1]
        try:
            fcntl.ioctl(self._fd, KVM_SET_GUEST_DEBUG, request)
        except InterruptedError:
            name = "KVM_SET_GUEST_DEBUG"
            call(self._fd, name, KVM_SET_GUEST_DEBUG, kvm_guest_debug.from_buffer_copy(request))
        except (OSError, ValueError) as error:

            def explain(number: int) -> str | None:
                return self._not_debugged(debug.control) if number == errno.EINVAL else None

            raise refused("KVM_SET_GUEST_DEBUG", error, explain) from error

    def _prepare(self, debug: GuestDebug) -> bytes:
        request = _GUEST_DEBUG.pack(
            debug.control, 0, *debug.dbg_bcr, *debug.dbg_bvr, *debug.dbg_wcr, *debug.dbg_wvr
        )
        if len(self._prepared) >= _PREPARED:
            self._prepared.clear()
        self._prepared[id(debug)] = debug, request
        return request

    def _not_debugged(self, control: int) -> str:
        if not self._vm.check_extension(KVM_CAP_SET_GUEST_DEBUG):
            return "this kernel cannot debug guests (no KVM_CAP_SET_GUEST_DEBUG)"
        valid = self._vm.check_extension(KVM_CAP_SET_GUEST_DEBUG2) or KVM_GUESTDBG_VALID_MASK
        return (
            f"control {control:#x} ({control_names(control)}) has flags that this kernel does not "
            f"know; it knows {valid:#x} ({control_names(valid)})"
        )

    # -- running ----------------------------------------------------------------------------------

    def run(self) -> Exit:
        if self._running:
            self.check("KVM_RUN")
        if self.thread != get_ident():
            kick.attach(self)
        self._running = True
        try:
            self._ioctl(self._fd, KVM_RUN)
        except InterruptedError:
            return self._interrupted()
        except (OSError, ValueError) as error:
            raise refused("KVM_RUN", error, _cannot_run) from error
        finally:
            self._running = False
        if self._reason[0] != KVM_EXIT_DEBUG:
            return self._other()
        # Stops that are alike are one object, but for those with an address.
        key = self._syndrome[0]
        if key == self._stop_key:
            return self._stop
        exit_ = self._page.debug()
        if exit_.far is None:
            self._stop_key = key
            self._stop = exit_
        return exit_

    def _other(self) -> Exit:
        exit_ = self._page.exit()
        self._answerable = exit_.__class__ is ExitMmio and not exit_.is_write
        return exit_

    def _interrupted(self) -> Exit:
        """A signal came: a kick's, ``immediate_exit``, or any other that this thread was sent.

        A kick from here until the flag is cleared came while run() was under way: this exit is its.
        """
        self._answerable = False
        if not self._immediate_exit:
            self._kicked = False
            self._page.bytes[IMMEDIATE_EXIT] = 0
        return INTR

    def complete_mmio(self, data: bytes) -> None:
        name = "complete_mmio"
        self.check(name)
        if not self._answerable or self._reason[0] != KVM_EXIT_MMIO:
            raise KvmError(errno.EINVAL, name, "there is no MMIO read to answer")
        length = self._page.mmio_length
        if len(data) != length:
            raise KvmError(errno.EINVAL, name, f"{len(data)} bytes answer a read of {length}")
        self._page.bytes[MMIO_DATA : MMIO_DATA + length] = data

    def kick(self) -> None:
        if self._fd < 0:
            return
        # In this order: see guestdbg.kvm.host.kick.
        self._kicked = True
        try:
            self._page.bytes[IMMEDIATE_EXIT] = 1
        except ValueError:  # another thread has just closed it
            return
        if self._running:
            kick.send(self.tid)

    @property
    def immediate_exit(self) -> bool:
        return self._immediate_exit

    @immediate_exit.setter
    def immediate_exit(self, value: bool) -> None:
        if self._fd < 0:
            self.check("immediate_exit")
        self._immediate_exit = bool(value)
        flags = self._page.bytes
        if value:
            flags[IMMEDIATE_EXIT] = 1
            return
        flags[IMMEDIATE_EXIT] = 0
        if self._kicked:  # looked at after clearing: a kick in between has set the flag itself
            flags[IMMEDIATE_EXIT] = 1

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
        self._reason.release()
        self._syndrome.release()
        self._page.close()
        with contextlib.suppress(OSError):
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError, KvmError):
            self.close()


def _cannot_run(number: int) -> str | None:
    return {
        errno.ENOSYS: "the guest accessed what is not memory with an instruction that the syndrome "
        "does not describe (a pair, write-back, SIMD): enable KVM_CAP_ARM_NISV_TO_USER to be given "
        "it as ExitArmNisv",
        errno.EFAULT: "the kernel could not access the guest's memory: is the buffer of every slot "
        "still mapped?",
        errno.EPERM: "the vCPU is not allowed to run: a feature that it was initialised with has "
        "not been finalized",
        errno.ENODEV: "the interrupt controller or the timer is not set up, or KVM has gone",
        errno.EINVAL: "the kernel does not run the machine as it is set up: the timers of all "
        "vCPUs need the same, and their own, interrupt numbers",
    }.get(number)
