"""Where the guest is left when it goes elsewhere in its history, to be put back there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guestdbg.debugger.execution.snapshot import GuestSnapshot, ResumePoint
    from guestdbg.machine import Time

__all__ = ["Aside"]


@dataclass(frozen=True, slots=True, eq=False)
class Aside:
    """Where the guest was.

    Attributes:
        time: where that is in its history.
        resume: what decides how it goes on from there.
        snapshot: the guest as it was; None: the budget had no room for it, and what led there is
            repeated instead.
        size: bytes that the snapshot takes.
    """

    time: Time
    resume: ResumePoint
    snapshot: GuestSnapshot | None
    size: int
