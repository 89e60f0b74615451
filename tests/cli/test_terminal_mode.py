"""The terminal is as it was, whatever signal ends or suspends `run` and `gdb`."""

from __future__ import annotations

import contextlib
import os
import signal
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli.guests import GUESTDBG, ROOT
from tests.cli.on_terminal import LIMIT_SECONDS, Terminal, python

SIGNALS = ("HUP", "INT", "QUIT", "TERM", "USR1")
# A shell, as far as it is needed: the command is a job of its own in the foreground. Without a
# parent that could continue it, a job cannot be suspended.
SHELL = """
import os, signal, sys, time
job, go, *command = sys.argv[1:]
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    # The tests themselves may run where these are ignored (nohup, a job in the background).
    for name in ("TTOU", "HUP", "INT", "QUIT", "TERM", "USR1", "TSTP", "CONT"):
        signal.signal(getattr(signal, "SIG" + name), signal.SIG_DFL)
    while not os.path.exists(go):
        time.sleep(0.02)
    os.execvp(command[0], command)
with open(job + ".new", "w") as file:
    file.write(str(child))
os.rename(job + ".new", job)
while True:
    _, status = os.waitpid(child, 0)
    sys.exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
"""


class Job(Terminal):
    """`run` or `gdb` on a terminal, whose mode was ``before``."""

    def __init__(self, command: str, directory: Path) -> None:
        arguments = {
            "run": ["run", "examples/spin.elf"],
            "gdb": ["gdb", "examples/spin.elf", "--no-wait", "--listen", f"unix:{directory}/s"],
        }[command]
        job, go = directory / "job", directory / "go"
        super().__init__([*python(SHELL), str(job), str(go), *GUESTDBG, *arguments], cwd=ROOT)
        until(job.exists)
        self.pid = int(job.read_text())
        self.before = termios.tcgetattr(self.master)
        go.touch()
        until(lambda: not self.echoes)

    @property
    def mode(self) -> list[Any]:
        return termios.tcgetattr(self.master)

    @property
    def echoes(self) -> bool:
        return bool(self.mode[3] & termios.ECHO)

    @property
    def suspended(self) -> bool:
        text = Path(f"/proc/{self.pid}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "T"

    def kill(self, number: int) -> None:
        os.kill(self.pid, number)

    def __exit__(self, *of_what: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.kill(signal.SIGKILL)
        super().__exit__(*of_what)


def until(condition: Any) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("command", ["run", "gdb"])
@pytest.mark.parametrize("name", SIGNALS)
def test_signals_that_end_it(command: str, name: str, tmp_path: Path) -> None:
    with Job(command, tmp_path) as job:
        number = getattr(signal, f"SIG{name}")
        job.kill(number)
        assert job.wait() == 128 + number
        assert job.mode == job.before


@pytest.mark.parametrize("command", ["run", "gdb"])
def test_it_is_suspended_and_continued(command: str, tmp_path: Path) -> None:
    with Job(command, tmp_path) as job:
        for _ in range(2):
            job.type(b"\x1a")  # Ctrl-Z
            until(lambda: job.suspended)
            assert job.mode == job.before
            job.kill(signal.SIGCONT)
            until(lambda: not job.echoes)
        # One that no handler sees: the mode comes back when it is continued.
        job.kill(signal.SIGSTOP)
        until(lambda: job.suspended)
        termios.tcsetattr(job.master, termios.TCSANOW, job.before)
        job.kill(signal.SIGCONT)
        until(lambda: not job.echoes)
        job.kill(signal.SIGTERM)
        job.wait()
        assert job.mode == job.before
