"""What can go wrong with the lab, in words for the person who started it."""

from guestdbg.errors import GuestdbgError


class LabError(GuestdbgError):
    """The lab cannot be built, started or used; the text says what is missing or what broke."""


class CommandTimeout(LabError):
    """A command did not end within its time and was killed.

    ``stdout`` and ``stderr`` hold what it had written until then. The lab itself goes on,
    unless ``Lab.running`` says otherwise.
    """

    def __init__(self, message: str, stdout: bytes, stderr: bytes) -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr
