"""The interface, and opening it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import App
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import Static

from guestdbg.tui.errors import TuiError
from guestdbg.tui.guest_thread import GuestThread
from guestdbg.tui.printable import printable
from guestdbg.tui.session import Session
from guestdbg.tui.view import View
from guestdbg.tui.widgets.code import DisassemblyView, SourceView
from guestdbg.tui.widgets.console import ConsoleView
from guestdbg.tui.widgets.lines import LinesView
from guestdbg.tui.widgets.prompt import Prompt
from guestdbg.tui.widgets.style import CSS
from guestdbg.tui.widgets.values import RegistersView, WatchedView

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.widget import Widget

    from guestdbg.debugger import Guest
    from guestdbg.tui.feed import Feed, News

__all__ = ["THEMES", "GuestApp", "run_app"]

#: Names of the option --theme, and Textual's.
THEMES = {"dark": "textual-dark", "light": "textual-light", "terminal": "ansi-dark"}
_TICK_SECONDS = 0.05
_WIDE, _WIDER, _TALL = 120, 150, 40
_OFFERED = 60
#: Panes that share a place where there is no room for all.
_SHARED = ("messages", "hits", "console", "stack")
_CODE = (("source", "disassembly"), ("source",), ("disassembly",))
_KEYS = " F1 help  F2 code  F3 zoom  F4 panes  F5 continue  F6 console  F7 step  F8 next  ^C stop"


class GuestApp(App[None]):
    """The interface to one session, whose thread it starts and ends."""

    CSS = CSS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "line('help keys')", priority=True),
        Binding("f2", "code", priority=True),
        Binding("f3", "zoom", priority=True),
        Binding("f4", "pane", priority=True),
        Binding("f5", "line('continue')", priority=True),
        Binding("f6", "console", priority=True),
        Binding("f7", "line('step')", priority=True),
        Binding("f8", "line('next')", priority=True),
        Binding("shift+f7,f19", "line('stepi')", priority=True),
        Binding("shift+f8,f20", "line('nexti')", priority=True),
        Binding("f9", "next_theme", priority=True),
        Binding("ctrl+c", "stop", priority=True),
        Binding("ctrl+q", "none", priority=True),
        Binding("escape", "prompt"),
        Binding("ctrl+l", "redraw"),
        Binding("pageup", "scroll_messages(-1)"),
        Binding("pagedown", "scroll_messages(1)"),
        Binding("ctrl+z", "suspend_process"),
    ]

    def __init__(self, session: Session, lines: Sequence[str] = (), theme: str = "dark") -> None:
        super().__init__()
        self.session = session
        self.guest_thread = GuestThread(session, lines)
        self.theme = THEMES[theme]
        self._shared = "messages"
        self._code = 0
        self._zoomed: str | None = None
        self._view = View("starting", "")
        self._running_text = ""
        self._hits_shown = 0

    def compose(self) -> ComposeResult:
        """The panes."""
        with Horizontal(id="top"):
            with Vertical(id="code"):
                yield SourceView()
                yield DisassemblyView()
            with Vertical(id="side"):
                yield RegistersView()
                yield WatchedView()
                yield LinesView("stack", id="side-stack")
        with Horizontal(id="bottom"):
            yield LinesView("messages", id="messages")
            with Vertical(id="right"):
                yield LinesView("hits", id="hits")
                yield ConsoleView(self.guest_thread.type, self.action_prompt, self._show_titles)
                yield LinesView("stack", id="stack")
        yield Static("", id="status", markup=False)
        with Horizontal(id="line"):
            yield Static("(guestdbg) ", id="label", markup=False)
            yield Prompt(
                self.submit, lambda: self.session.names, self._offer, self.guest_thread.ended.set
            )
        yield Static(_KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin."""
        self.query_one(Prompt).focus()
        self.arrange()
        self.guest_thread.start()
        self.set_interval(_TICK_SECONDS, self._tick)
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            # Not in the main thread: the tests' driver.
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, self.exit)
            loop.add_signal_handler(signal.SIGINT, self.guest_thread.interrupt)

    # ---- what has happened -------------------------------------------------------------------

    def _tick(self) -> None:
        """Show what the thread of the guest has for us."""
        if self.guest_thread.ended.is_set():
            self.exit()
            return
        news = self.session.feed.take()
        # At the end, the panes go before this timer does.
        with contextlib.suppress(NoMatches), self.batch_update():
            self._show_news(news)
            self._show_status(news)

    def _show_news(self, news: News) -> None:
        if news.console or news.console_lost:
            self.query_one(ConsoleView).output(news.console, news.console_lost)
        hits = news.hits
        if news.hits_lost:
            hits = [*hits, Text(f"   … {news.hits_lost:,} more hits", "dim")]
        if hits:
            self._lines("hits").write(hits)
        if news.messages:
            self._lines("messages").write(news.messages)
        if news.view is not None:
            self._show_view(news.view)
        if hits or news.messages or news.console:
            self._show_titles()

    def _show_view(self, view: View) -> None:
        self._view = view
        self.query_one(SourceView).show(view)
        self.query_one(DisassemblyView).show(view)
        self.query_one(RegistersView).show(view)
        self.query_one(WatchedView).show(view)
        for name in ("stack", "side-stack"):
            self._lines(name).replace([line.copy() for line in view.stack])

    def _show_status(self, news: News) -> None:
        running = self.guest_thread.running
        if news.running is not None:
            self._running_text = news.running
        if running:
            text = f" {self._running_text or 'running'}"
        else:
            self._running_text = ""
            text = f" {self._view.state}  {self._view.where}"
        self.set_class(running, "running")
        status = self.query_one("#status", Static)
        if status.content != text:
            status.update(text)
        label = "(running) " if running else "(guestdbg) "
        widget = self.query_one("#label", Static)
        if widget.content != label:
            widget.update(label)

    def _lines(self, name: str) -> LinesView:
        return self.query_one(f"#{name}", LinesView)

    # ---- what the user does ------------------------------------------------------------------

    def submit(self, line: str) -> None:
        """A line was typed, or the key for it."""
        if line:
            self._lines("messages").write([Text(f"(guestdbg) {printable(line)}", "bold")])
        self._running_text = ""
        self.guest_thread.post(line)

    def _offer(self, words: Sequence[str]) -> None:
        text = "  ".join(words[:_OFFERED])
        if len(words) > _OFFERED:
            text += "  …"
        self._lines("messages").write([Text(text, "dim")])

    def action_line(self, line: str) -> None:
        """A key for a command."""
        self.submit(line)

    def action_stop(self) -> None:
        """Ctrl-C: stop the guest, or clear the line; in the console it goes to the guest."""
        if isinstance(self.focused, ConsoleView):
            self.guest_thread.type(b"\x03")
        elif self.guest_thread.running:
            self.guest_thread.interrupt()
        else:
            self.query_one(Prompt).set_line("")

    def action_none(self) -> None:
        """Ctrl-Q would end the interface at once: it is next to Ctrl-W."""

    def action_prompt(self) -> None:
        """To the prompt."""
        if self._zoomed is not None:
            self._zoomed = None
            self.arrange()
        self.query_one(Prompt).focus()

    def action_code(self) -> None:
        """Other code panes."""
        self._code = (self._code + 1) % len(_CODE)
        self.arrange()

    def action_pane(self) -> None:
        """The next of the panes that share a place."""
        choice = _SHARED if not self.has_class("wide") else _SHARED[1:]
        here = choice.index(self._shared) if self._shared in choice else -1
        self._choose(choice[(here + 1) % len(choice)])

    def action_console(self) -> None:
        """Keys go to the guest from now on, or no more."""
        console = self.query_one(ConsoleView)
        if console.has_focus:
            self.action_prompt()
            return
        self._choose("console")
        console.focus()

    def _choose(self, name: str) -> None:
        self._shared = name
        self._zoomed = None
        self.arrange()

    def action_zoom(self) -> None:
        """One pane on the whole screen, or all again."""
        focused = self.focused
        pane = focused.id if focused is not None and focused.id in self._panes() else None
        if self._zoomed is None:
            self._zoomed = pane or self._shared
        else:
            self._zoomed = None
        self.arrange()

    def action_scroll_messages(self, by: int) -> None:
        """Scroll the pane of messages, or the one that is shown at its place."""
        name = self._zoomed or (self._shared if not self.has_class("wide") else "messages")
        pane = self.query_one(f"#{name}")
        if by < 0:
            pane.scroll_page_up(animate=False)
        else:
            pane.scroll_page_down(animate=False)

    def action_redraw(self) -> None:
        """Ctrl-L: something else has written to the terminal."""
        self.refresh(layout=True, repaint=True)

    def action_next_theme(self) -> None:
        """Light, dark, or the terminal's own colours."""
        names = list(THEMES.values())
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    # ---- the places of the panes -------------------------------------------------------------

    def on_resize(self, event: events.Resize) -> None:
        """There may be room for other panes."""
        self.arrange(event.size.width, event.size.height)

    def _panes(self) -> dict[str, Widget]:
        names = ("source", "disassembly", "registers", "watched", "side-stack", *_SHARED)
        return {name: self.query_one(f"#{name}") for name in names}

    def arrange(self, width: int | None = None, height: int | None = None) -> None:
        """Display the panes that there is room for."""
        width, height = width or self.size.width, height or self.size.height
        wide, tall = width >= _WIDE, height >= _TALL
        self.set_class(wide, "wide")
        self.set_class(width >= _WIDER, "wider")
        self.set_class(not wide, "narrow")
        shown = {*_CODE[self._code], "registers", "watched"}
        if wide and tall:
            shown |= {"messages", "hits", "console", "side-stack"}
        elif wide:
            shown |= {"messages", self._shared if self._shared != "messages" else "hits"}
        else:
            shown.add(self._shared)
        if self._zoomed is not None:
            shown = {self._zoomed}
        for name, pane in self._panes().items():
            pane.display = name in shown
        for name, parts in (
            ("code", {"source", "disassembly"}),
            ("side", {"registers", "watched", "side-stack"}),
            ("right", {"hits", "console", "stack"}),
        ):
            self.query_one(f"#{name}").display = bool(shown & parts)
        self.query_one("#top").display = bool(shown - set(_SHARED))
        self.query_one("#bottom").display = bool(shown & set(_SHARED))
        if self.focused is not None and not self.focused.display:
            self.query_one(Prompt).focus()
        self._show_titles()

    def _show_titles(self) -> None:
        """The panes that share a place are named in the title of the one that is shown."""
        panes = {name: self._lines(name) for name in _SHARED}
        hidden = [name for name, pane in panes.items() if not pane.display and name != "stack"]
        others = [
            f"{name}+{panes[name].unseen:,}" if panes[name].unseen else name for name in hidden
        ]
        for name, pane in panes.items():
            if pane.display:
                text = f"{name}  F4: {' '.join(others)}" if others and name != "messages" else name
                if name == "messages" and not self.has_class("wide"):
                    text = f"{name}  F4: {' '.join([*others, 'stack'])}"
                if name == "console" and pane.has_focus:
                    text = "console: keys go to the guest, Ctrl-] leaves"
                if pane.title_text != text:
                    pane.show_title(text)


class _Messages(logging.Handler):
    """What the library logs, in the pane of messages: stderr is the screen."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(logging.WARNING)
        self._feed = feed

    def emit(self, record: logging.LogRecord) -> None:
        for line in record.getMessage().split("\n"):
            self._feed.say(Text(f"{record.levelname.lower()}: {printable(line)}", "yellow"))


@contextlib.contextmanager
def _logged(feed: Feed) -> Iterator[None]:
    logger, handler = logging.getLogger("guestdbg"), _Messages(feed)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def run_app(
    guest: Guest,
    feed: Feed,
    *,
    folders: Sequence[Path] = (),
    lines: Sequence[str] = (),
    theme: str | None = None,
) -> int:
    """Open the interface on the terminal until the user ends it; the exit status.

    Args:
        guest: the guest, whose console's output goes to ``feed.print``.
        feed: what the interface shows.
        folders: where sources of the guest are.
        lines: commands that are carried out first.
        theme: a name of ``THEMES``; None: light if the terminal says that it is (COLORFGBG).

    Raises TuiError: standard input, output or error is no terminal.
    """
    for stream in (sys.__stdin__, sys.__stdout__, sys.__stderr__):
        if stream is None or not stream.isatty():
            raise TuiError(
                "guestdbg tui needs a terminal as standard input, output and error (guestdbg run "
                "needs none)"
            )
    with _logged(feed):
        app = GuestApp(Session(guest, feed, folders), lines, theme or _terminal_theme())
        try:
            app.run(mouse=False)
        finally:
            app.guest_thread.close()
    return app.return_code or 0


def _terminal_theme() -> str:
    """Light where the terminal says so: COLORFGBG is foreground;background."""
    background = os.environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if background in ("7", "15") else "dark"
