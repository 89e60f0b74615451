"""The prompt: a line, earlier lines, and completion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.widgets import Input

from guestdbg.tui.commands.completion import complete

if TYPE_CHECKING:
    from textual import events

__all__ = ["Prompt"]

_KEPT = 1000


class Prompt(Input):
    """Reads lines.

    Args:
        submit: called with each line.
        names: gives the names of the guest, sorted.
        offer: called with the words that could follow, if there are several.
        quit: called for Ctrl-D.
    """

    def __init__(
        self,
        submit: Callable[[str], None],
        names: Callable[[], Sequence[str]],
        offer: Callable[[Sequence[str]], None],
        quit: Callable[[], None],
    ) -> None:
        super().__init__(id="prompt", select_on_focus=False, compact=True)
        self.cursor_blink = False  # it would write to the terminal twice a second
        self._submit, self._names, self._offer, self._quit = submit, names, offer, quit
        self._lines: list[str] = []
        self._place = 0
        self._typed = ""

    def set_line(self, text: str) -> None:
        """Have another text."""
        self.value = text
        self.cursor_position = len(text)

    def _enter(self) -> None:
        """Enter: at once, not by a message, or what is typed ahead would come into this line."""
        line = self.value.strip()
        if line and self._lines[-1:] != [line]:
            self._lines.append(line)
            del self._lines[:-_KEPT]
        self._place = len(self._lines)
        self.value = ""
        self._submit(line)

    async def _on_key(self, event: events.Key) -> None:
        act = {
            "enter": self._enter,
            "up": lambda: self._go(-1),
            "down": lambda: self._go(1),
            "ctrl+p": lambda: self._go(-1),
            "ctrl+n": lambda: self._go(1),
            "ctrl+r": self._earlier,
            "tab": self._complete,
        }.get(event.key)
        if act is None and event.key == "ctrl+d" and not self.value:
            act = self._quit
        if act is None:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        act()

    def _on_paste(self, event: events.Paste) -> None:
        """Pasted text: each line that is complete is carried out."""
        event.stop()
        event.prevent_default()
        *lines, rest = event.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines[:_KEPT]:
            self.insert_text_at_cursor(line)
            self._enter()
        self.insert_text_at_cursor(rest)

    def _go(self, by: int) -> None:
        """To an earlier line, or back; after the last is what was being typed."""
        if self._place >= len(self._lines):
            self._typed = self.value
        place = self._place + by
        if 0 <= place <= len(self._lines):
            self._place = place
            self.set_line(self._typed if place == len(self._lines) else self._lines[place])

    def _earlier(self) -> None:
        """The last earlier line that has what was typed in it."""
        if self._place >= len(self._lines):
            self._typed = self.value
        for place in range(min(self._place, len(self._lines)) - 1, -1, -1):
            if self._typed in self._lines[place]:
                self._place = place
                self.set_line(self._lines[place])
                return

    def _complete(self) -> None:
        rest = self.value[self.cursor_position :]
        found = complete(self.value[: self.cursor_position], self._names())
        if found.line != self.value[: self.cursor_position]:
            self.value = found.line + rest
            self.cursor_position = len(found.line)
        elif len(found.words) > 1:
            self._offer(found.words)
