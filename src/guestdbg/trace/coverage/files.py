"""Files of coverage: the form that each has by its ending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.trace.coverage.drcov import drcov
from guestdbg.trace.coverage.errors import CoverageError
from guestdbg.trace.coverage.json_form import json_form
from guestdbg.trace.coverage.lcov import lcov
from guestdbg.trace.whole_file import WholeFile

if TYPE_CHECKING:
    from guestdbg.trace.coverage.result import CoverageResult

__all__ = ["ENDINGS", "CoverageFile"]

_FORMS: dict[str, Callable[[CoverageResult], Iterator[bytes]]] = {
    ".info": lcov,
    ".drcov": drcov,
    ".json": json_form,
}
ENDINGS = tuple(_FORMS)


class CoverageFile(WholeFile):
    """A file that coverage will be written to: whole, or not at all.

    Args:
        path: its name, whose ending says the form.
        overwrite: whether it may take the place of a file.

    Raises:
        CoverageError: another ending; the file exists; it cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        form = _FORMS.get(path.suffix)
        if form is None:
            known = ".info (lcov, genhtml), .drcov (Lighthouse and the like) or .json"
            raise CoverageError(
                f"{path}: the name of a file with coverage ends in {known}, which says its form"
            )
        self._form = form
        super().__init__(
            path,
            "coverage",
            overwrite=overwrite,
            option="--coverage-overwrite",
            error=CoverageError,
        )

    def write(self, result: CoverageResult) -> None:
        """Write the coverage, and give the file its name. Raises CoverageError; once only."""
        self.put(self._form(result))
