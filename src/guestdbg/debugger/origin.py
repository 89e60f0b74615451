"""How a guest was made: what a file of its state needs to make the same board again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from guestdbg.machine import DriveSpec, RtcStart

__all__ = ["Origin"]


class Origin(NamedTuple):
    """The arguments of ``guestdbg.load`` that no part of the guest keeps.

    Attributes:
        rtc: where the real-time clock started.
        drives: the disks, with absolute paths.
        own_devices: the names of the user's devices.
        own_regions: the addresses of the user's memory.
        net, entropy, semihosting: whether it has a network card, an entropy device, semihosting.
        heap: what SYS_HEAPINFO gives.
        linux_image: the guest-physical address and the size of a Linux Image; None: it is none.
    """

    rtc: RtcStart
    drives: Sequence[DriveSpec] = ()
    own_devices: tuple[str, ...] = ()
    own_regions: tuple[int, ...] = ()
    net: bool = False
    entropy: bool = False
    semihosting: bool = False
    heap: tuple[int, int, int, int] = (0, 0, 0, 0)
    linux_image: tuple[int, int] | None = None
