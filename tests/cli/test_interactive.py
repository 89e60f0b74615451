"""`guestdbg run` on a terminal: the progress line, Ctrl-C, typing to the guest."""

import re
import signal
import subprocess
import time

from tests.cli.guests import GUESTDBG, ROOT
from tests.cli.on_terminal import Terminal


def run(*arguments: str) -> Terminal:
    return Terminal([*GUESTDBG, "run", *arguments], cwd=ROOT)


def test_progress_while_nothing_is_hit_and_ctrl_c_ends_with_the_summary() -> None:
    with run("examples/spin.elf", "--break", "0x40300000") as terminal:
        terminal.wait_for(b"running, nothing hit yet: ")
        terminal.wait_for(b" million instructions")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert "-- interrupted (SIGINT)" in terminal.screen
        assert "break 0x40300000" in terminal.screen
        assert "it was at main" in terminal.screen
        assert "Traceback" not in terminal.screen


def test_no_progress_line_once_something_was_hit() -> None:
    with run("examples/loop-endless.elf", "--break", "_start", "--timeout", "1.5") as terminal:
        assert terminal.wait() == 124
        assert "#1 break _start" in terminal.screen
        assert "nothing hit yet" not in terminal.screen


def test_hits_that_fail_a_condition_do_not_end_the_progress_line() -> None:
    """Although there are millions, which the summary counts as seen."""
    with run("examples/loop-endless.elf", "--watch", "loop_data,8 if new == 0") as terminal:
        terminal.wait_for(b"running, nothing hit yet: ")
        terminal.wait_for(b" million instructions")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        row = re.search(r"^ +0  ([\d,]+)  watch ", terminal.screen, re.MULTILINE)
        assert row is not None, terminal.screen
        assert int(row[1].replace(",", "")) > 1000


def test_ctrl_c_during_many_hits() -> None:
    with run("examples/loop-endless.elf", "--watch", "loop_data") as terminal:
        terminal.wait_for(b"#50 ")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert "-- interrupted (SIGINT)" in terminal.screen


def test_sigterm_ends_with_the_summary_too() -> None:
    process = subprocess.Popen(
        [*GUESTDBG, "run", "examples/flood.elf"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert b"-- interrupted (SIGTERM)" in errors


def test_the_terminal_echoes_again_afterwards() -> None:
    import termios

    with run("examples/spin.elf") as terminal:
        before = termios.tcgetattr(terminal.master)
        deadline = time.monotonic() + 30
        while termios.tcgetattr(terminal.master) == before:
            assert time.monotonic() < deadline, "never took the terminal"
            time.sleep(0.02)
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        assert termios.tcgetattr(terminal.master) == before
