"""Watches of memory that a device writes: hits made from what the board's devices report.

A device's access does not go through a vCPU, so no debug register sees it. A virtio device works
while a vCPU stores to its QueueNotify register, or when the board delivers an input. The hits are
those of the vCPU whose turn it is: its context translates the watched addresses, and its PC says
what was going on. They are reported before its next instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.hit import Hit
from guestdbg.debugger.errors import AddressError
from guestdbg.debugger.vcpu.access_decoder import WRITE, Touched
from guestdbg.kvm.regs import PC

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Watch
    from guestdbg.debugger.vcpu.context import VcpuContext
    from guestdbg.debugger.vcpu.mmio_watchpoints import MmioWatchpoints

__all__ = ["DmaWatchpoints"]

_PAGE_OFFSET = 0xFFF
#: Watches up to this size report their whole value, as hits of vCPUs do.
_WHOLE_VALUE = 8


class DmaWatchpoints:
    """The hits of devices on memory, in the turn of one vCPU."""

    def __init__(self, context: VcpuContext, mmio: MmioWatchpoints) -> None:
        self._context = context
        self._mmio = mmio
        self._before: dict[Watch, bytes | None] = {}

    def will_write(self, address: int, length: int) -> None:
        """A device is about to write memory at a guest-physical address."""
        for watch, physical in self._overlapping(address, length):
            start, size = self._value(watch, physical, address, length)
            self._before[watch] = self._context.try_read(start, size)

    def written(self, device: str, address: int, length: int) -> None:
        """A device has written memory at a guest-physical address."""
        context = self._context
        hits = []
        for watch, physical in self._overlapping(address, length):
            start, size = self._value(watch, physical, address, length)
            touched = Touched(watch.address + address - physical, length, WRITE)
            old = self._before.pop(watch, None)
            hit = Hit(context, watch, context.get(PC), touched, None, old)
            hit.device = device
            hit.new_bytes = context.try_read(start, size)
            hits.append(hit)
        if hits:
            # The device may work where no code of the debugger has run since the vCPU began to.
            context.collect_counts()
            self._mmio.add(hits)

    def _overlapping(self, address: int, length: int) -> list[tuple[Watch, int]]:
        """The armed watches of writes that have a byte in the range: (watch, physical address)."""
        context, found = self._context, []
        for watch in context.target.armed.watches:
            if not watch.bits & WRITE or watch.el != "any":
                continue
            # Translation keeps the offset in a page, which rules most watches out without one.
            if (
                address - watch.address & _PAGE_OFFSET >= watch.length
                and watch.address - address & _PAGE_OFFSET >= length
            ):
                continue
            try:
                physical = context.space.translate(watch.address)
            except AddressError:
                continue
            overlaps = physical < address + length and address < physical + watch.length
            if overlaps and context.matches(watch, False):
                found.append((watch, physical))
        return found

    @staticmethod
    def _value(watch: Watch, physical: int, address: int, length: int) -> tuple[int, int]:
        """The watched bytes to show: virtual address and length."""
        if watch.length in (1, 2, 4, _WHOLE_VALUE):
            return watch.address, watch.length
        low = max(physical, address)
        high = min(physical + watch.length, address + length)
        return watch.address + low - physical, high - low
