"""Console, lines and progress on one terminal, and separate when they are redirected."""

import re
import subprocess

from tests.cli.on_terminal import Terminal, python

SPEAK = """
from guestdbg.cli.running.terminal import Terminal
t = Terminal()
t.guest_wrote(b"jobs done: ")
t.line("#1 a hit")
t.guest_wrote(b"500\\n")
t.line("#2 another")
t.progress("running")
t.guest_wrote(b"the end\\n")
t.progress("running on")
t.line("-- ended")
"""


def test_a_line_never_starts_within_one_of_the_guest() -> None:
    with Terminal(python(SPEAK)) as terminal:
        assert terminal.wait() == 0
        lines = [line.split("\r")[-1] for line in terminal.screen.split("\r\n")]
    assert lines == ["jobs done: ", "#1 a hit", "500", "#2 another", "the end", "-- ended", ""]


def test_progress_is_cleared_before_other_output() -> None:
    with Terminal(python(SPEAK)) as terminal:
        assert terminal.wait() == 0
        screen = terminal.raw
    assert "running" in screen
    for after in ("the end", "-- ended"):
        before = screen[: screen.index(after)]
        assert re.search(r"\r\x1b\[K(\x1b\[[0-9;]*m)*$", before), repr(before)


def test_a_redirected_console_has_only_the_bytes_of_the_guest() -> None:
    result = subprocess.run(python(SPEAK), capture_output=True, check=True)
    assert result.stdout == b"jobs done: 500\nthe end\n"
    assert result.stderr == b"#1 a hit\n#2 another\n-- ended\n"


def test_no_console_if_it_is_off() -> None:
    code = "from guestdbg.cli.running.terminal import Terminal\nt = Terminal(console=False)\n"
    result = subprocess.run(
        python(code + "t.guest_wrote(b'x')\nt.line('y')"), capture_output=True, check=True
    )
    assert (result.stdout, result.stderr) == (b"", b"y\n")


PASS_ON = """
import time
from guestdbg.cli.running import keyboard
got = b""
def feed(data):
    global got
    got += data
with keyboard.passed_on(feed, lambda: 0):
    print("ready", flush=True)
    while not got.endswith((b"\\r", b"q")):
        time.sleep(0.01)
print("got", got, flush=True)
print("line", input())
"""


def test_keys_go_on_one_by_one_unechoed_and_the_terminal_is_as_before() -> None:
    with Terminal(python(PASS_ON)) as terminal:
        terminal.wait_for(b"ready")
        terminal.type(b"md 0\r")
        terminal.wait_for(b"got b'md 0\\r'")
        assert b"md 0" not in terminal.output[: terminal.output.index(b"got")]
        terminal.type(b"by line\r")
        terminal.wait_for(b"line by line")
        assert terminal.output.count(b"by line") >= 2, "echo is on again"


def test_piped_input_goes_on_too() -> None:
    code = PASS_ON.replace('print("line", input())', "")
    result = subprocess.run(python(code), input=b"abcq", capture_output=True, check=True)
    assert b"got b'abcq'" in result.stdout


def test_no_stdin_at_all() -> None:
    code = "import sys\nsys.stdin.close()\nfrom guestdbg.cli.running import keyboard\n"
    code += "with keyboard.passed_on(print, lambda: 0):\n    print('fine')\n"
    result = subprocess.run(python(code), capture_output=True, check=True)
    assert result.stdout == b"fine\n"


LONG = """
from rich.text import Text
from guestdbg.cli.running.terminal import Terminal
line = "#4 write queue.tail  0 -> 1  in " + "q" * 50
Terminal().line(Text(line + "  pc 0x1: str w1, [x19, #4]  tail"))
"""


def test_a_long_line_is_broken_between_its_parts() -> None:
    with Terminal(python(LONG)) as terminal:
        assert terminal.wait() == 0
        lines = terminal.screen.split("\r\n")
    assert lines == [
        "#4 write queue.tail  0 -> 1  in " + "q" * 50,
        "     pc 0x1: str w1, [x19, #4]  tail",
        "",
    ]
    result = subprocess.run(python(LONG), capture_output=True, check=True, text=True)
    assert len(result.stderr.splitlines()) == 1  # in a file, each hit is one line
