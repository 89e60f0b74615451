"""The exceptions of other libraries, turned into this project's.

A library that reads a damaged file may raise anything: its own errors, but also KeyError,
TypeError, RecursionError or MemoryError from its inside. A caller of guestdbg is to see one of
guestdbg's errors, with the file and the cause; the original exception is its ``__cause__``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from guestdbg.errors import GuestdbgError

__all__ = ["raised_as", "reason"]


@contextmanager
def raised_as(error: Callable[[str], GuestdbgError], what: str) -> Iterator[None]:
    """In this context, any exception of a library becomes ``error("WHAT: the reason")``.

    Errors of guestdbg itself pass unchanged, as do KeyboardInterrupt and SystemExit.
    """
    try:
        yield
    except GuestdbgError:
        raise
    except Exception as cause:
        raise error(f"{what}: {reason(cause)}") from cause


def reason(cause: Exception) -> str:
    """The reason that an exception gives, in one short line."""
    if isinstance(cause, MemoryError):
        return "it takes more memory than there is"
    if isinstance(cause, RecursionError):
        return "it is nested too deeply"
    lines = str(cause).strip().splitlines()
    text = lines[0][:300] if lines else ""
    name = type(cause).__name__
    if not text:
        return name
    # The text of such an exception is only a key, an index or a type: it needs the name.
    if isinstance(cause, LookupError | TypeError | AttributeError | AssertionError):
        return f"{name}: {text}"
    return text
