"""Closed and full streams: a message or nothing, and never a defect or output in a wrong file."""

import subprocess
import sys

import pytest

from tests.cli.guests import GUESTDBG, ROOT

COMMANDS = {
    "run": ["run", "examples/hello.elf"],
    "hits": ["run", "examples/queue.elf", "-w", "queue.tail", "--count", "2", "--backtrace"],
    "trace": ["run", "examples/queue.elf", "-w", "queue.tail", "--count", "2", "--log-only"],
    "caps": ["caps", "--provider", "soft"],
    "explain": ["explain", "esr_el2", "0xc2000022"],
    "help": ["--help"],
    "usage": ["run"],
    "wrong": ["run", "examples"],
}
TRIES = [(command, redirection) for command in COMMANDS for redirection in (">&-", ">/dev/full")]
TRIES += [(c, r) for c in ("hits", "caps", "wrong") for r in ("2>&-", "2>/dev/full")]
TRIES += [("run", "<&-"), ("run", ">&- 2>&- <&-"), ("trace", ">&- 2>&- <&-")]


@pytest.mark.parametrize(("command", "redirection"), TRIES)
def test_streams_that_cannot_be_used(command: str, redirection: str) -> None:
    script = f'exec "$@" {redirection}'
    if "<" not in redirection:
        script += " </dev/null"
    result = subprocess.run(
        ["sh", "-c", script, "sh", *GUESTDBG, *COMMANDS[command]],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    errors = result.stderr.decode()
    for word in ("Traceback", "defect", "Exception ignored"):
        assert word not in errors
    assert result.returncode in (0, 1, 2)
    if redirection == ">/dev/full" and command in ("run", "trace", "caps", "explain", "help"):
        assert result.returncode == 1
        assert "No space left on device" in errors
    if redirection == ">&-" and command in ("run", "trace", "caps", "explain", "help"):
        assert result.returncode == 1
        assert "it is closed" in errors or "Bad file descriptor" in errors


def test_output_does_not_go_into_the_file_that_gets_the_number_of_a_closed_stream() -> None:
    """Without a stdout, the next file that is opened would have the number 1."""
    program = (
        "import os, sys; os.close(1); sys.stdout = None\n"
        "from guestdbg.cli import standard_streams\n"
        "standard_streams.keep_open()\n"
        "assert os.open(os.devnull, os.O_RDONLY) > 2\n"
        "assert sys.stdout is not None\n"
        "try:\n    os.write(1, b'x')\nexcept OSError: sys.exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 7
