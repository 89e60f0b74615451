"""One KVM call on a descriptor, and its error.

``fcntl.ioctl`` is always called through its module, so that a test can replace the kernel.

KVM_RUN must end when a signal interrupts it: a kick and ``immediate_exit`` are answered with EINTR
(Documentation/virt/kvm/api.rst, 4.10 and 5). Since Python 3.14 ``fcntl.ioctl`` makes such a call
again, as PEP 475 has it for other system calls. There KVM_RUN is called through ctypes, which costs
a little more.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import sys
from collections.abc import Callable
from ctypes import Structure, c_int
from functools import partial
from typing import Final

from guestdbg.kvm.constants import KVM_CHECK_EXTENSION
from guestdbg.kvm.errors import KvmError

Argument = int | Structure | c_int

# What an errno means for any call. A caller may know more (``explain``).
_GENERAL: Final = {
    errno.EBADF: "the descriptor is closed",
    errno.EIO: (
        "the kernel refuses this process: a machine belongs to the process that created it "
        "(not to a child of a fork), and cannot be used after a failure of KVM itself"
    ),
    errno.ENODEV: "the device has gone, or the kernel does not have it",
    errno.EFAULT: "the kernel could not access the memory that it was given",
    errno.ENOMEM: "the kernel has no memory left for it",
    errno.EMFILE: "too many open files; close some, or raise `ulimit -n`",
    errno.ENFILE: "the system has too many open files",
    errno.ENOEXEC: "the vCPU has not been initialised (KVM_ARM_VCPU_INIT)",
    errno.ENOTTY: "this kernel does not know the call",
    errno.EPERM: "the kernel does not permit it",
}

Explain = Callable[[int], str | None]


def refused(call: str, error: OSError | ValueError, explain: Explain | None = None) -> KvmError:
    """The KvmError for a failed system call. ValueError: the descriptor is negative, so closed."""
    number = error.errno or 0 if isinstance(error, OSError) else errno.EBADF
    text = explain(number) if explain is not None else None
    if text is None:
        text = _GENERAL.get(number)
    reason = os.strerror(number)
    return KvmError(number, call, reason if text is None else f"{reason}: {text}")


def call(
    fd: int, name: str, request: int, argument: Argument = 0, explain: Explain | None = None
) -> int:
    """Make a KVM call and return its result, which is not negative.

    A call that a signal interrupts is made again.

    Args:
        name: the call's name, for the error.
        argument: a number below 2**31, or the structure that the kernel reads or fills.
        explain: from an errno to what it means for this call, or None.

    Raises:
        KvmError: with the kernel's errno.
    """
    while True:
        try:
            if isinstance(argument, int):
                return int(fcntl.ioctl(fd, request, argument))
            return int(fcntl.ioctl(fd, request, argument, True))
        except InterruptedError:
            continue
        except (OSError, ValueError) as error:
            raise refused(name, error, explain) from error


def check_extension(fd: int, cap: int) -> int:
    """KVM_CHECK_EXTENSION on ``/dev/kvm`` or a machine; 0 for a number that cannot be one."""
    if not 0 <= cap < 1 << 31:
        return 0
    return call(fd, "KVM_CHECK_EXTENSION", KVM_CHECK_EXTENSION, cap)


#: Whether ``fcntl.ioctl`` makes a call again that a signal has interrupted.
RETRIES: Final = sys.version_info >= (3, 14)


def interruptible_ioctl(fd: int, request: int) -> Callable[[], int]:
    """A function that makes the call with 0 as the argument.

    It raises OSError with the kernel's errno, InterruptedError for EINTR, and ValueError for a
    negative descriptor; or it returns a negative number, and ``failure()`` is the error.
    """
    return direct_ioctl(fd, request) if RETRIES else partial(fcntl.ioctl, fd, request)


def direct_ioctl(fd: int, request: int) -> Callable[[], int]:
    """The C library's ioctl. The GIL is released during the call, as ``fcntl.ioctl`` does.

    The arguments are converted once, because ctypes takes long for that (docs/performance.md).
    """
    function = ctypes.CDLL(None, use_errno=True)["ioctl"]
    return partial(
        function,
        ctypes.c_int.from_param(fd),
        ctypes.c_ulong.from_param(request),
        ctypes.c_ulong.from_param(0),
    )


def failure() -> OSError:
    """The error of this thread's last ``direct_ioctl``, which returned a negative number."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
