"""Watchpoints over the BRK instructions of software breakpoints.

A guest may load code to where a breakpoint is. A breakpoint in a debug register is not affected,
but a BRK in memory is overwritten. Watchpoint registers that are free therefore guard the BRK
instructions: a write of the guest takes effect, and the BRK is put back over it before the next
instruction. Writes through another address of the same memory (another mapping, a device) are not
seen; for those ``ClientBreakpoints.check_brks`` looks from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from guestdbg.debugger import DebuggerError, Watch
from guestdbg.debugger.errors import OutOfRegisters

if TYPE_CHECKING:
    from guestdbg.debugger import Breakpoint, Guest, Hit

__all__ = ["BrkGuards"]

log = logging.getLogger(__name__)

_BRK_BYTES = 4
#: The size that the debugger assumes for an access whose instruction it cannot decode.
_UNKNOWN_ACCESS = 64
_Made = TypeVar("_Made")


class BrkGuards:
    """The guards of one client's software breakpoints.

    Args:
        guest: the guest.
        overwritten: called with the address of a BRK after the guest has overwritten it.
    """

    def __init__(self, guest: Guest, overwritten: Callable[[int], object]) -> None:
        self._guest = guest
        self._overwritten = overwritten
        self._addresses: dict[int, None] = {}
        self._watches: dict[int, Watch] = {}

    def __contains__(self, address: int) -> bool:
        """Whether the BRK at ``address`` is guarded."""
        return address in self._watches

    def protect(self, point: Breakpoint) -> None:
        """Guard a software breakpoint, now or when a watchpoint register becomes free."""
        self._addresses.update(dict.fromkeys(point.addresses))
        self.fill()

    def release(self, point: Breakpoint) -> None:
        """Stop guarding a breakpoint."""
        for address in point.addresses:
            self._addresses.pop(address, None)
            watch = self._watches.pop(address, None)
            if watch is not None:
                watch.delete()

    def fill(self) -> None:
        """Guard the BRK instructions that are not guarded yet, while registers are free."""
        for address in [one for one in self._addresses if one not in self._watches]:
            try:
                watch = self._guest.watch(address, _BRK_BYTES, name=f"the BRK at {address:#x}")
            except DebuggerError as error:
                log.debug("the BRK at %#x is not guarded: %s", address, error)
                return
            watch.handler = self._put_back
            self._watches[address] = watch

    def clear(self) -> None:
        """Stop guarding all breakpoints."""
        for watch in self._watches.values():
            watch.delete()
        self._watches.clear()
        self._addresses.clear()

    def make_room(self, make: Callable[[], _Made]) -> _Made:
        """Call ``make``, which sets a watchpoint, and give it the guards' registers if it needs
        them. Raises what ``make`` raises; the guards are then as before."""
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
            return  # the store faulted, or it was a store-exclusive that failed
        address = hit.point.address
        execution, physical = self._guest.execution, self._guest.translate(address)
        if not execution.has_brk(physical):
            return  # this process has other memory at the address
        surely = hit.access_size < _UNKNOWN_ACCESS
        execution.brk_overwritten(physical, hit.address - address, hit.size, surely=surely)
        self._overwritten(address)
