"""A line of guestdbg with styles, which become rich's where there is a terminal to show them.

To import rich takes as long as a short guest runs. Output that goes to a file or pipe needs none of
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["StyledLine"]

#: What rich leaves out of text: bell, backspace, vertical tab, form feed, carriage return.
_WITHOUT_CONTROLS = dict.fromkeys((7, 8, 11, 12, 13))


class StyledLine:
    """Pieces of text with rich's names of styles; the first one's style is that of the line."""

    def __init__(self, text: str, style: str = "") -> None:
        self._pieces = [(text, style)]

    def append(self, text: str, style: str = "") -> None:
        """Add a piece."""
        self._pieces.append((text, style))

    @property
    def plain(self) -> str:
        """The text alone, as rich prints it where there are no styles."""
        return "".join(text for text, _ in self._pieces).translate(_WITHOUT_CONTROLS)

    @property
    def rich(self) -> Text:
        """The line for rich."""
        from rich.text import Text

        (first, style), *others = self._pieces
        line = Text(first, style)
        for text, added in others:
            line.append(text, added)
        return line
