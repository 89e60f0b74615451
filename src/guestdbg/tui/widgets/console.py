"""The guest's console: what it prints, and every key to the guest while the pane has the focus."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.text import Text

from guestdbg.tui.console_text import ConsoleText
from guestdbg.tui.input_keys import bytes_of
from guestdbg.tui.widgets.lines import LinesView

if TYPE_CHECKING:
    from textual import events

__all__ = ["LEAVE", "ConsoleView"]

#: The key that ends the input, as in telnet and `guestdbg run --raw`.
LEAVE = "ctrl+right_square_bracket"
_LINES = 5000


class ConsoleView(LinesView):
    """Shows the console; ``type`` is called with what is typed, ``leave`` for Ctrl-].

    ``focused`` is called when it gets the focus or loses it.
    """

    def __init__(
        self,
        type: Callable[[bytes], None],
        leave: Callable[[], None],
        focused: Callable[[], None],
    ) -> None:
        super().__init__("console", id="console", limit=_LINES, words=False)
        self._type = type
        self._leave = leave
        self._focused = focused
        self._text = ConsoleText(_LINES)

    def output(self, data: bytes, lost: int) -> None:
        """The guest has printed; ``lost`` bytes before that are not known."""
        text = self._text
        before = text.total
        if lost:
            text.gap(f"[{lost:,} bytes are left out]")
        text.feed(data)
        new = min(text.total - before, len(text.lines))
        lines = list(text.lines)[len(text.lines) - new :]
        self.write([Text(line) for line in lines], self._current())

    def _current(self) -> Text:
        """The line that is not complete, with the cursor."""
        line = Text(self._text.current + " ")
        if self.has_focus:
            line.pad_right(max(0, self._text.column + 1 - len(line)))
            line.stylize("reverse", self._text.column, self._text.column + 1)
        return line

    def watch_has_focus(self, has_focus: bool) -> None:
        """Keys go to the guest from now on, or no more."""
        super().watch_has_focus(has_focus)
        self._focused()
        self.write([], self._current())

    async def on_key(self, event: events.Key) -> None:
        """A key: it is for the guest."""
        event.stop()
        event.prevent_default()
        if event.key == LEAVE:
            self._leave()
        elif data := bytes_of(event.key, event.character):
            self._type(data)

    def on_paste(self, event: events.Paste) -> None:
        """Pasted text is typed."""
        event.stop()
        self._type(event.text.replace("\r\n", "\r").replace("\n", "\r").encode())
