"""The commands of docs/semihosting.md, and what it says that they print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine.guests import EXAMPLES

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled here")

ROOT = EXAMPLES.parent
TEXT = (ROOT / "docs" / "semihosting.md").read_text()


def typed_and_shown() -> list[tuple[str, str]]:
    """(command, what follows it) of the session."""
    block = re.search(r"(?:^(?:    .*)?\n)+", TEXT[TEXT.index("    $ mkdir") :], re.MULTILINE)
    assert block is not None
    text = re.sub(r"^    ", "", block[0], flags=re.MULTILINE).replace("\\\n", "")
    found = []
    for part in text.split("$ ", 1)[1].split("\n$ "):
        command, _, shown = part.partition("\n")
        found.append((command, shown))
    return found


def test_the_session(tmp_path: Path) -> None:
    commands = typed_and_shown()
    assert len(commands) == 4
    program = f"export PATH={Path(sys.executable).parent}:$PATH\nexec 2>&1\n"
    program += "".join(f"{command}\n" for command, _ in commands)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    done = subprocess.run(
        ["sh", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    seconds = re.compile(r"\d+\.\d\d s")
    printed = seconds.sub("0.00 s", done.stdout).split("\n")
    expected = "".join(shown.rstrip("\n") + "\n" for _, shown in commands if shown.strip())
    assert printed == expected.split("\n")
