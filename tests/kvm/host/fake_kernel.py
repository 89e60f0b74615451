"""A ``/dev/kvm`` whose answers a test chooses; its descriptors are real ones.

It is put in the place of ``fcntl.ioctl``. What the provider does with answers that a healthy kernel
does not give (errors, signals, a device that goes away) can be tried with it on any machine, and
whether every descriptor is given back.
"""

import fcntl
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from guestdbg.kvm import constants
from guestdbg.kvm.constants import (
    KVM_API_VERSION,
    KVM_CHECK_EXTENSION,
    KVM_CREATE_DEVICE,
    KVM_CREATE_VCPU,
    KVM_CREATE_VM,
    KVM_GET_API_VERSION,
    KVM_GET_VCPU_MMAP_SIZE,
)
from guestdbg.kvm.host import calls, kvm

RUN_SIZE = 8192
#: Requests by number, for messages and for telling it what to refuse.
REQUESTS = {
    value: name
    for name, value in vars(constants).items()
    if name.startswith("KVM_") and isinstance(value, int) and value >> 8 & 0xFF == 0xAE
}


def descriptors() -> set[str]:
    """What this process has open, by number and target.

    Compare for what is new: garbage of other tests may be collected at any time.
    """
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except OSError:  # the directory's own, gone by now
            continue
    return found


class FakeKernel:
    """Answers every request with success, but for those in ``refuse``.

    Attributes:
        refuse: request name -> errno, or a function that is called instead of answering.
        calls: the names of the requests made.
        caps: answers to KVM_CHECK_EXTENSION; 1 for all others.
        pages: the kvm_run pages, one of each vCPU, as descriptors of their memory.
    """

    def __init__(self, device: Path) -> None:
        device.touch()
        self.device = device
        self.refuse: dict[str, int | Callable[[], int]] = {}
        self.calls: list[str] = []
        self.caps: dict[int, int] = {}
        self.version = KVM_API_VERSION
        self.run: Callable[[int], int] = lambda fd: 0

    def ioctl(self, fd: int, request: int, argument: Any = 0, mutate: bool = True) -> Any:
        if fd < 0:
            raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
        os.fstat(fd)  # EBADF for what is not open
        name = REQUESTS[request]
        self.calls.append(name)
        refusal = self.refuse.get(name)
        if callable(refusal):
            refusal = refusal()
        if refusal:
            raise OSError(refusal, os.strerror(refusal))
        if name == "KVM_RUN":
            return self.run(fd)
        return self._answer(request, argument)

    def _answer(self, request: int, argument: Any) -> Any:
        if request == KVM_GET_API_VERSION:
            return self.version
        if request == KVM_CHECK_EXTENSION:
            return self.caps.get(argument, 1)
        if request == KVM_GET_VCPU_MMAP_SIZE:
            return RUN_SIZE
        if request == KVM_CREATE_VM:
            return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if request == KVM_CREATE_VCPU:
            fd = os.memfd_create("kvm-vcpu")
            os.ftruncate(fd, RUN_SIZE)
            return fd
        if request == KVM_CREATE_DEVICE:
            argument.fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
            return 0
        # As fcntl has it: bytes, as the kernel left them, for bytes; else the kernel's result.
        return argument if isinstance(argument, bytes) else 0

    def exit(self, fd: int, reason: int, data: bytes = b"", flags: int = 0) -> int:
        """Put an exit into the page of the vCPU with this descriptor."""
        page = bytearray(RUN_SIZE)
        struct.pack_into("=I", page, 8, reason)
        struct.pack_into("=H", page, 14, flags)
        page[32 : 32 + len(data)] = data
        immediate = os.pread(fd, 1, 1)
        os.pwrite(fd, page, 0)
        os.pwrite(fd, immediate, 1)
        return 0


def install(monkeypatch: Any, tmp_path: Path) -> FakeKernel:
    """Make this process believe that it is on an arm64 machine with KVM."""
    kernel = FakeKernel(tmp_path / "kvm")
    real = os.uname()
    arm64 = os.uname_result((real.sysname, real.nodename, real.release, real.version, "aarch64"))
    monkeypatch.setattr(os, "uname", lambda: arm64)
    monkeypatch.setattr(kvm, "code_visible", lambda: None)  # instructions of another architecture
    monkeypatch.setattr(fcntl, "ioctl", kernel.ioctl)
    monkeypatch.setattr(calls, "RETRIES", False)  # KVM_RUN is called in the same way
    return kernel
