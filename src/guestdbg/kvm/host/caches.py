"""Making instructions that userspace wrote visible to a guest's instruction fetches.

The architecture does not keep instruction caches coherent with stores. Software must clean the data
to memory (DC CVAC) and invalidate the instructions (IC IVAU), by address, with barriers (DDI 0487,
"Concurrent modification and execution of instructions"). EL0 may execute these instructions if the
kernel permits it, and Linux does. Python cannot execute them, so the machine code is here, and is
put into an executable page.

The guest has the same memory at another virtual address. If instruction caches are physically
indexed (PIPT, in CTR_EL0.L1Ip), invalidating the lines of this process's address invalidates those
of the guest's. If CTR_EL0.DIC is 1, no invalidation is needed at all. Otherwise (VIPT) a line of
the guest's address can stay, and userspace has no sound way: ``code_visible()`` is None then.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
from collections.abc import Callable
from typing import Final

_L1IP_SHIFT: Final = 14
_L1IP_PIPT: Final = 3
_DIC: Final = 1 << 29

#: A test assembles the comments, and compares.
READ_CTR: Final = (
    0xD53B0020,  # mrs x0, ctr_el0
    0xD65F03C0,  # ret
)
MAKE_VISIBLE: Final = (  # x0: the first byte, x1: the end (exclusive)
    0xD53B0022,  # mrs x2, ctr_el0
    0xD2800083,  # mov x3, #4
    0xD3504C44,  # ubfx x4, x2, #16, #4
    0x9AC42064,  # lsl x4, x3, x4
    0xD1000485,  # sub x5, x4, #1
    0x8A250006,  # bic x6, x0, x5
    0xD50B7A26,  # dc cvac, x6
    0x8B0400C6,  # add x6, x6, x4
    0xEB0100DF,  # cmp x6, x1
    0x54FFFFA3,  # b.lo -12
    0xD5033B9F,  # dsb ish
    0xD3400C44,  # ubfx x4, x2, #0, #4
    0x9AC42064,  # lsl x4, x3, x4
    0xD1000485,  # sub x5, x4, #1
    0x8A250006,  # bic x6, x0, x5
    0xD50B7526,  # ic ivau, x6
    0x8B0400C6,  # add x6, x6, x4
    0xEB0100DF,  # cmp x6, x1
    0x54FFFFA3,  # b.lo -12
    0xD5033B9F,  # dsb ish
    0xD5033FDF,  # isb
    0xD65F03C0,  # ret
)

#: Makes the bytes from one address of this process to another (exclusive) visible to fetches.
MakeVisible = Callable[[int, int], None]


def reaches_aliases(ctr: int) -> bool:
    """Whether, by CTR_EL0, invalidating one virtual address suffices for its aliases."""
    return ctr >> _L1IP_SHIFT & 3 == _L1IP_PIPT or bool(ctr & _DIC)


@functools.cache
def code_visible() -> MakeVisible | None:
    """The function that makes code visible.

    None: the caches do not permit it from userspace, or no page can be made executable.
    """
    try:
        page = _executable(struct.pack(f"<{len(_WORDS)}I", *_WORDS))
    except OSError:
        return None
    read_ctr = ctypes.CFUNCTYPE(ctypes.c_uint64)(page)
    if not reaches_aliases(read_ctr()):
        return None
    address = page + 4 * len(READ_CTR)
    return ctypes.CFUNCTYPE(None, ctypes.c_uint64, ctypes.c_uint64)(address)


_WORDS: Final = READ_CTR + MAKE_VISIBLE


def _executable(code: bytes) -> int:
    """The address of a page that holds ``code``, executable and not writable."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    )
    fd = os.memfd_create("guestdbg-caches", os.MFD_CLOEXEC)
    try:
        os.write(fd, code)
        # Not Python's mmap, which would keep the descriptor open.
        protection = mmap.PROT_READ | mmap.PROT_EXEC
        page = libc.mmap(None, mmap.PAGESIZE, protection, mmap.MAP_PRIVATE, fd, 0)
    finally:
        os.close(fd)
    if page is None or page == ctypes.c_void_p(-1).value:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return int(page)
