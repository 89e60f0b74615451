"""Making instructions that userspace wrote visible to a guest's instruction fetches.

The architecture keeps instruction caches coherent with stores only if software says so: data are
cleaned to memory (DC CVAC) and instructions invalidated (IC IVAU), by address, with barriers (DDI
0487, "Concurrent modification and execution of instructions"). EL0 may execute these where the
kernel lets it, and Linux does. Python has no way to, so the few instructions are here, to be put
into a page of their own that can be executed.

The guest has the same memory at another virtual address. Invalidating by ours reaches its lines
where instruction caches are found by physical address (PIPT, in CTR_EL0.L1Ip), and is not needed at
all where CTR_EL0.DIC says so. Elsewhere (VIPT) an alias could stay: there is no sound way for
userspace then, and ``code_visible()`` is None.
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

#: Tests assemble the comments, and compare.
READ_CTR: Final = (
    0xD53B0020,  # mrs x0, ctr_el0
    0xD65F03C0,  # ret
)
MAKE_VISIBLE: Final = (  # x0: the first byte, x1: behind the last
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
    """Whether what CTR_EL0 tells of the caches lets one address speak for another."""
    return ctr >> _L1IP_SHIFT & 3 == _L1IP_PIPT or bool(ctr & _DIC)


@functools.cache
def code_visible() -> MakeVisible | None:
    """The function for it, or None: caches that it does not reach, or no executable page."""
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
    """The address of a page with ``code`` that can be executed, and not written."""
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
