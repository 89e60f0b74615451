"""The output of `run` and `gdb`: the guest's console, guestdbg's lines, and the progress line.

The console goes to stdout byte for byte. Everything else goes to stderr, so that each can be
redirected. If both are the same terminal (or file), a line of guestdbg never starts within a line
of the guest, and the progress line is cleared before anything else is written.
"""

from __future__ import annotations

import contextlib
import os
import sys
from functools import cached_property
from typing import TYPE_CHECKING, BinaryIO

from guestdbg.cli import standard_streams
from guestdbg.cli.running.styled_line import StyledLine

if TYPE_CHECKING:
    # At run time rich is imported for a terminal, and for what only rich can show.
    from rich.console import Console, RenderableType
    from rich.text import Text

#: With these variables, rich may take stderr for a terminal although it is none.
_TERMINAL_VARIABLES = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
# As far as the frames of a backtrace are indented.
_CONTINUATION = "     "


class Terminal:
    """Writes all output of a command. `console=False` drops what the guest prints."""

    def __init__(self, *, console: bool = True) -> None:
        self._stdout: BinaryIO | None = sys.stdout.buffer if console else None
        self._shared = _same_file(1, 2)
        self._mid_line = False
        self._progress_shown = False
        self.console_failure: OSError | None = None
        """Why stdout could not be written; what the guest prints is dropped since."""
        self._is_terminal = _may_be_terminal() and self._lines.is_terminal
        self.quiet = not self._is_terminal
        """No progress line. It is set if stderr is not a terminal."""

    @cached_property
    def _lines(self) -> Console:
        from rich.console import Console

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def guest_wrote(self, data: bytes) -> None:
        """Write console output of the guest."""
        if self._stdout is None or not data:
            return
        self.clear_progress()
        try:
            self._stdout.write(data)
            self._stdout.flush()
        except BrokenPipeError:
            raise  # the reader has gone: that ends the run
        except OSError as error:
            # The guest is not lost for it: hits and the summary can still be reported.
            self._stdout = None
            self.console_failure = error
            standard_streams.discard_stdout()
            why = standard_streams.failure_text(error)
            self.line(f"-- the guest's console output is lost: standard output: {why}")
            return
        self._mid_line = not data.endswith(b"\n")

    def line(self, *parts: StyledLine | RenderableType) -> None:
        """Write something of guestdbg, on lines of its own."""
        self.clear_progress()
        if self._shared and self._mid_line and self._stdout is not None:
            self._stdout.write(b"\n")
            self._stdout.flush()
        self._mid_line = False
        for part in parts:
            if isinstance(part, str):
                part = StyledLine(part)
            with contextlib.suppress(OSError):  # if stderr cannot be written, nobody can be told
                if isinstance(part, StyledLine) and not self._is_terminal:
                    print(part.plain, file=sys.stderr, flush=True)
                else:
                    self._print(part.rich if isinstance(part, StyledLine) else part)

    def _print(self, part: RenderableType) -> None:
        from rich.text import Text

        if isinstance(part, Text) and self._is_terminal:
            part = folded(part, self._lines.width)
        self._lines.print(part, soft_wrap=not self._is_terminal)

    def progress(self, text: str) -> None:
        """Show the progress line, unless the guest has printed part of a line on this terminal."""
        if self.quiet or (self._shared and self._mid_line):
            return
        self._lines.file.write("\r\x1b[2m" + text[: self._lines.width - 1] + "\x1b[0m\x1b[K")
        self._lines.file.flush()
        self._progress_shown = True

    def clear_progress(self) -> None:
        """Take the progress line away."""
        if self._progress_shown:
            self._lines.file.write("\r\x1b[K")
            self._lines.file.flush()
            self._progress_shown = False


def folded(line: Text, width: int) -> Text:
    """A line that is too long, on several lines: it is only broken at two spaces."""
    from rich.text import Text

    if line.cell_len <= width or "\n" in line.plain:
        return line
    whole, column = Text(), 0
    for part in line.split("  "):
        if column and column + 2 + part.cell_len > width:
            whole.append("\n" + _CONTINUATION)
            column = len(_CONTINUATION)
        elif column:
            whole.append("  ")
            column += 2
        whole.append_text(part)
        column += part.cell_len
    return whole


def _may_be_terminal() -> bool:
    return (sys.stderr is not None and sys.stderr.isatty()) or not os.environ.keys().isdisjoint(
        _TERMINAL_VARIABLES
    )


def _same_file(one: int, other: int) -> bool:
    """Whether two descriptors write to the same terminal, file or pipe."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def is_foreground(fd: int) -> bool:
    """Whether this process may read the terminal `fd`: a background job would be stopped."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
