"""A booted Linux guest at its shell's prompt, which tests type at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from guestdbg.debugger import Guest

from .support import PROMPT, load

SECONDS = 200


class Shell:
    """The guest at its prompt."""

    def __init__(self, guest: Guest, output: bytearray) -> None:
        self.guest = guest
        self.output = output

    def type(self, line: bytes) -> None:
        self.output.clear()
        self.guest.board.console.feed(line + b"\n")

    def ask(self, line: str) -> str:
        """What the guest prints for a command."""
        self.type(line.encode())
        answer = self.to_prompt().replace("\r\n", "\n").replace("\x1b[6n", "")
        return answer.partition(f"{line}\n")[2].rpartition(PROMPT.decode())[0]

    def to_prompt(self) -> str:
        stop = self.guest.run(timeout=SECONDS)
        assert stop.reason == "interrupt", (stop, bytes(self.output[-500:]))
        return self.output.decode(errors="replace")


@contextmanager
def at_prompt(suite: str, **options: Any) -> Iterator[Shell]:
    """The guest, booted to its prompt."""
    output = bytearray()

    def console(data: bytes) -> None:
        output.extend(data)
        # Only when it comes: what the shell prints after it, to ask where the cursor is, may come
        # in another piece, in the next run.
        if PROMPT in output[-(len(data) + len(PROMPT) - 1) :]:
            guest.interrupt()

    with load(suite, console=console, **options) as guest:
        shell = Shell(guest, output)
        shell.to_prompt()
        yield shell
