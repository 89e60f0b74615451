"""A pane of lines that come one after the other; the last of them are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from guestdbg.tui.widgets.rows import RowsView

if TYPE_CHECKING:
    from rich.text import Text
    from textual import events

__all__ = ["LinesView"]


class LinesView(RowsView):
    """Lines, folded to the width of the pane. It shows the last ones unless it was scrolled back.

    Args:
        limit: so many rows are kept.
        words: lines are broken at spaces.

    Attributes:
        unseen: how many lines have come while it was not displayed.
    """

    def __init__(self, name: str, *, id: str, limit: int = 5000, words: bool = True) -> None:
        super().__init__(name, id=id)
        self._words = words
        self._lines: deque[Text] = deque(maxlen=limit)
        self._rows: deque[Text] = deque(maxlen=limit)
        self._tail: list[Text] = []
        self._width = 0
        self.unseen = 0

    def write(self, lines: Sequence[Text], tail: Text | None = None) -> None:
        """Add lines; ``tail`` is a line that is not complete, and is replaced by the next."""
        follows = self._at_end
        self._lines.extend(lines)
        if not self.display:
            self.unseen += len(lines)
        width = self.size.width
        if width != self._width:
            self._fold_all()
        elif width:
            for line in lines[-(self._rows.maxlen or 0) :]:
                self._rows.extend(self._folded(line, width))
        self._tail = [] if tail is None else self._folded(tail, max(width, 1))
        self._shown(follows)

    def replace(self, lines: Sequence[Text]) -> None:
        """Have these lines instead of all."""
        self._lines.clear()
        self._lines.extend(lines)
        self._fold_all()
        self.set_rows(len(self._rows))
        self.scroll_to(y=0, animate=False, force=True)

    @property
    def lines(self) -> list[str]:
        """The lines as text."""
        return [line.plain for line in self._lines]

    @property
    def _at_end(self) -> bool:
        return self.scroll_offset.y >= self.max_scroll_y

    def _folded(self, line: Text, width: int) -> list[Text]:
        return folded(line, width, words=self._words)

    def _fold_all(self) -> None:
        self._width = self.size.width
        self._rows.clear()
        if self._width:
            for line in self._lines:
                self._rows.extend(self._folded(line, self._width))

    def _shown(self, follows: bool) -> None:
        self.set_rows(len(self._rows) + len(self._tail))
        if follows:
            self.scroll_end(animate=False, force=True, immediate=True)

    def on_resize(self, event: events.Resize) -> None:
        """Fold the lines anew."""
        if self.size.width != self._width:
            self._fold_all()
        self._shown(follows=True)

    def on_show(self) -> None:
        """It is displayed: nothing is unseen."""
        self.unseen = 0

    def row(self, y: int) -> Text | None:
        if 0 <= y < len(self._rows):
            return self._rows[y]
        y -= len(self._rows)
        return self._tail[y] if 0 <= y < len(self._tail) else None


def folded(line: Text, width: int, *, words: bool = True) -> list[Text]:
    """A line on as many rows as it takes, broken at spaces with ``words``."""
    plain = line.plain
    if plain.isascii() and len(plain) <= width:
        return [line]
    places, start, used = [], 0, 0
    for place, letter in enumerate(plain):
        cells = 1 if letter.isascii() else cell_len(letter)
        if used + cells > width:
            space = plain.rfind(" ", start, place) + 1 if words else 0
            # A word that is longer than half of the row is broken.
            cut = space if space - start > width // 2 else place
            places.append(cut)
            used = cell_len(plain[cut:place])
            start = cut
        used += cells
    return list(line.divide(places)) if places else [line]
