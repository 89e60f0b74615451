"""Whether a virtual address has something at it that a watch can be of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from guestdbg.debugger.errors import AddressError

if TYPE_CHECKING:
    from guestdbg.machine import Board

__all__ = ["absence"]


def absence(translate: Callable[[int], int], board: Board, address: int) -> str | None:
    """Why an access to ``address`` reaches nothing as the guest is now; None if it does.

    ``translate`` gives the guest-physical address. The guest may map the address later.
    """
    try:
        physical = translate(address)
    except AddressError:
        return "the guest's page tables do not map it now"
    if board.memory.find(physical, 1) is not None:
        return None
    if any(d.base <= physical < d.base + d.size for d in board.bus.devices):
        return None
    at = "" if physical == address else f" (physical {physical:#x})"
    return f"this board has neither memory nor a device there{at}"
