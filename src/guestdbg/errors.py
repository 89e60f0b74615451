"""The base class of the errors that guestdbg raises for mistakes of its user."""


class GuestdbgError(Exception):
    """guestdbg cannot do what was requested. The text says what is wrong, and what would be right.

    Every package derives its errors from this class. So one ``except`` in a program (or the command
    line) separates errors of its user from defects of guestdbg.
    """
