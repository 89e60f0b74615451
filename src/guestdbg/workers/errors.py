"""What goes wrong with a worker."""

from guestdbg.errors import GuestdbgError

__all__ = ["WorkerDied", "WorkerError"]


class WorkerError(GuestdbgError):
    """A function in a worker raised what cannot be sent; the text has its traceback."""


class WorkerDied(WorkerError):
    """A worker ended before its function returned: it was killed, or it took too long.

    Attributes:
        output: the end of what it has written, if the pool keeps that.
    """

    output: str = ""
