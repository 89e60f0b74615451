"""Registers and watched values; what has changed is marked with an asterisk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from guestdbg.tui.view import View
from guestdbg.tui.widgets.rows import RowsView

if TYPE_CHECKING:
    from textual import events

    from guestdbg.tui.view import Register

__all__ = ["RegistersView", "WatchedView"]

#: Cells of a register without its note: the mark, the name, 16 digits, and a space.
_CELL = 22
_SHORTEST_NOTE = 6
_CHANGED = "bold magenta"


class RegistersView(RowsView):
    """The registers, in as many columns as there is room for and as it takes."""

    def __init__(self) -> None:
        super().__init__("registers", id="registers")
        self._registers: tuple[Register, ...] = ()

    def show(self, view: View) -> None:
        """Show those of now."""
        self._registers = view.registers
        changed = [row.name for row in self._registers if row.changed and row.name != "pc"]
        self.show_title(" ".join(["registers", *(f"*{name}" for name in changed)]))
        self._arrange()

    def on_resize(self, event: events.Resize) -> None:
        """There may be room for other columns."""
        self._arrange()

    def _arrange(self) -> None:
        self.set_rows(-(-len(self._registers) // self._columns))

    @property
    def _columns(self) -> int:
        height, width = max(self.size.height, 1), self.size.width
        needed = -(-len(self._registers) // height)
        return max(1, min(needed, width // _CELL))

    def row(self, y: int) -> Text | None:
        count = len(self._registers)
        columns = self._columns
        rows = -(-count // columns)
        if not 0 <= y < rows:
            return None
        room = self.size.width // columns
        text = Text()
        for place in range(y, count, rows):
            text.append_text(_cell(self._registers[place], room))
        return text


def _cell(row: Register, room: int) -> Text:
    cell = Text()
    cell.append("*" if row.changed else " ", _CHANGED)
    cell.append(f"{row.name:3} " if len(row.name) < 4 else "psr ", "cyan")
    cell.append(row.text, _CHANGED if row.changed else "")
    if row.note and room > _CELL + _SHORTEST_NOTE:
        cell.append(f" {row.note}", "green")
    cell.truncate(room - 1)
    cell.pad_right(max(0, room - cell.cell_len))
    return cell


class WatchedView(RowsView):
    """Displayed expressions and watches, with their values."""

    def __init__(self) -> None:
        super().__init__("watched", id="watched")
        self._view = View("", "")

    def show(self, view: View) -> None:
        """Show the values of now."""
        self._view = view
        self.set_rows(max(1, len(view.watched)), 400)

    def row(self, y: int) -> Text | None:
        rows = self._view.watched
        if not rows:
            return Text("display EXPRESSION, watch WHAT", "dim") if y == 0 else None
        if not 0 <= y < len(rows):
            return None
        row = rows[y]
        text = Text()
        text.append("*" if row.changed else " ", _CHANGED)
        text.append(row.name, "cyan")
        text.append(" = ")
        text.append(row.text, _CHANGED if row.changed else "")
        return text
