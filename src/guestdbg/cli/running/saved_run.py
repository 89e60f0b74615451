"""The run goes to a file when it has ended: `--save`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from guestdbg.errors import GuestdbgError

if TYPE_CHECKING:
    from guestdbg.cli.running.terminal import Terminal
    from guestdbg.debugger import Guest


class SaveError(GuestdbgError):
    """A file that the run cannot be saved to: known before it begins."""


class SaveOptions(NamedTuple):
    """Where a run is saved to, and whether the file may exist: the options with these names."""

    path: Path
    overwrite: bool


class SavedAtEnd:
    """Where the run is written to. What cannot be is refused before it begins.

    Args:
        options: the file; one that exists is replaced when the new one is complete.
        inputs: files that the command reads, and must not replace.

    Raises SaveError.
    """

    def __init__(self, options: SaveOptions, inputs: Iterable[Path]) -> None:
        self._path = path = options.path
        try:
            for each in inputs:
                if path.exists() and each.exists() and path.samefile(each):
                    raise SaveError(
                        f"--save {path}: this is {each}, which the command reads; give another name"
                    )
            if path.exists() and not path.is_file():
                raise SaveError(f"--save {path}: not a regular file; give the name of a file")
            if path.exists() and not options.overwrite:
                raise SaveError(
                    f"--save {path}: the file exists; add --save-overwrite to replace it"
                )
            if not path.parent.is_dir():
                raise SaveError(f"--save {path}: there is no directory {path.parent}")
            if not os.access(path.parent, os.W_OK):
                raise SaveError(f"--save {path}: no file can be made in {path.parent}")
        except (OSError, ValueError) as error:
            raise SaveError(f"--save {path}: {error}") from error

    def write(self, guest: Guest, terminal: Terminal) -> None:
        """Write the file, and say so."""
        guest.history.save(self._path)
        size = self._path.stat().st_size
        terminal.line(f"-- saved: {self._path}, {size:,} bytes; guestdbg replay plays it")
