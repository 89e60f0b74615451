"""The root of the errors that guestdbg raises for what a person can put right."""


class GuestdbgError(Exception):
    """Something asked of guestdbg cannot be done; the text says what was wrong and what is right.

    Every layer derives its own errors from this one, so that a program (and the command line)
    can tell a mistake of its user from a defect of ours with a single ``except``.
    """
