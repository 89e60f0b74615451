"""The thread that runs the guest: commands one after the other, and runs that can be stopped.

Nobody else touches the guest. The interface posts lines, types to the console and interrupts, and
looks at the feed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from guestdbg.debugger.vcpu.semihosting_exits import WAITS_FOR_INPUT
from guestdbg.errors import GuestdbgError
from guestdbg.tui.commands.command import Quit
from guestdbg.tui.commands.registry import execute, find, split
from guestdbg.tui.errors import CommandError
from guestdbg.tui.printable import printable
from guestdbg.tui.view import View

if TYPE_CHECKING:
    from guestdbg.debugger import Stop
    from guestdbg.tui.commands.command import Resume
    from guestdbg.tui.session import Session

__all__ = ["GuestThread"]

log = logging.getLogger(__name__)

#: The guest runs this long between two looks at what was typed.
_SLICE_SECONDS = 0.25
#: A guest that waits for input by semihosting is asked this often.
_INPUT_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 10
_MOST_WAITING = 1000


class GuestThread:
    """Runs a session.

    Attributes:
        running: the guest runs, or a command is carried out.
        ended: the user has asked for the end.
    """

    def __init__(self, session: Session, lines: Iterable[str] = ()) -> None:
        self._session = session
        self._feed = session.feed
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._interrupted = threading.Event()
        self._closing = False
        self._last = ""
        self._in_slices = False
        self.running = True
        self.ended = threading.Event()
        #: One after the other, each when the guest has stopped again.
        self._first = deque(lines)
        self._thread = threading.Thread(target=self._main, name="guest", daemon=True)

    def start(self) -> None:
        """Begin with the first lines."""
        self._thread.start()

    # ---- for the interface -------------------------------------------------------------------

    def post(self, line: str) -> None:
        """Have a line carried out; while the guest runs, between two slices of its time."""
        if self._lines.qsize() >= _MOST_WAITING:
            self._feed.say(Text("too many commands wait: Ctrl-C stops the guest", "bold red"))
            return
        if not self.running:
            self._interrupted.clear()
        self._lines.put(line)
        if self._in_slices:
            self._session.guest.interrupt()

    def interrupt(self) -> None:
        """Stop the guest, and forget the lines that wait."""
        self._interrupted.set()
        self._first.clear()
        with contextlib.suppress(queue.Empty):
            while True:
                self._lines.get_nowait()
        self._session.guest.interrupt()

    def type(self, data: bytes) -> None:
        """Type to the guest."""
        try:
            self._session.guest.board.console.feed(data)
        except GuestdbgError as error:
            self._session.fail(error)

    def close(self) -> bool:
        """End the thread; whether it has ended, so that the guest can be closed."""
        self._closing = True
        self.interrupt()
        self._lines.put(None)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._session.guest.interrupt()
            self._thread.join(0.05)
        return not self._thread.is_alive()

    # ---- in the thread -----------------------------------------------------------------------

    def _main(self) -> None:
        self._show()
        while not self._closing:
            line = self._next()
            if line is None or self._closing:
                return
            self.running = True
            self._perform(line)

    def _next(self) -> str | None:
        """The next line, which is waited for."""
        with contextlib.suppress(IndexError):
            return self._first.popleft()
        self.running = not self._lines.empty()
        return self._lines.get()

    def _perform(self, line: str) -> None:
        """Carry out a line; a failure is shown, and nothing else happens."""
        try:
            line = self._again(line)
            if not line:
                return
            resume = execute(self._session, line)
            if resume is not None:
                self._resume(resume)
        except Quit:
            self.ended.set()
        except GuestdbgError as error:
            self._session.fail(error)
        except Exception as error:
            self._defect(error)
        self._show()

    def _again(self, line: str) -> str:
        """The line; for an empty one the last, if that is one to repeat."""
        line = line.strip()
        if line:
            self._last = line
            return line
        if not self._last or not find(split(self._last)[0]).repeats:
            return ""
        word, text = split(self._last)
        # `x/4i main` goes on after what it has shown.
        if word == "x":
            return f"x{text.split()[0]}" if text.startswith("/") else "x"
        return self._last

    def _defect(self, error: Exception) -> None:
        log.debug("in the thread of the guest", exc_info=True)
        if os.environ.get("GUESTDBG_TRACEBACK"):
            import traceback

            self._session.say_all(traceback.format_exc().splitlines())
        text = f"this is a defect of guestdbg: {type(error).__name__}: {error}"
        self._session.say(text, "bold red")

    def _show(self) -> None:
        """Have the panes show how the guest is now."""
        try:
            self._session.read_names()
            view = self._session.view()
        except GuestdbgError as error:
            view = View("stopped", printable(str(error).split("\n")[0]))
        except Exception as error:
            self._defect(error)
            return
        self._feed.show(view)

    def _resume(self, resume: Resume) -> None:
        session, guest = self._session, self._session.guest
        guest.execution.forget_interrupt()
        try:
            if self._interrupted.is_set():
                stop: Stop | None = guest.execution.stop("interrupt")
            elif resume.action is None:
                stop = self._run()
            else:
                self._feed.runs("running")
                stop = resume.action()
        finally:
            session.moved()
        if stop is not None:
            session.report(stop)

    def _run(self) -> Stop:
        """Run until something stops the guest; lines that were typed are carried out meanwhile."""
        guest = self._session.guest
        self._in_slices = True
        try:
            while True:
                guest.execution.forget_interrupt()
                if self._interrupted.is_set():
                    return guest.execution.stop("interrupt")
                if self._lines.empty():
                    stop = guest.run(timeout=_SLICE_SECONDS)
                    waits = stop.reason == "idle" and stop.detail == WAITS_FOR_INPUT
                    if stop.reason not in ("timeout", "interrupt") and not waits:
                        return stop
                    if waits:
                        time.sleep(_INPUT_POLL_SECONDS)
                    self._progress(waits)
                self._between()
                if self.ended.is_set():
                    return guest.execution.stop("interrupt")
        finally:
            self._in_slices = False

    def _progress(self, waits: bool) -> None:
        count = self._session.instructions()
        text = "waits for input" if waits else "running"
        self._feed.runs(text if count is None else f"{text}  {count:,} instr")

    def _between(self) -> None:
        """Lines that were typed while the guest runs."""
        with contextlib.suppress(queue.Empty):
            while not self._interrupted.is_set():
                line = self._lines.get_nowait()
                if line is None:
                    self.ended.set()
                    return
                self._perform_between(line.strip())

    def _perform_between(self, line: str) -> None:
        if not line:
            return
        try:
            resume = execute(self._session, line)
            if resume is not None:
                raise CommandError("the guest runs already: Ctrl-C stops it")
        except Quit:
            self.ended.set()
        except GuestdbgError as error:
            self._session.fail(error)
        except Exception as error:
            self._defect(error)
