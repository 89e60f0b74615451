"""The lab's exceptions. Their texts are for the person who started the lab."""

from guestdbg.errors import GuestdbgError


class LabError(GuestdbgError):
    """The lab cannot be built, started or used. The text says what is missing or what failed."""


class CommandTimeout(LabError):
    """A command did not end within its time and was killed.

    ``stdout`` and ``stderr`` hold what it had written until then. The lab itself still runs,
    unless ``Lab.running`` is False.
    """

    def __init__(self, message: str, stdout: bytes, stderr: bytes) -> None:
        super().__init__(message)
        self.stdout = stdout
        self.stderr = stderr
