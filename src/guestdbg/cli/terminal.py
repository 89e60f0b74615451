"""One terminal for three voices: the guest's console, guestdbg's lines, and the progress line.

The console goes to stdout byte for byte. Everything of ours goes to stderr, so that either can be
redirected. Where both are the same terminal (or file), a line of ours never starts in the middle of
a line of the guest's, and the progress line is wiped before anything else is written.
"""

import os
import sys
from typing import BinaryIO

from rich.console import Console, RenderableType
from rich.text import Text

# Under the hit's own words, as the frames of its backtrace are.
_CONTINUED = "     "


class Terminal:
    """Where `guestdbg run` writes. `console=False` drops what the guest prints."""

    def __init__(self, *, console: bool = True) -> None:
        self._stdout: BinaryIO | None = sys.stdout.buffer if console else None
        self._lines = Console(stderr=True, highlight=False, soft_wrap=True)
        self._shared = _same_file(1, 2)
        self._mid_line = False
        self._progress = False
        self.quiet = not self._lines.is_terminal
        """No progress line: stderr is not a terminal."""

    def guest_wrote(self, data: bytes) -> None:
        """Console output of the guest."""
        if self._stdout is None or not data:
            return
        self._wipe()
        self._stdout.write(data)
        self._stdout.flush()
        self._mid_line = not data.endswith(b"\n")

    def line(self, *parts: RenderableType) -> None:
        """Something of ours, on lines of its own."""
        self._wipe()
        if self._shared and self._mid_line and self._stdout is not None:
            self._stdout.write(b"\n")
            self._stdout.flush()
        self._mid_line = False
        for part in parts:
            if isinstance(part, Text) and self._lines.is_terminal:
                part = folded(part, self._lines.width)
            self._lines.print(part, soft_wrap=not self._lines.is_terminal)

    def progress(self, text: str) -> None:
        """The progress line; not where the guest has begun a line that it may go on with."""
        if self.quiet or (self._shared and self._mid_line):
            return
        self._lines.file.write("\r\x1b[2m" + text[: self._lines.width - 1] + "\x1b[0m\x1b[K")
        self._lines.file.flush()
        self._progress = True

    def _wipe(self) -> None:
        if self._progress:
            self._lines.file.write("\r\x1b[K")
            self._lines.file.flush()
            self._progress = False


def folded(line: Text, width: int) -> Text:
    """A line that is too long, on several: what two spaces divide stays together."""
    if line.cell_len <= width or "\n" in line.plain:
        return line
    whole, at = Text(), 0
    for part in line.split("  "):
        if at and at + 2 + part.cell_len > width:
            whole.append("\n" + _CONTINUED)
            at = len(_CONTINUED)
        elif at:
            whole.append("  ")
            at += 2
        whole.append_text(part)
        at += part.cell_len
    return whole


def _same_file(one: int, other: int) -> bool:
    """Whether two descriptors write to the same terminal, file or pipe."""
    try:
        return os.path.samestat(os.fstat(one), os.fstat(other))
    except OSError:
        return False


def is_foreground(fd: int) -> bool:
    """Whether reading the terminal `fd` would not stop us: we are not a background job."""
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError:
        return False
