"""Files of coverage: the form that each has by its ending, and writing it whole."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from guestdbg.trace.coverage.drcov import drcov
from guestdbg.trace.coverage.errors import CoverageError
from guestdbg.trace.coverage.json_form import json_form
from guestdbg.trace.coverage.lcov import lcov
from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["ENDINGS", "CoverageFile"]

_FORMS: dict[str, Callable[[CoverageResult], Iterator[bytes]]] = {
    ".info": lcov,
    ".drcov": drcov,
    ".json": json_form,
}
ENDINGS = tuple(_FORMS)


class CoverageFile:
    """A file that coverage will be written to: whole, or not at all.

    What it will hold is written beside it, and takes its name when it is complete. So it is known
    from the start whether it can be written, and an old file stays as it is until then.

    Args:
        path: its name, whose ending says the form.
        overwrite: whether it may take the place of a file.

    Raises:
        CoverageError: another ending; the file exists; it cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self._overwrite = overwrite
        form = _FORMS.get(path.suffix)
        if form is None:
            known = ".info (lcov, genhtml), .drcov (Lighthouse and the like) or .json"
            raise CoverageError(
                f"{path}: the name of a file with coverage ends in {known}, which says its form"
            )
        self._form = form
        self._check_old()
        # The name is the directory's: a symbolic link stays one.
        self._target = path.resolve() if path.is_symlink() else path
        self._temporary = self._target.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd: int | None = os.open(self._temporary, flags, 0o666)
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            raise self._failure(error) from error

    def _check_old(self) -> None:
        try:
            if not self.path.exists():
                return
            if not self.path.is_file():
                raise CoverageError(f"{self.path}: not a regular file; give the name of a file")
        except (OSError, ValueError) as error:
            raise self._failure(error) from error
        if not self._overwrite:
            raise CoverageError(
                f"{self.path}: the file exists; add --coverage-overwrite to replace it"
            )

    def write(self, result: CoverageResult) -> None:
        """Write the coverage, and give the file its name. Raises CoverageError; once only."""
        assert self._fd is not None
        fd, self._fd = self._fd, None
        try:
            with open(fd, "wb") as file:
                for piece in self._form(result):
                    file.write(piece)
            self._check_old()
            os.replace(self._temporary, self._target)
        except OSError as error:
            self._remove()
            raise self._failure(error) from error
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

    def _failure(self, error: OSError | ValueError) -> CoverageError:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return CoverageError(f"{self.path}: coverage cannot be written there: {why or error}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
