"""The lock on a disk image, which QEMU understands too.

QEMU locks single bytes of an image with open file description locks (``F_OFD_SETLK``, Linux): byte
100 + n if it uses permission n, byte 200 + n if it does not let others use it. The permissions are
0 consistent read, 1 write, 3 resize (source: QEMU's block/file-posix.c). All of these are shared
locks: each program takes its own, and then looks whether another has a lock that excludes it. So
a disk image is refused that another machine writes, of QEMU's or of guestdbg.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys

__all__ = ["lock_image"]

_USED, _UNSHARED = 100, 200
_READ, _WRITE, _RESIZE = 0, 1, 3

# struct flock: l_type, l_whence, l_start, l_len, l_pid, padding.
_FLOCK = struct.Struct("@hhqqi4x")


def lock_image(descriptor: int, *, writes: bool) -> bool:
    """Lock an open image; False if another program uses it in a way that excludes this use.

    A reader excludes writers, and a writer all others. The lock ends when the file is closed. Where
    the file system has no locks, True.
    """
    if sys.platform != "linux":
        return _flock(descriptor, writes=writes)
    used = (_READ, _WRITE, _RESIZE) if writes else (_READ,)
    unshared = (_WRITE, _RESIZE) if not writes else (_READ, _WRITE, _RESIZE)
    try:
        for byte in (*(_USED + n for n in used), *(_UNSHARED + n for n in unshared)):
            _call(descriptor, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, byte)
        # An exclusive lock would conflict with anyone's shared one, except with our own.
        return not any(
            _call(descriptor, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) != fcntl.F_UNLCK
            for byte in (*(_UNSHARED + n for n in used), *(_USED + n for n in unshared))
        )
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL):
            return True
        raise


def _call(descriptor: int, command: int, kind: int, byte: int) -> int:
    """A lock of one byte; returns the type that the kernel answers."""
    request = _FLOCK.pack(kind, os.SEEK_SET, byte, 1, 0)
    answer: int = _FLOCK.unpack(fcntl.fcntl(descriptor, command, request))[0]
    return answer


def _flock(descriptor: int, *, writes: bool) -> bool:
    kind = fcntl.LOCK_EX if writes else fcntl.LOCK_SH
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
