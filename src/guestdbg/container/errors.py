"""The errors of files that hold the state of a guest."""

from guestdbg.errors import GuestdbgError

__all__ = ["ContainerError"]


class ContainerError(GuestdbgError):
    """A snapshot file that cannot be read or written: the text says which file, and why."""
