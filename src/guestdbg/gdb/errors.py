"""Errors of the server."""

from __future__ import annotations

import errno

from guestdbg.errors import GuestdbgError

__all__ = ["PacketError", "ServerError", "defect"]

_DEFECT_TEXT = 500


class ServerError(GuestdbgError):
    """The server cannot start: an address that it cannot parse, or a port in use."""


class PacketError(GuestdbgError):
    """A packet that cannot be carried out: the client gets an error reply, and the session goes on.

    ``number`` is the errno value (1 to 255) of the reply ``E NN``, as gdbserver uses it. ``text``
    is for clients that understand errors in words (the feature ``error-message``).
    """

    def __init__(self, text: str, number: int = errno.EINVAL) -> None:
        super().__init__(text)
        self.text = text
        self.number = number


def defect(error: Exception) -> str:
    """An exception that nothing expected, in words for the users; the log has its traceback."""
    text = str(error)[:_DEFECT_TEXT]
    where = "a handler, a condition or guestdbg"
    return f"a defect in {where}: {type(error).__name__}{text and ': '}{text} (see the log)"
