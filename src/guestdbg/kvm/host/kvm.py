"""The host provider: what ``open_kvm("host")`` returns."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
from typing import Final

from guestdbg.kvm.constants import (
    KVM_API_VERSION,
    KVM_CAP_ARM_VM_IPA_SIZE,
    KVM_CAP_IMMEDIATE_EXIT,
    KVM_CAP_ONE_REG,
    KVM_CAP_USER_MEMORY,
    KVM_CREATE_VM,
    KVM_GET_API_VERSION,
    KVM_GET_VCPU_MMAP_SIZE,
)
from guestdbg.kvm.errors import KvmError
from guestdbg.kvm.host.available import DEVICE, open_device
from guestdbg.kvm.host.caches import code_visible
from guestdbg.kvm.host.calls import call, check_extension
from guestdbg.kvm.host.vm import CodeChangingHostVm, HostVm
from guestdbg.kvm.interface import Kvm

_REQUIRED: Final = (
    (KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"),
    (KVM_CAP_ONE_REG, "KVM_CAP_ONE_REG"),
    (KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"),
)


class HostKvm(Kvm):
    """The kernel's KVM.

    Raises:
        KvmError: why it cannot be used, and what to do. ENOSYS: another architecture or operating
            system; ENOENT, EACCES, ENODEV, EMFILE: from opening the device; ENOTSUP: the kernel is
            too old.
    """

    provider = "host"

    def __init__(self, device: str = DEVICE) -> None:
        self.linux = platform.release()
        self._fd = open_device(device)
        try:
            self._check_kernel()
            self._run_size = call(self._fd, "KVM_GET_VCPU_MMAP_SIZE", KVM_GET_VCPU_MMAP_SIZE)
        except BaseException:
            self.close()
            raise

    def _check_kernel(self) -> None:
        version = self.api_version()
        if version != KVM_API_VERSION:
            raise KvmError(
                errno.ENOTSUP,
                "KVM_GET_API_VERSION",
                f"this kernel has version {version} of the API; {KVM_API_VERSION} is needed "
                "(Linux 2.6.22 and later)",
            )
        for cap, name in _REQUIRED:
            if not self.check_extension(cap):
                raise KvmError(
                    errno.ENOTSUP,
                    "KVM_CHECK_EXTENSION",
                    f"this kernel's KVM has no {name}; Linux 4.13 and later have all that is "
                    "needed. The software KVM (--provider soft) runs anywhere",
                )

    def __repr__(self) -> str:
        return f"<HostKvm {'closed' if self._fd < 0 else self._fd}>"

    def api_version(self) -> int:
        return call(self._fd, "KVM_GET_API_VERSION", KVM_GET_API_VERSION)

    def check_extension(self, cap: int) -> int:
        return check_extension(self._fd, cap)

    def create_vm(self, vm_type: int = 0) -> HostVm:
        def explain(number: int) -> str | None:
            if number == errno.EINVAL:
                limit = self.check_extension(KVM_CAP_ARM_VM_IPA_SIZE)
                return (
                    f"machine type {vm_type:#x}: 0, or the bits of its physical addresses, "
                    f"32 to {limit} (KVM_CAP_ARM_VM_IPA_SIZE)"
                )
            return None

        name = "KVM_CREATE_VM"
        if not 0 <= vm_type < 1 << 31:
            raise KvmError(errno.EINVAL, name, f"unknown machine type {vm_type:#x}")
        fd = call(self._fd, name, KVM_CREATE_VM, vm_type, explain)
        make = code_visible()
        if make is None:
            return HostVm(fd, self._run_size)
        return CodeChangingHostVm(fd, self._run_size, make)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(AttributeError):
            self.close()
