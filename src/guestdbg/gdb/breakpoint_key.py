"""What a Z packet names, and its errors."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.debugger.errors import AddressError, OutOfRegisters, Unsupported
from guestdbg.gdb.errors import PacketError

if TYPE_CHECKING:
    from guestdbg.arm64.debug import AccessKind
    from guestdbg.errors import GuestdbgError

__all__ = [
    "ACCESS",
    "HARDWARE",
    "READ",
    "SOFTWARE",
    "WATCH_ACCESS",
    "WRITE",
    "BreakpointKey",
    "packet_error",
]

log = logging.getLogger(__name__)

#: The types of Z packets ("Debugging with GDB", appendix E.2, "insert breakpoint").
SOFTWARE, HARDWARE, WRITE, READ, ACCESS = range(5)
#: The types that are watchpoints, and the accesses that they stop at.
WATCH_ACCESS: dict[int, AccessKind] = {WRITE: "write", READ: "read", ACCESS: "any"}


class BreakpointKey(NamedTuple):
    """Type, address and kind of a Z packet. The kind of a watchpoint is its length in bytes."""

    type: int
    address: int
    kind: int

    @property
    def is_watch(self) -> bool:
        """Whether it is a watchpoint."""
        return self.type in WATCH_ACCESS

    def __str__(self) -> str:
        return f"Z{self.type},{self.address:x},{self.kind:x}"


def packet_error(error: GuestdbgError) -> PacketError:
    """The error reply to a Z packet for an error of the debugger."""
    number = errno.EINVAL
    if isinstance(error, OutOfRegisters):
        number = errno.ENOSPC
    elif isinstance(error, AddressError):
        number = errno.EFAULT
    elif isinstance(error, Unsupported):
        number = errno.EOPNOTSUPP
    log.debug("refused: %s", error)
    return PacketError(str(error), number)
