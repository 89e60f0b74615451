"""Watchpoints over our BRK instructions, so that the guest does not lose them unnoticed.

A guest may load code where a breakpoint is. One in a register does not mind; a BRK is gone. The
watchpoint registers that nobody else needs therefore watch the BRK instructions: what the guest
writes stays, and the BRK is put back over it before the next instruction. By other addresses of
the same memory (another mapping, a device) it is written unseen: for that, ``Session`` looks from
time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from guestdbg.debugger import Breakpoint, DebuggerError, Hit, Watch
from guestdbg.debugger.errors import OutOfRegisters

if TYPE_CHECKING:
    from guestdbg.debugger import Guest

__all__ = ["Guards"]

log = logging.getLogger(__name__)

_BRK_BYTES = 4
#: What an access is taken for whose instruction the debugger does not know.
_UNKNOWN_ACCESS = 64
_Made = TypeVar("_Made")


class Guards:
    """The guards of one client's breakpoints; ``written`` is told the address of a BRK that was."""

    def __init__(self, guest: Guest, written: Callable[[int], object]) -> None:
        self._guest = guest
        self._written = written
        self._wanted: dict[int, None] = {}
        self._watches: dict[int, Watch] = {}

    def __contains__(self, address: int) -> bool:
        """Whether the BRK at ``address`` is guarded."""
        return address in self._watches

    def protect(self, point: Breakpoint) -> None:
        """Guard a software breakpoint, as soon as a watchpoint register can be had for it."""
        self._wanted.update(dict.fromkeys(point.addresses))
        self.fill()

    def release(self, point: Breakpoint) -> None:
        """Guard it no more."""
        for address in point.addresses:
            self._wanted.pop(address, None)
            watch = self._watches.pop(address, None)
            if watch is not None:
                watch.delete()

    def fill(self) -> None:
        """Guard what is not guarded, as far as there are registers."""
        for address in [one for one in self._wanted if one not in self._watches]:
            try:
                watch = self._guest.watch(address, _BRK_BYTES, name=f"the BRK at {address:#x}")
            except DebuggerError as error:
                log.debug("the BRK at %#x is not guarded: %s", address, error)
                return
            watch.handler = self._put_back
            self._watches[address] = watch

    def clear(self) -> None:
        """Guard nothing any more."""
        for watch in self._watches.values():
            watch.delete()
        self._watches.clear()
        self._wanted.clear()

    def make_room(self, make: Callable[[], _Made]) -> _Made:
        """Make what may need a guard's register. Raises what ``make`` raises."""
        try:
            return make()
        except OutOfRegisters:
            if not self._watches:
                raise
        for watch in self._watches.values():
            watch.enabled = False
        try:
            made = make()
        except Exception:
            for watch in self._watches.values():
                watch.enabled = True
            raise
        for watch in self._watches.values():
            watch.delete()
        self._watches.clear()
        self.fill()
        return made

    def _put_back(self, hit: Hit) -> None:
        assert isinstance(hit.point, Watch)
        if hit.new_bytes is None:
            return  # it faulted, or was a store-exclusive that failed
        address = hit.point.address
        memory, physical = self._guest.memory, self._guest.translate(address)
        if physical not in memory:
            return  # another process has other memory there
        exact = hit.access_size < _UNKNOWN_ACCESS
        memory.overwritten(physical, hit.address - address, hit.size, surely=exact)
        self._written(address)
