"""drgn's exceptions, turned into this project's, with the files that drgn reads.

drgn reads debug information when it is needed, so any use of a type or an object may find the
damage in a file: BadDataError, but also MemoryError, RecursionError or UnicodeDecodeError.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from guestdbg.debugger.errors import AddressError, BadImage
from guestdbg.errors import GuestdbgError
from guestdbg.library_errors import reason

__all__ = ["damage", "drgn_errors", "translated"]

#: drgn gets files in memory, which are named after those of the guest.
_IN_MEMORY = re.compile(r"/memfd:(.*?) \(deleted\)")


def damage(cause: Exception) -> str:
    """The reason that an exception of drgn gives, with the names of files as the user knows them.

    drgn puts them as ``/memfd:NAME (deleted)``.
    """
    return _IN_MEMORY.sub(r"\1", reason(cause))


def translated(cause: Exception, what: str, program: Any) -> GuestdbgError:
    """The error for an exception that drgn has raised while it looked for ``what``.

    AddressError for guest memory that cannot be read, and else BadImage, with the files of
    ``program``; errors of guestdbg (from its reader of memory) stay what they are.
    """
    if isinstance(cause, GuestdbgError):
        return cause
    if type(cause).__name__ == "FaultError":  # of drgn, which may not be installed
        return AddressError(str(cause), getattr(cause, "address", 0))
    files = ", ".join(module.name for module in program.modules())
    return BadImage(f"{what}: the debug information of {files} is damaged: {damage(cause)}")


@contextmanager
def drgn_errors(what: str, program: Any) -> Iterator[None]:
    """In this context, exceptions are raised as ``translated`` gives them."""
    try:
        yield
    except GuestdbgError:
        raise
    except Exception as cause:
        raise translated(cause, what, program) from cause
