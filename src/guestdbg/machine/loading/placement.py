"""Where the device tree and the initrd go in RAM, beside the guest.

As QEMU's ``-kernel`` puts them, where there is room, and as the arm64 boot protocol demands.
Source: Documentation/arch/arm64/booting.rst in Linux, sections 2 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable

from guestdbg.machine.errors import OutsideMemoryError
from guestdbg.machine.layout import GIB, MIB, PAGE_SIZE, RAM_BASE

__all__ = ["DEVICE_TREE_ALIGNMENT", "Places"]

DEVICE_TREE_ALIGNMENT = 2 * MIB  # an arm64 kernel maps its device tree with blocks of this size

_AT_MOST = 128 * MIB  # after the start of RAM, as in QEMU, if the guest ends below
_WINDOW, _WINDOW_ALIGNMENT = 32 * GIB, GIB  # which kernel and initrd share


class Places:
    """RAM up to ``ram_end``, with the ranges (start, end) that are occupied."""

    def __init__(self, ram_end: int, occupied: Iterable[tuple[int, int]]) -> None:
        self._end = ram_end
        self._occupied = list(occupied)

    def device_tree(self, size: int, *, at_base: bool) -> int | None:
        """The address for a device tree of ``size`` bytes; None if there is no room.

        ``at_base``: first of all at the start of RAM. Otherwise after the guest.
        """
        above, last = self._middle(), self._last()
        candidates = [RAM_BASE, _aligned(last)]
        if not at_base:
            candidates = [_aligned(max(above, last)), _aligned(last), RAM_BASE]
        return next((start for start in candidates if self._is_free(start, size)), None)

    def initrd(self, size: int, name: str) -> int:
        """The address for an initrd of ``size`` bytes, which is occupied from now on.

        Raises:
            OutsideMemoryError: there is no room for it, with ``name`` and the memory it takes.
        """
        last = self._last()
        for candidate in (max(self._middle(), last), last):
            start = _aligned(candidate, PAGE_SIZE)
            if self._is_free(start, size) and self._in_window(start + size):
                self._occupied.append((start, start + size))
                return start
        need = _aligned(_aligned(last, PAGE_SIZE) + size) + DEVICE_TREE_ALIGNMENT - RAM_BASE
        raise OutsideMemoryError(
            f"{name}: an initrd of {size >> 10} KiB does not fit beside the kernel; give the guest "
            f"at least {-(-need // MIB)} MiB of memory"
        )

    def _middle(self) -> int:
        return RAM_BASE + min((self._end - RAM_BASE) // 2, _AT_MOST)

    def _last(self) -> int:
        return max(max((end for _, end in self._occupied), default=0), RAM_BASE)

    def _is_free(self, start: int, size: int) -> bool:
        return start + size <= self._end and all(
            start + size <= first or end <= start for first, end in self._occupied
        )

    def _in_window(self, end: int) -> bool:
        in_ram = [first for first, _ in self._occupied if first >= RAM_BASE]
        return end - min(in_ram, default=end) // _WINDOW_ALIGNMENT * _WINDOW_ALIGNMENT <= _WINDOW


def _aligned(address: int, alignment: int = DEVICE_TREE_ALIGNMENT) -> int:
    return -(-address // alignment) * alignment
