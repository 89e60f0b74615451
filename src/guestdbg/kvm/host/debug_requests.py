"""KVM_SET_GUEST_DEBUG of one vCPU, with the binary form of recent arguments kept."""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import TYPE_CHECKING, Final

from guestdbg.kvm.constants import KVM_SET_GUEST_DEBUG
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host.calls import call, refused
from guestdbg.kvm.host.explain import guest_debug_of
from guestdbg.kvm.layouts import kvm_guest_debug

if TYPE_CHECKING:
    from guestdbg.kvm.interface import Vm
    from guestdbg.kvm.structures import GuestDebug

_GUEST_DEBUG: Final = struct.Struct("=II16Q16Q16Q16Q")
_KEPT: Final = 16
_NAME: Final = "KVM_SET_GUEST_DEBUG"

assert _GUEST_DEBUG.size == kvm_guest_debug.arch.offset + kvm_guest_debug.arch.size


class DebugRequests:
    """Makes the call. A debugger alternates between a few settings; each is packed once."""

    __slots__ = ("_prepared", "_vm")

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        # By id(): each object is kept too, because its id is only its own while it is alive.
        self._prepared: dict[int, tuple[GuestDebug, bytes]] = {}

    def set(self, fd: int, debug: GuestDebug) -> None:
        """Make the call on the vCPU's descriptor; KvmError with the kernel's errno."""
        known = self._prepared.get(id(debug))
        request = self._prepare(debug) if known is None else known[1]
        try:
            fcntl.ioctl(fd, KVM_SET_GUEST_DEBUG, request)
        except InterruptedError:
            call(fd, _NAME, KVM_SET_GUEST_DEBUG, kvm_guest_debug.from_buffer_copy(request))
        except (OSError, ValueError) as error:
            raise refused(_NAME, error, guest_debug_of(self._vm, debug.control)) from error

    def _prepare(self, debug: GuestDebug) -> bytes:
        if debug.break_tables or debug.watch_tables:
            raise KvmError(
                errno.EINVAL,
                _NAME,
                "the kernel has no table filters: only vCPUs that support them (max_tables) do",
            )
        request = _GUEST_DEBUG.pack(
            debug.control, 0, *debug.dbg_bcr, *debug.dbg_bvr, *debug.dbg_wcr, *debug.dbg_wvr
        )
        if len(self._prepared) >= _KEPT:
            self._prepared.clear()
        self._prepared[id(debug)] = debug, request
        return request
