"""What the first process of a system must do itself. Python has no functions for these calls."""

import ctypes
import fcntl
import os
import platform
import socket
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_FINIT_MODULE = 273  # arm64
_RB_POWER_OFF = 0x4321FEDC
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1

_MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/dev/shm"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
)


def _check(answer: int, what: str) -> None:
    if answer < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount_all() -> None:
    """Mounts the file systems that programs expect."""
    for kind, place in _MOUNTS:
        os.makedirs(place, exist_ok=True)
        encoded = kind.encode()
        _check(_libc.mount(encoded, place.encode(), encoded, 0, None), place)
    os.chmod("/tmp", 0o1777)


def loopback_up() -> None:
    """Brings up 127.0.0.1, the only network in the lab."""
    request = struct.pack("16sH14x", b"lo", _IFF_UP)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)


def load_modules(directory: str) -> None:
    """Loads the modules that the file ``directory``/order names, one per line, in that order."""
    with open(f"{directory}/order") as order:
        for name in order.read().split():
            fd = os.open(f"{directory}/{name}.ko", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _check(_libc.syscall(_FINIT_MODULE, fd, b"", 0), name)
            finally:
                os.close(fd)


def power_off() -> None:
    """Powers the machine off, which ends QEMU."""
    os.sync()
    _check(_libc.reboot(_RB_POWER_OFF), "power off")


def describe() -> dict[str, object]:
    """Describes this system, for the HELLO frame."""
    return {
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "kvm": os.path.exists("/dev/kvm"),
    }
