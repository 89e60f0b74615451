"""A log or a page that cannot be read or written."""

from guestdbg.errors import GuestdbgError

__all__ = ["ReportError"]


class ReportError(GuestdbgError):
    """A report cannot be made; the text says why, and what would be right."""
