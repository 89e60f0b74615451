"""System V shared memory, which AFL++ has the map and the inputs in. Python has only POSIX's."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from guestdbg.fuzz.errors import FuzzError

__all__ = ["attach"]

#: The segments of the system, with a line of headings: key, id, permissions, size, …
_SEGMENTS = Path("/proc/sysvipc/shm")
#: SHM_RDONLY.
_READ_ONLY = 0o10000
_PYBUF_READ, _PYBUF_WRITE = 0x100, 0x200


def attach(variable: str, least: int, *, readonly: bool = False) -> memoryview:
    """The segment whose id is in an environment variable, as bytes in memory.

    It stays attached until the process ends.

    Raises FuzzError for an id that is none, or for fewer than ``least`` bytes.
    """
    text = os.environ[variable]
    if not text.isascii() or not text.isdigit():
        raise FuzzError(
            f"{variable} is {text!r}: it is the number of a System V shared memory segment, as "
            "AFL++ sets it on Linux"
        )
    size = _size(int(text))
    if size is None:
        raise FuzzError(f"{variable} is {text}: there is no such shared memory segment")
    if size < least:
        raise FuzzError(f"the shared memory of {variable} has {size} bytes: {least} are needed")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    address = libc.shmat(int(text), None, _READ_ONLY if readonly else 0)
    if address == ctypes.c_void_p(-1).value:
        reason = os.strerror(ctypes.get_errno())
        raise FuzzError(f"the shared memory of {variable} cannot be attached: {reason}")
    view = ctypes.pythonapi.PyMemoryView_FromMemory
    view.restype = ctypes.py_object
    view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
    shared: memoryview = view(address, size, _PYBUF_READ if readonly else _PYBUF_WRITE)
    return shared


def _size(number: int) -> int | None:
    """The bytes of a segment; None: there is none."""
    for line in _SEGMENTS.read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1]) == number:
            return int(fields[3])
    return None
