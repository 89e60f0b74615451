"""Software breakpoints: which point has its BRK instructions at which physical addresses."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import AddressError
from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.debugger.breakpoints.point import Breakpoint
    from guestdbg.debugger.memory.brk_patches import PatchedMemory

__all__ = ["SoftwareBreakpoints"]

log = logging.getLogger(__name__)

#: A breakpoint keeps its BRK in the pages of so many processes.
_MAX_PAGES = 16


class SoftwareBreakpoints:
    """The software breakpoints that are in a guest's memory.

    Args:
        memory: takes the BRK instructions.
        translate: the guest-physical address of a virtual one, as the current vCPU has it mapped.
        on_change: called before the set of BRK instructions changes.
    """

    def __init__(
        self,
        memory: PatchedMemory,
        translate: Callable[[int], int],
        on_change: Callable[[], None],
    ) -> None:
        self._memory = memory
        self._translate = translate
        self._on_change = on_change
        #: The guest-physical addresses at which each was put.
        self._patched: dict[Breakpoint, list[int]] = {}

    def sync(self, point: Breakpoint) -> None:
        """Put a breakpoint's BRK into memory, or take it out, as the point is enabled or not."""
        memory = self._memory
        self._on_change()
        if not point.enabled or not point.placed:
            for address in self._patched.pop(point, ()):
                memory.restore(address)
        elif point not in self._patched:
            memory.check_patchable()
            physical = [self._translate(address) for address in point.addresses]
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
        """The breakpoints whose addresses hold no BRK of the debugger's now.

        The guest has loaded other code there, or mapped other memory. A breakpoint whose address
        is not mapped is not lost: its BRK is where it was.
        """
        return [point for point in self._patched if self._missing(point)]

    def _missing(self, point: Breakpoint) -> list[int]:
        """The physical addresses at which a breakpoint needs a BRK and has none."""
        own = self._patched[point]
        found = []
        for address in point.addresses:
            with suppress(AddressError):
                physical = self._translate(address)
                if physical not in own or not self._memory.has_brk_at(physical):
                    found.append(physical)
        return found

    def refresh(self) -> None:
        """Put the BRK instructions where the breakpoints' addresses are mapped now.

        What the guest wrote there is kept as the original instruction. Where the guest has mapped
        other memory, the BRK in the memory that was mapped before stays too: that may belong to
        another process, which is switched to again later.
        """
        memory = self._memory
        missing = [(self._patched[point], self._missing(point)) for point in self.lost()]
        if missing:
            self._on_change()
        # Two breakpoints may be at one address: all release it before any patches it again.
        for own, places in missing:
            for physical in places:
                if physical in own:
                    own.remove(physical)
                    memory.restore(physical)
        for own, places in missing:
            for physical in places:
                with suppress(GuestdbgError):  # mapped to an address without memory
                    memory.patch(physical)
                    own.append(physical)
            while len(own) > _MAX_PAGES:
                memory.restore(own.pop(0))

    @contextmanager
    def out_of_memory(self) -> Iterator[None]:
        """Have no BRK in guest memory inside a ``with`` block, in which the guest is loaded."""
        patched = sorted(self._patched, key=lambda point: point.number)
        for point in patched:
            point.enabled = False
        try:
            yield
        finally:
            for point in patched:
                try:
                    point.enabled = True
                except GuestdbgError as error:  # not mapped, or to an address without memory
                    log.warning("%s stays disabled: %s", point.name, error)
