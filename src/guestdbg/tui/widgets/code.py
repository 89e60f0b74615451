"""Source and disassembly, with the current instruction and the breakpoints."""

from __future__ import annotations

from rich.text import Text

from guestdbg.tui.view import View
from guestdbg.tui.widgets.rows import RowsView

__all__ = ["DisassemblyView", "SourceView"]

_CURRENT = "reverse"
_WIDEST = 400


class SourceView(RowsView):
    """The source file around the current line."""

    def __init__(self) -> None:
        super().__init__("source", id="source")
        self._view = View("", "")

    def show(self, view: View) -> None:
        """Show what is current now."""
        before = self._view.source
        self._view = view
        source = view.source
        if source is None:
            self.show_title("source")
            self.set_rows(1)
            return
        self.show_title(f"source {source.name}:{source.line}")
        if source.lines is None:
            self.set_rows(1)
            return
        same = before is not None and before.name == source.name
        self.set_rows(len(source.lines), _WIDEST)
        if not same:
            self.scroll_to(x=0, animate=False, force=True)
        self.center_on(source.line - 1)

    def row(self, y: int) -> Text | None:
        source = self._view.source
        if source is None:
            return Text("no line of source is known here", "dim") if y == 0 else None
        if source.lines is None:
            return Text("the file is not on this machine: --source DIR", "dim") if y == 0 else None
        if not 0 <= y < len(source.lines):
            return None
        number = y + 1
        is_current = number == source.line
        text = Text()
        text.append(f"{source.marks.get(number, ''):1}", "bold red")
        text.append("=>" if is_current else "  ", "bold")
        digits = max(3, len(str(len(source.lines))))
        text.append(f"{number:{digits}} ", "" if is_current else "dim")
        text.append_text(source.lines[y])
        if is_current:
            text.stylize("bold reverse" if self._view.shown == self._view.pc else "bold")
        return text


class DisassemblyView(RowsView):
    """The instructions around the current one."""

    def __init__(self) -> None:
        super().__init__("disassembly", id="disassembly")
        self._view = View("", "")

    def show(self, view: View) -> None:
        """Show what is current now."""
        self._view = view
        rows = view.instructions
        self.set_rows(len(rows), _WIDEST)
        for y, row in enumerate(rows):
            if row.address == view.shown & ~3 and row.text:
                self.center_on(y)
                return

    def row(self, y: int) -> Text | None:
        rows = self._view.instructions
        if not 0 <= y < len(rows):
            return None
        row = rows[y]
        if not row.text:
            return Text(f"{row.label}:", "bold cyan")
        mark = row.mark.removesuffix("=>")
        is_pc = row.address == self._view.pc
        text = Text()
        text.append(f"{mark:1}", "bold red")
        text.append("=>" if is_pc else "  ", "bold")
        text.append(f"{row.address:x} ", "" if is_pc else "dim")
        text.append(f"{row.label:7} ", "dim")
        mnemonic, _, operands = row.text.partition(" ")
        text.append(f"{mnemonic:5} ", "bold")
        text.append(operands)
        if is_pc:
            text.stylize("bold reverse")
        elif row.address == self._view.shown & ~3:
            text.stylize("bold")
        return text
