"""What can go wrong with a trace."""

from guestdbg.errors import GuestdbgError

__all__ = ["TracingError"]


class TracingError(GuestdbgError):
    """A trace cannot be made or written; the text says why, and what would be right."""
