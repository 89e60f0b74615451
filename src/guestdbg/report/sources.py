"""Source lines that hits name, out of folders that the user gives.

A log may come from anyone: what it names is read only below these folders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from guestdbg.regular_file import UnsuitableFile, read_regular_file

__all__ = ["Sources"]

#: Lines that are shown around one that was hit.
_AROUND = 3
_LONGEST_LINE = 300


class Sources:
    """Source files below some folders.

    A file is found by as much of the end of its name as a folder has: ``/build/queue/main.c`` is
    ``main.c``, ``queue/main.c`` or ``build/queue/main.c`` in it, the longest first.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self._folders = [folder.resolve() for folder in folders]

    def lines(self, file: str, numbers: Iterable[int]) -> list[tuple[int, str]]:
        """The lines with these numbers, and some around each; none if the file is not found."""
        path = self.find(file)
        if path is None:
            return []
        try:
            text = read_regular_file(path, what="source file")
        except UnsuitableFile:
            return []
        lines = text.decode("utf-8", "replace").splitlines()
        shown = {
            near
            for number in numbers
            for near in range(number - _AROUND, number + _AROUND + 1)
            if 1 <= near <= len(lines)
        }
        return [(number, lines[number - 1][:_LONGEST_LINE]) for number in sorted(shown)]

    def find(self, file: str) -> Path | None:
        """The file below one of the folders; None: it is not there."""
        parts = [part for part in PurePosixPath(file).parts if part not in ("/", "..", ".")]
        if "\0" in file:
            return None
        for start in range(len(parts)):
            for folder in self._folders:
                path = folder.joinpath(*parts[start:])
                try:
                    found = path.resolve(strict=True)
                except OSError:
                    continue
                if found.is_relative_to(folder) and found.is_file():
                    return found
        return None
