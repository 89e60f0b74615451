"""Device attributes, of a device, a machine or a vCPU, and the devices in the kernel."""

from __future__ import annotations

import contextlib
import errno
import os
from ctypes import addressof, c_uint8
from typing import TYPE_CHECKING

from guestdbg.kvm.constants import (
    KVM_GET_DEVICE_ATTR,
    KVM_HAS_DEVICE_ATTR,
    KVM_SET_DEVICE_ATTR,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host.calls import call
from guestdbg.kvm.interface import Device
from guestdbg.kvm.layouts import kvm_device_attr

if TYPE_CHECKING:
    from guestdbg.kvm.host.calls import Explain


def _explain(what: str, group: int, attr: int) -> Explain:
    def explain(number: int) -> str | None:
        name = f"attribute {attr:#x} in group {group}"
        return {
            errno.ENXIO: f"{what} has no {name}",
            errno.EINVAL: f"{what} has no {name}, or does not accept this value for it, or not now",
            errno.EBUSY: f"{what} cannot have {name} changed now: it is in use already",
            errno.EEXIST: f"{what} has {name} already",
            errno.E2BIG: f"{what}: {name} is beyond the machine's addresses",
            errno.ENODEV: f"{what} is not ready for {name}",
        }.get(number)

    return explain


def set_attr(fd: int, what: str, group: int, attr: int, value: bytes) -> None:
    """KVM_SET_DEVICE_ATTR on a descriptor; ``value`` is ``b""`` for an attribute without one."""
    buffer = (c_uint8 * max(len(value), 8))(*value)
    request = kvm_device_attr(0, group, attr, addressof(buffer) if value else 0)
    name = "KVM_SET_DEVICE_ATTR"
    call(fd, name, KVM_SET_DEVICE_ATTR, request, _explain(what, group, attr))


def get_attr(fd: int, what: str, group: int, attr: int, size: int) -> bytes:
    """KVM_GET_DEVICE_ATTR on a descriptor: ``size`` bytes.

    The kernel writes as many bytes as the attribute has, whatever ``size`` is, so the buffer is
    larger.
    """
    name = "KVM_GET_DEVICE_ATTR"
    if size < 0:
        raise KvmError(errno.EINVAL, name, f"{size} bytes: an attribute's size is not negative")
    buffer = (c_uint8 * max(size, 256))()
    request = kvm_device_attr(0, group, attr, addressof(buffer))
    call(fd, name, KVM_GET_DEVICE_ATTR, request, _explain(what, group, attr))
    return bytes(buffer[:size])


def has_attr(fd: int, what: str, group: int, attr: int) -> bool:
    """KVM_HAS_DEVICE_ATTR on a descriptor."""
    try:
        call(fd, "KVM_HAS_DEVICE_ATTR", KVM_HAS_DEVICE_ATTR, kvm_device_attr(0, group, attr, 0))
    except KvmError as error:
        # ENOTTY: this kind of object has no attributes at all.
        if error.errno in (errno.ENXIO, errno.ENOTTY, errno.EINVAL, errno.EPERM, errno.ENODEV):
            return False
        raise
    return True


class HostDevice(Device):
    """A device in the kernel: an interrupt controller."""

    def __init__(self, fd: int, device_type: int) -> None:
        self._fd = fd
        self._what = f"the device of type {device_type}"

    def set_attr(self, group: int, attr: int, value: bytes) -> None:
        set_attr(self._fd, self._what, group, attr, value)

    def get_attr(self, group: int, attr: int, size: int) -> bytes:
        return get_attr(self._fd, self._what, group, attr, size)

    def has_attr(self, group: int, attr: int) -> bool:
        return has_attr(self._fd, self._what, group, attr)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()
