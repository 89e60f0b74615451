"""--coverage: what the guest executed, in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guestdbg.closing import Closing

if TYPE_CHECKING:
    # At run time it is imported only for a run with coverage.
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest
    from guestdbg.trace import Coverage, CoverageResult
    from guestdbg.trace.coverage.files import CoverageFile


def coverage_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options."""
    for option in reversed(
        (
            click.option(
                "--coverage",
                "coverage_paths",
                metavar="FILE",
                multiple=True,
                type=click.Path(path_type=Path, dir_okay=False),
                help="Write which code ran to FILE.info (lcov), .drcov or .json. Repeatable.",
            ),
            click.option(
                "--coverage-form",
                type=click.Choice(["first", "counts", "edges"]),
                help="Whether code ran (the default), how often, or also where branches went.",
            ),
            click.option(
                "--coverage-overwrite",
                is_flag=True,
                help="The files of --coverage may exist: replace them.",
            ),
        )
    ):
        command = option(command)
    return command


class CoverageFiles(Closing):
    """The files of --coverage: opened before the guest runs, written when it has ended.

    Raises CoverageError for a file that cannot be written, and if the guest's provider has no
    coverage; click.UsageError for options without a file.
    """

    def __init__(
        self,
        paths: tuple[Path, ...],
        form: str | None,
        *,
        overwrite: bool,
    ) -> None:
        if not paths and (form or overwrite):
            option = "--coverage-form" if form else "--coverage-overwrite"
            raise click.UsageError(f"{option} without --coverage: there is no file to write.")
        self._form = form or "first"
        self._files: list[CoverageFile] = []
        self._coverage: Coverage | None = None
        if not paths:
            return
        from guestdbg.trace.coverage.files import CoverageFile

        try:
            for path in dict.fromkeys(paths):
                self._files.append(CoverageFile(path, overwrite=overwrite))
        except BaseException:
            self.close()
            raise

    def begin(self, guest: Guest) -> None:
        """The guest is about to run."""
        if self._files:
            form = self._form
            self._coverage = guest.coverage(counts=form == "counts", edges=form == "edges")

    def write(self, terminal: Terminal) -> bool:
        """The run has ended. Returns whether all of them could be written; what was not is said."""
        if self._coverage is None:
            return True
        from guestdbg.trace import CoverageError

        result = self._coverage.result()
        for line in _notes(result, self._files):
            terminal.line(f"-- {line}")
        complete = True
        for file in self._files:
            try:
                file.write(result)
            except CoverageError as error:
                complete = False
                terminal.line(f"-- {error}")
            else:
                terminal.line(f"-- coverage: {file.path}")
        self._coverage.stop()
        return complete

    def close(self) -> None:
        """Remove what was not written."""
        for file in self._files:
            file.close()


def _notes(result: CoverageResult, files: list[CoverageFile]) -> list[str]:
    """What a reader of the files has to know."""
    found = []
    if not result.has_lines:
        text = "coverage: no line numbers are known of this guest"
        if any(file.path.suffix == ".info" for file in files):
            text += ": a .info file has lines only, and is empty; .drcov and .json have addresses"
        found.append(text)
    if not result.complete:
        found.append("coverage is not complete: more code was executed than there is room for")
    return found
