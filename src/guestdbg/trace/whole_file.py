"""A file that is written whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.closing import Closing

if TYPE_CHECKING:
    from guestdbg.errors import GuestdbgError

__all__ = ["WholeFile"]


class WholeFile(Closing):
    """A file that something will be written to: whole, or not at all.

    What it will hold is written beside it, and takes its name when it is complete. So it is known
    from the start whether it can be written, and an old file stays as it is until then.

    Args:
        path: its name.
        what: what will be in it, in messages.
        overwrite: whether it may take the place of a file.
        option: the option that says so, in messages.
        error: the exception for what is wrong with it.

    Raises ``error``: the file exists; it cannot be written.
    """

    def __init__(
        self,
        path: Path,
        what: str,
        *,
        overwrite: bool,
        option: str,
        error: Callable[[str], GuestdbgError],
    ) -> None:
        self.path = path
        self._what = what
        self._overwrite = overwrite
        self._option = option
        self._error = error
        self._check_old()
        # The name is the directory's: a symbolic link stays one.
        self._target = path.resolve() if path.is_symlink() else path
        self._temporary = self._target.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd: int | None = os.open(self._temporary, flags, 0o666)
        except (OSError, ValueError) as cause:  # ValueError: a NUL character
            raise self._failure(cause) from cause

    def _check_old(self) -> None:
        try:
            if not self.path.exists():
                return
            if not self.path.is_file():
                raise self._error(f"{self.path}: not a regular file; give the name of a file")
        except (OSError, ValueError) as cause:
            raise self._failure(cause) from cause
        if not self._overwrite:
            raise self._error(f"{self.path}: the file exists; add {self._option} to replace it")

    def put(self, pieces: Iterable[bytes]) -> None:
        """Write it, and give the file its name. Raises ``error``; once only."""
        assert self._fd is not None
        fd, self._fd = self._fd, None
        try:
            with open(fd, "wb") as file:
                for piece in pieces:
                    file.write(piece)
            self._check_old()
            os.replace(self._temporary, self._target)
        except OSError as cause:
            self._remove()
            raise self._failure(cause) from cause
        except BaseException:
            self._remove()
            raise

    def close(self) -> None:
        """Remove what is not complete."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._temporary.unlink()

    def _failure(self, cause: OSError | ValueError) -> GuestdbgError:
        why = cause.strerror if isinstance(cause, OSError) else str(cause)
        return self._error(f"{self.path}: {self._what} cannot be written there: {why or cause}")
