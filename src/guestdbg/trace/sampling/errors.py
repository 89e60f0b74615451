"""What can go wrong with a profile."""

from guestdbg.errors import GuestdbgError

__all__ = ["SamplingError"]


class SamplingError(GuestdbgError):
    """A profile cannot be made or written; the text says why, and what would be right."""
