"""Run a program on a pseudo-terminal, to see what a user sees."""

import contextlib
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

LIMIT_SECONDS = 30


# The environment of a plain terminal: NO_COLOR and the like would change the output.
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLORTERM")
} | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}


class Terminal:
    """A program on a pseudo-terminal of 100 by 40."""

    def __init__(self, arguments: list[str], *, cwd: Path | None = None) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=cwd,
            env=ENVIRONMENT,
            # A new session with this as its controlling terminal, so that Ctrl-C works.
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        os.set_blocking(self.master, False)
        self.output = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    data = os.read(self.master, 65536)
                except BlockingIOError:
                    raise
                except OSError:  # the other end is closed
                    return
                if not data:
                    return
                self.output += data

    def wait_for(self, text: bytes) -> None:
        """Wait until the program has printed `text`."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while text not in self.output:
            ended = self.process.poll() is not None
            self._read()
            if text in self.output:
                return
            assert not ended, f"ended without printing {text!r}:\n{self.screen}"
            assert time.monotonic() < deadline, f"never printed {text!r}:\n{self.screen}"
            time.sleep(0.02)

    def wait(self) -> int:
        """Wait until the program ends; returns its exit status."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while self.process.poll() is None:
            self._read()
            assert time.monotonic() < deadline, f"never ended:\n{self.screen}"
            time.sleep(0.02)
        self._read()
        return self.process.returncode

    @property
    def raw(self) -> str:
        """All output."""
        return self.output.decode(errors="replace")

    @property
    def screen(self) -> str:
        """The same without colours."""
        return re.sub(r"\x1b\[[0-9;]*[mK]", "", self.raw)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]
