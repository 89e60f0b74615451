"""What cannot be done with a table."""

from guestdbg.errors import GuestdbgError

__all__ = ["MissingLibrary", "TableError"]


class TableError(GuestdbgError):
    """A table cannot be made or written; the text says why."""


class MissingLibrary(TableError):
    """A library that is not installed is needed; the text names it."""
