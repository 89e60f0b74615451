"""`guestdbg tui` as a command, on a pseudo-terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.guests import EXAMPLES, GUESTDBG, guestdbg
from tests.cli.on_terminal import Terminal

pytest.importorskip("textual", reason="textual is not installed")
pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

QUEUE = str(EXAMPLES / "queue.elf")
ENDLESS = str(EXAMPLES / "loop-endless.elf")


def started(*arguments: str) -> Terminal:
    return Terminal([*GUESTDBG, "tui", "--provider", "soft", *arguments])


def plain(terminal: Terminal) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.raw)


def wait_for(terminal: Terminal, text: str) -> None:
    """Wait until the program has printed what matches, in whatever colours."""
    deadline = time.monotonic() + 30
    while re.search(text, plain(terminal)) is None:
        terminal._read()
        assert terminal.process.poll() is None, plain(terminal)[-3000:]
        assert time.monotonic() < deadline, plain(terminal)[-3000:]
        time.sleep(0.02)


def test_a_session_on_a_terminal() -> None:
    with started(QUEUE, "--break", "queue_push", "--command", "continue") as terminal:
        wait_for(terminal, "#1 break queue_push")
        terminal.type(b"print queue.size\r")
        wait_for(terminal, r"queue\.size = 32")
        terminal.type(b"quit\r")
        assert terminal.wait() == 0
        # The terminal is as it was: main screen, and a cursor.
        assert terminal.raw.rfind("\x1b[?1049l") > terminal.raw.rfind("\x1b[?1049h")
        assert terminal.raw.rfind("\x1b[?25h") > terminal.raw.rfind("\x1b[?25l")
        assert "Traceback" not in plain(terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_the_terminal_as_it_was(number: signal.Signals) -> None:
    with started(ENDLESS, "-x", "continue") as terminal:
        wait_for(terminal, r"running  \d")
        os.kill(terminal.process.pid, number)
        assert terminal.wait() == 0
        assert terminal.raw.rfind("\x1b[?1049l") > terminal.raw.rfind("\x1b[?1049h")


def test_sigint_from_outside_stops_the_guest_only() -> None:
    with started(ENDLESS, "-x", "continue") as terminal:
        wait_for(terminal, r"running  \d")
        os.kill(terminal.process.pid, signal.SIGINT)
        wait_for(terminal, r"stopped \(interrupt\)")
        terminal.type(b"\x04")
        assert terminal.wait() == 0


def test_an_error_of_the_guest_is_said_before_the_screen_is_taken(tmp_path: Path) -> None:
    with started(str(tmp_path / "nothing.elf")) as terminal:
        assert terminal.wait() == 1
        assert "nothing.elf" in terminal.raw
        assert "\x1b[?1049h" not in terminal.raw


def test_without_a_terminal() -> None:
    result = guestdbg("tui", QUEUE, "--provider", "soft")
    assert result.returncode == 1
    assert "needs a terminal" in result.stderr


def test_without_textual() -> None:
    program = (
        "import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'textual' else find(name, *a)\n"
        "from guestdbg.cli import main; main(prog_name='guestdbg')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, "tui", QUEUE], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert "pip install textual (or guestdbg[tui])" in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["tui", "--help"], ["run", "--help"]])
def test_the_help_does_not_import_textual(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom guestdbg.cli import main\n"
        "try: main(prog_name='guestdbg')\nexcept SystemExit: pass\n"
        "print([name for name in ('textual', 'guestdbg.tui.app') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    assert result.stdout.rstrip().endswith("[]")
