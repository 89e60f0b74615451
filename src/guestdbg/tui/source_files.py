"""Source files of the guest, coloured, as far as they are on this machine."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from rich.syntax import Syntax
from rich.text import Text

from guestdbg.regular_file import UnsuitableFile, read_regular_file
from guestdbg.report import Sources
from guestdbg.tui.printable import printable

__all__ = ["SourceFiles"]

_LARGEST_FILE = 8 << 20
#: Longer files have no colours: finding out what is a comment takes the whole file.
_COLOURED_LINES = 5000
_KEPT_FILES = 32


class SourceFiles:
    """Finds and keeps source files.

    Args:
        folders: where the user has the sources.
        images: the guest's own files: sources that they name without a folder lie beside them.
    """

    def __init__(self, folders: Sequence[Path], images: Iterable[Path]) -> None:
        self._beside = [path.absolute().parent for path in images]
        self._given = Sources(tuple(folders))
        self._kept: OrderedDict[str, Sequence[Text] | None] = OrderedDict()

    def lines(self, file: str) -> Sequence[Text] | None:
        """All lines of a file that debug information names; None: it is not here."""
        if file in self._kept:
            self._kept.move_to_end(file)
            return self._kept[file]
        path = self._find(file)
        found = None if path is None else _read(path)
        self._kept[file] = found
        if len(self._kept) > _KEPT_FILES:
            self._kept.popitem(last=False)
        return found

    def _find(self, file: str) -> Path | None:
        if "\0" in file:
            return None
        given = self._given.find(file)
        if given is not None:
            return given
        name = PurePosixPath(file).name
        places = [Path(file)]
        for folder in self._beside:
            places += [folder / file, folder / name]
        for place in places:
            try:
                if place.is_file():
                    return place
            except OSError:
                continue
        return None


def _read(path: Path) -> Sequence[Text] | None:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            return None
        data = read_regular_file(path, what="source file")
    except (OSError, UnsuitableFile):
        return None
    # Lines end as compilers count them: a form feed or U+2028 ends none.
    rows = data.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
    text = "\n".join(printable(row) for row in rows)
    if len(rows) > _COLOURED_LINES:
        return [Text(row) for row in text.split("\n")]
    lexer = Syntax.guess_lexer(str(path))
    shown = Syntax(text, lexer, theme="ansi_dark").highlight(text)
    return [Text.assemble(line) for line in shown.split("\n", allow_blank=True)]
