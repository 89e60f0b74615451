"""`guestdbg run` on a terminal: the progress line, Ctrl-C, typing to the guest."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guestdbg.cli.running import keyboard
from tests.cli.guests import GUESTDBG, ROOT
from tests.cli.on_terminal import Terminal
from tests.machine.guests import U_BOOT


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
        row = re.search(r"^ +0  ([\d,]+) +0x\w+ +8  watch ", terminal.screen, re.MULTILINE)
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


def test_endless_input_is_read_no_faster_than_the_guest_takes_it() -> None:
    """A guest that reads nothing: the command takes a little of its stdin, and waits."""
    with open("/dev/zero", "rb") as zeros:
        process = subprocess.Popen(
            [*GUESTDBG, "run", "examples/spin.elf", "--timeout", "3"],
            cwd=ROOT,
            stdin=zeros,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        time.sleep(2)
        status = Path(f"/proc/{process.pid}/io").read_text()
        process.communicate(timeout=60)
    read = re.search(r"rchar: (\d+)", status)
    assert read is not None
    assert int(read[1]) < 64 << 20, "with what the interpreter read to start"
    assert process.returncode == 124


def test_all_of_a_long_input_reaches_the_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than waits at once: the rest is read when the guest has taken some."""
    source = tmp_path / "input"
    source.write_bytes(bytes(range(250)) * 1200)
    waiting, taken, most = bytearray(), bytearray(), 0
    with source.open("rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with keyboard.passed_on(waiting.extend, lambda: len(waiting)):
            deadline = time.monotonic() + 60
            while len(taken) < 300_000 and time.monotonic() < deadline:
                most = max(most, len(waiting))
                piece = bytes(waiting[:8192])
                taken += piece
                del waiting[: len(piece)]
                time.sleep(0.002)
    assert bytes(taken) == source.read_bytes()
    assert most < 80 << 10


@pytest.mark.skipif(not U_BOOT.is_file(), reason=f"no {U_BOOT}: install Debian's u-boot-qemu")
def test_with_raw_the_guest_gets_ctrl_c_and_ctrl_bracket_ends() -> None:
    """U-Boot answers Ctrl-C at its prompt, and takes no Ctrl-Z for an end of the command."""
    with run(str(U_BOOT), "--kind", "firmware", "--raw") as terminal:
        terminal.wait_for(b"Hit any key to stop autoboot")
        terminal.type(b"\x03")
        terminal.wait_for(b"=> ")
        terminal.type(b"echo\x1a \x03")
        terminal.wait_for(b"<INTERRUPT>")
        terminal.type(b"\x1d")
        assert terminal.wait() == 130
        assert "-- interrupted (Ctrl-])" in terminal.screen
        assert "nothing hit yet" not in terminal.screen
