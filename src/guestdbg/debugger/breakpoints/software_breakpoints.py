"""Software breakpoints: which point has its BRK instructions where."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from guestdbg.debugger.breakpoints.point import Breakpoint
from guestdbg.debugger.errors import AddressError, DebuggerError, Unsupported
from guestdbg.debugger.memory.brk_patches import can_patch
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger.guest import Guest

__all__ = ["SoftwareBreakpoints"]

log = logging.getLogger(__name__)

#: Pages of several processes that one breakpoint's BRK is kept in.
_PLACES = 16


class SoftwareBreakpoints:
    """The software breakpoints that are in a guest's memory."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest
        #: The guest-physical addresses at which each was put.
        self._patched: dict[Breakpoint, list[int]] = {}

    def follow(self, point: Breakpoint) -> None:
        """Put a breakpoint into memory, or take it out, as it is enabled or not."""
        memory = self._guest.memory
        for core in self._guest.cores:
            core.deciding.outdated()
        if not point.enabled:
            for address in self._patched.pop(point, ()):
                memory.restore(address)
        elif point not in self._patched:
            reason = can_patch(self._guest.board.vm)
            if reason is not None:
                raise Unsupported(reason)
            translate = self._guest.space.translate
            physical = [translate(address) for address in point.addresses]
            done: list[int] = []
            try:
                for address in physical:
                    memory.patch(address)
                    done.append(address)
            except Exception:
                for address in done:
                    memory.restore(address)
                raise
            self._patched[point] = physical

    def lost(self) -> list[Breakpoint]:
        """Those whose addresses have no BRK of ours just now.

        A guest that has loaded other code there, or mapped other memory, has lost them. One whose
        address is not mapped is not lost: it is where it was.
        """
        return [point for point in self._patched if self._missing(point)]

    def _missing(self, point: Breakpoint) -> list[int]:
        """The physical addresses that a breakpoint needs a BRK at, and has none."""
        memory, translate = self._guest.memory, self._guest.space.translate
        own = self._patched[point]
        found = []
        for address in point.addresses:
            with suppress(AddressError):
                physical = translate(address)
                if physical not in own or not memory.is_ours(physical):
                    found.append(physical)
        return found

    def refresh(self) -> None:
        """Put our BRK instructions where the breakpoints' addresses lie by now.

        What the guest wrote stays. Where it has mapped other memory, the BRK in the memory before
        stays too: that may be another process's, which comes back.
        """
        memory = self._guest.memory
        missing = [(self._patched[point], self._missing(point)) for point in self.lost()]
        # Two may be at one address: all let go of it before any takes it again.
        for own, places in missing:
            for physical in places:
                if physical in own:
                    own.remove(physical)
                    memory.restore(physical)
        for own, places in missing:
            for physical in places:
                with suppress(GuestdbgError):  # mapped to where there is no memory
                    memory.patch(physical)
                    own.append(physical)
            while len(own) > _PLACES:
                memory.restore(own.pop(0))

    @contextmanager
    def out_of_memory(self) -> Iterator[None]:
        """Take our BRK instructions out of memory for a while: it is loaded anew."""
        patched = sorted(self._patched, key=lambda point: point.number)
        for point in patched:
            point.enabled = False
        try:
            yield
        finally:
            for point in patched:
                try:
                    point.enabled = True
                except DebuggerError as error:
                    log.warning("%s stays disabled: %s", point.name, error)
