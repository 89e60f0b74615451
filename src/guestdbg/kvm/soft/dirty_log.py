"""KVM_GET_DIRTY_LOG, and readers of dirty pages (kvm_main.c: kvm_get_dirty_log_protect)."""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Final, Protocol

from guestdbg.cpu.processor import DirtyPages
from guestdbg.kvm.errors import KvmError

if TYPE_CHECKING:
    from guestdbg.cpu.processor import PhysicalMemory

PAGE: Final = 4096


class _Machine(Protocol):
    """What a reader needs of its machine."""

    phys: PhysicalMemory

    def check_open(self, call: str) -> None: ...
    def stopped(self) -> AbstractContextManager[None]: ...


class DirtyLog:
    """The log of a slot with KVM_MEM_LOG_DIRTY_PAGES: the pages that the guest has written.

    As in the kernel, what userspace writes to its own buffer is not in it.
    """

    def __init__(self, phys: PhysicalMemory, slot: int, size: int) -> None:
        self._reader = DirtyPages(phys, slot, guest_only=True)
        # The kernel's bitmap consists of whole 64-bit words.
        self._bits = bytearray(-(-size // PAGE // 64) * 8)

    def collect(self) -> None:
        """Put what the guest has written into the bitmap."""
        for first, count in self._reader.pages():
            for page in range(first, first + count):
                self._bits[page >> 3] |= 1 << (page & 7)

    def move(self, phys: PhysicalMemory, slot: int) -> None:
        """The slot was mapped again, after ``collect``. The bitmap stays."""
        self._reader = DirtyPages(phys, slot, guest_only=True)

    def take(self) -> bytes:
        """The bitmap; the next one begins here."""
        self.collect()
        bits = bytes(self._bits)
        self._bits[:] = bytes(len(bits))
        return bits

    def close(self) -> None:
        self._reader.close()


class SoftDirtyPages:
    """A reader of ``SupportsDirtyPages.dirty_pages``."""

    def __init__(self, vm: _Machine, slot: int) -> None:
        self._vm = vm
        with vm.stopped():
            self._reader = DirtyPages(vm.phys, slot)

    def pages(self) -> list[tuple[int, int]]:
        self._vm.check_open("dirty_pages")
        with self._vm.stopped():
            if not self._reader.is_open:
                raise KvmError(
                    errno.ENOENT,
                    "dirty_pages",
                    f"the reader is closed, or slot {self._reader.slot} was replaced since it was "
                    "opened: open a new one, and take all pages as written",
                )
            return self._reader.pages()

    def close(self) -> None:
        with self._vm.stopped():
            self._reader.close()
