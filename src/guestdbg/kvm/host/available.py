"""Whether this machine's ``/dev/kvm`` can run arm64 guests, and if not, why and what to do."""

from __future__ import annotations

import errno
import os
import sys
from typing import Final

from guestdbg.kvm.errors import KvmError

DEVICE: Final = "/dev/kvm"

_ARM64: Final = ("aarch64", "arm64")
_ELSEWHERE: Final = "use the software KVM (--provider soft, open_kvm('soft')), which runs anywhere"


def unusable(device: str = DEVICE) -> KvmError | None:
    """Why the host provider cannot be used here, as the error that opening it would raise.

    Nothing is opened.

    Returns:
        None if the machine is an arm64 one whose device exists and may be opened. Otherwise the
        error, with ENOSYS for another operating system or architecture, ENOENT or EACCES for the
        device.
    """
    if sys.platform != "linux":
        return _error(
            errno.ENOSYS, f"KVM is a part of Linux, and this is {sys.platform}; {_ELSEWHERE}"
        )
    machine = os.uname().machine
    if machine not in _ARM64:
        return _error(
            errno.ENOSYS,
            f"this machine is {machine}: its KVM runs {machine} guests only, and the host "
            f"provider needs an arm64 machine; {_ELSEWHERE}, or run on an arm64 machine, or on the "
            "real arm64 KVM of an emulated machine (`guestdbg lab -- COMMAND`)",
        )
    if not os.path.exists(device):
        return _missing(device)
    if not os.access(device, os.R_OK | os.W_OK):
        return _forbidden(device)
    return None


def open_device(device: str) -> int:
    """A descriptor of ``/dev/kvm``.

    Raises:
        KvmError: why it cannot be opened, and what to do; errno is the kernel's.
    """
    wrong = unusable(device)
    if wrong is not None:
        raise wrong
    try:
        return os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise _missing(device) from None
    except PermissionError:
        raise _forbidden(device) from None
    except OSError as error:
        number = error.errno or 0
        if number in (errno.ENODEV, errno.ENXIO):
            text = (
                f"{device} exists, but KVM does not work: the kernel was not started at EL2 "
                "(see `dmesg | grep -i kvm`)"
            )
        elif number in (errno.EMFILE, errno.ENFILE):
            text = f"{device}: too many open files; close some, or raise `ulimit -n`"
        else:
            text = f"{device}: {os.strerror(number)}"
        raise _error(number, f"{text}; or {_ELSEWHERE}") from error


def _missing(device: str) -> KvmError:
    return _error(
        errno.ENOENT,
        f"there is no {device}: this kernel has no KVM, or was not started at EL2 (in a virtual "
        "machine: nested virtualization is off; in a container: give it --device "
        f"{device}); or {_ELSEWHERE}",
    )


def _forbidden(device: str) -> KvmError:
    return _error(
        errno.EACCES,
        f"no permission to open {device}: join the group that owns it (`sudo usermod -aG kvm "
        f"$USER`, then log in again); or {_ELSEWHERE}",
    )


def _error(number: int, text: str) -> KvmError:
    return KvmError(number, "open_kvm", f"host provider: {text}")
