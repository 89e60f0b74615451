"""A pane of rows, of which only those that are seen are drawn."""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.text import Text
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

__all__ = ["RowsView", "title"]


def title(name: str) -> Text:
    """A title that Textual takes as it is, without looking for markup in it."""
    return Text(name, no_wrap=True, overflow="ellipsis")


class RowsView(ScrollView, can_focus=True):
    """A pane with a title; ``row`` gives its rows."""

    def __init__(self, name: str, *, id: str) -> None:
        super().__init__(id=id)
        self.title_text = name
        self.show_title(name)

    def show_title(self, text: str) -> None:
        """Show a title."""
        self.title_text = text
        self.border_title = title(text).markup

    def set_rows(self, count: int, width: int = 0) -> None:
        """There are so many rows, the widest of so many cells (0: as wide as the pane)."""
        self.virtual_size = Size(width or self.size.width, count)
        self.refresh()

    def row(self, y: int) -> Text | None:
        """A row, from 0; None: there is none."""
        raise NotImplementedError

    def center_on(self, y: int) -> None:
        """Have a row in view; if it is not, in the middle."""
        height = self.size.height
        top = self.scroll_offset.y
        margin = min(2, height // 4)
        if height and not top + margin <= y < top + height - margin:
            self.scroll_to(y=max(0, y - height // 2), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """Textual asks for one row of the screen."""
        x, top = self.scroll_offset
        width = self.size.width
        style = self.rich_style
        text = self.row(top + y)
        if text is None:
            return Strip.blank(width, style)
        return strip_of(text, self).crop_extend(x, x + width, style).apply_style(style)


def strip_of(text: Text, view: RowsView) -> Strip:
    """A text as Textual draws it."""
    return Strip(_segments(text, view))


def _segments(text: Text, view: RowsView) -> Sequence[Segment]:
    console = view.app.console
    if not text.spans:  # rich leaves out the style of the whole then
        return [Segment(text.plain, console.get_style(text.style))]
    return list(text.render(console))
