"""Memory for a guest that must not be left: whoever reads or writes beyond it is found out.

Two kinds. Guarded: pages on both sides that nobody may touch, so that one byte beyond is a
segmentation fault. Offset: within a larger buffer, not aligned to anything, with known bytes on
both sides that are checked afterwards (and that a sanitizer knows the ends of).
"""

from __future__ import annotations

import ctypes
import mmap
import random

PAGE = mmap.PAGESIZE
_PROT_NONE = 0
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_libc.mprotect.restype = ctypes.c_int


class Memory:
    """`view` is what the guest gets; check() raises if anything was written beside it."""

    view: memoryview

    def check(self) -> None:
        """Raises AssertionError where a byte beside the memory was changed."""


class Guarded(Memory):
    def __init__(self, size: int) -> None:
        self.size = size
        lead = -(-size // PAGE) * PAGE
        self.map = mmap.mmap(-1, lead + 2 * PAGE)
        holder = ctypes.c_char.from_buffer(self.map)
        start = ctypes.addressof(holder)
        del holder
        for guard in (start, start + PAGE + lead):
            if _libc.mprotect(guard, PAGE, _PROT_NONE):
                raise OSError(ctypes.get_errno(), "mprotect")
        # The end of the memory is what accesses run over: it lies at the guard.
        self.view = memoryview(self.map)[PAGE + lead - size : PAGE + lead]


class Offset(Memory):
    def __init__(self, size: int, lead: int) -> None:
        self.lead = lead
        self.size = size
        self.before = bytes(range(1, lead + 1))
        self.after = bytes(range(101, 101 + 64))
        self.buffer = bytearray(self.before + bytes(size) + self.after)
        self.view = memoryview(self.buffer)[lead : lead + size]

    def check(self) -> None:
        assert self.buffer[: self.lead] == self.before, "written before its start"
        assert self.buffer[self.lead + self.size :] == self.after, "written past its end"


def make(rng: random.Random, size: int) -> Memory:
    if rng.random() < 0.7:
        return Guarded(size)
    return Offset(size, rng.choice([1, 7, 8, 32, 61, 90]))
