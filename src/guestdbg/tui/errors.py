"""What goes wrong in the interface; its text is for the user who typed a command."""

from guestdbg.errors import GuestdbgError

__all__ = ["CommandError", "MissingTextual", "TuiError"]


class TuiError(GuestdbgError):
    """The interface cannot be opened, or cannot do something."""


class CommandError(TuiError):
    """A command cannot be carried out; the text says what would be right."""


class MissingTextual(TuiError):
    """Textual, which draws the interface, is not installed."""
