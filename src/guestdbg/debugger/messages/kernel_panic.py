"""What a Linux kernel says on its console when it cannot go on: a panic, or an oops.

The texts are those of kernel/panic.c and of die() in arch/arm64/kernel/traps.c.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["KernelReports"]

_MAX_LINE = 4096
_MAX_NOTES = 16
_PANIC = re.compile(rb"(?<!end )Kernel panic - not syncing.*")
_OOPS = re.compile(rb"(?:Internal error|Oops): .*|Unable to handle kernel .*")


class KernelReports:
    """Reads the console for the reports of a kernel.

    Args:
        on_panic: called with the text of each panic, when its line is complete.

    Attributes:
        notes: the first lines that report an oops, or another fault of the kernel.
    """

    def __init__(self, on_panic: Callable[[str], object]) -> None:
        self.notes: list[str] = []
        self._on_panic = on_panic
        self._line = bytearray()

    def feed(self, data: bytes) -> None:
        """The guest has printed ``data``."""
        first, *others = data.split(b"\n")
        self._line += first[: _MAX_LINE - len(self._line)]
        for piece in others:
            line = bytes(self._line)
            self._line[:] = piece[:_MAX_LINE]
            self._complete(line)

    def _complete(self, line: bytes) -> None:
        if (found := _PANIC.search(line)) is not None:
            self._on_panic(_text(found[0]))
        elif len(self.notes) < _MAX_NOTES and (found := _OOPS.search(line)) is not None:
            self.notes.append(_text(found[0]))


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip()
    return "".join(c if c.isprintable() else "?" for c in text)
