"""What the server refuses."""

from __future__ import annotations

import errno

from guestdbg.errors import GuestdbgError

__all__ = ["Refused", "ServerError"]


class ServerError(GuestdbgError):
    """The server cannot be had: an address that is no address, a port in use."""


class Refused(GuestdbgError):
    """A packet that cannot be done: the client gets ``E`` and the number, and goes on.

    ``number`` is an errno as GDB's own servers use them (1 to 255); ``text`` is for the clients
    that take words (``error-message``).
    """

    def __init__(self, text: str, number: int = errno.EINVAL) -> None:
        super().__init__(text)
        self.text = text
        self.number = number
