"""BRK instructions of the debugger in guest memory, hidden from those who read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import Unsupported
from guestdbg.kvm import SupportsCodeChanged

if TYPE_CHECKING:
    from guestdbg.debugger.memory.address_space import View
    from guestdbg.machine import Board

__all__ = ["BRK", "BRK_IMMEDIATE", "PatchedMemory"]

log = logging.getLogger(__name__)

#: BRK (DDI 0487, C6.2) with an immediate that no compiler or kernel uses.
BRK_IMMEDIATE = 0x6DB
BRK = (0xD4200000 | BRK_IMMEDIATE << 5).to_bytes(4, "little")


_NOT_PATCHABLE = (
    "software breakpoints change the guest's instructions, and this provider has no way to "
    "make the processor see that (the extension vm.code_changed): use hardware ones"
)


class PatchedMemory:
    """The board's memory as it would be without the debugger's BRK instructions.

    Reading gives the original instructions, and writing changes those. ``remove`` takes a BRK out
    of memory and ``reinsert`` puts it back, so that the original instruction can run.
    """

    def __init__(self, board: Board) -> None:
        self._read = board.read_phys
        self._write_phys = board.write_phys
        self._find = board.memory.find
        self._vm = board.vm
        self._original: dict[int, bytes] = {}
        self._users: dict[int, int] = {}
        #: Called before the user of the debugger writes memory.
        self.before_write: Callable[[], object] | None = None
        #: The debugger changes the guest, and not the user: for those who are notified of changes.
        self.is_writing = False

    @property
    def patched(self) -> tuple[int, ...]:
        """The guest-physical addresses of the debugger's BRK instructions."""
        return tuple(self._original)

    def __contains__(self, address: int) -> bool:
        return address in self._original

    def _write(self, address: int, data: bytes) -> None:
        with self.own_writes():
            self._write_phys(address, data)

    @contextmanager
    def own_writes(self) -> Iterator[None]:
        """What changes the guest inside a ``with`` block is no change by the user."""
        before, self.is_writing = self.is_writing, True
        try:
            yield
        finally:
            self.is_writing = before

    def check_patchable(self) -> None:
        """Raises Unsupported if the guest's instructions cannot be changed under this provider.

        A provider that caches decoded instructions must be notified. On real hardware the caches
        must be cleaned and invalidated, which not every processor lets userspace do for a guest.
        """
        if not isinstance(self._vm, SupportsCodeChanged):
            raise Unsupported(_NOT_PATCHABLE)

    def patch(self, address: int) -> None:
        """Put a BRK at the guest-physical ``address``. Call it once for each user of the BRK."""
        self.check_patchable()
        if address not in self._users:
            original = self._read(address, 4)  # raises if there is no memory
            self._write(address, BRK)
            self._original[address] = original
            self._users[address] = 0
        self._users[address] += 1

    def restore(self, address: int) -> None:
        """One user less; the last one restores the original instruction."""
        self._users[address] -= 1
        if self._users[address]:
            return
        del self._users[address]
        original = self._original.pop(address)
        if self._read(address, 4) == BRK:
            self._write(address, original)
        else:
            log.warning(
                "the guest has overwritten the software breakpoint at physical %#x", address
            )

    def overwritten(self, address: int, start: int, length: int, *, surely: bool) -> None:
        """The guest has written over a BRK: take that as the new original, and put the BRK back.

        ``start`` (0 to 3) and ``length`` say which bytes may have been written. Without ``surely``
        only those that differ from the BRK were.
        """
        now, original = self._read(address, 4), bytearray(self._original[address])
        for at in range(start, start + length):
            if surely or now[at] != BRK[at]:
                original[at] = now[at]
        self._original[address] = bytes(original)
        self._write(address, BRK)

    def has_brk_at(self, address: int) -> bool:
        """Whether memory still holds the debugger's BRK at the guest-physical ``address``."""
        return address in self._original and self._read(address, 4) == BRK

    def remove(self, address: int) -> None:
        """Put the original instruction into memory, until ``reinsert``."""
        if self._read(address, 4) == BRK:
            self._write(address, self._original[address])

    def reinsert(self, address: int) -> None:
        """Put the BRK back, unless the guest changed the instruction or it has been restored."""
        if address in self._original and self._read(address, 4) == self._original[address]:
            self._write(address, BRK)

    def snapshot(self) -> dict[int, bytes]:
        """The original instructions, by address."""
        return dict(self._original)

    def restored(self, originals: Mapping[int, bytes]) -> None:
        """Memory was restored to a time when there were BRKs over ``originals``: replace those BRKs
        by the ones that are needed now."""
        for address, original in originals.items():
            if self._read(address, 4) == BRK:
                self._write(address, original)
        for address in self._original:
            self._original[address] = self._read(address, 4)
            self._write(address, BRK)

    def read_phys(self, address: int, length: int) -> bytes:
        """Guest-physical memory, with the original instructions."""
        data = self._read(address, length)
        if not self._original:
            return data
        patched = bytearray(data)
        for at, original in self._original.items():
            if address - 4 < at < address + length and self._read(at, 4) == BRK:
                for i in range(4):
                    if 0 <= at + i - address < length:
                        patched[at + i - address] = original[i]
        return bytes(patched)

    def find(self, address: int, length: int) -> View | None:
        """The host memory that backs guest-physical memory, with the BRK instructions in it."""
        region = self._find(address, length)
        if region is None:
            return None
        start = address - region.base
        return region.buffer, start, start + length

    def write_phys(self, address: int, data: bytes) -> None:
        """Write guest-physical memory; bytes under a BRK become the new original."""
        if self.before_write is not None:
            self.before_write()
        originals: dict[int, bytes] = {}
        if self._original:
            visible = bytearray(data)
            for at in self._original:
                if address - 4 < at < address + len(data) and self._read(at, 4) == BRK:
                    original = bytearray(self._original[at])
                    for i in range(4):
                        if 0 <= at + i - address < len(data):
                            original[i] = data[at + i - address]
                            visible[at + i - address] = BRK[i]
                    originals[at] = bytes(original)
            data = bytes(visible)
        self._write(address, data)  # raises where memory ends: nothing has changed then
        self._original.update(originals)
