"""The sessions of docs/gdb.md and time-travel.md, typed as they are there: GDB answers the same."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.cli.guests import ROOT
from tests.gdb.gdb_client import GDB, SECONDS, needs_gdb, server
from tests.gdb.lldb_client import needs_lldb

pytestmark = needs_gdb

TEXT = (ROOT / "docs" / "gdb.md").read_text()
TIME_TRAVEL = (ROOT / "docs" / "time-travel.md").read_text()
PROMPT = "(gdb) "
#: GDB compares the times of the files, which are those of the checkout here.
OF_THE_CHECKOUT = "warning: Source file is more recent than executable.\n"


def parts(text: str) -> list[tuple[str, str, str]]:
    """(server's command line, GDB's, what is typed and answered) of each session."""
    pattern = (
        r"^    (guestdbg gdb \S+(?: --history)?)\n.*?"
        r"^    (gdb-multiarch [^\n]*)\n\n((?:    [^\n]*\n|\n(?=    ))+)"
    )
    return [
        (ours, theirs, re.sub(r"^    ", "", block, flags=re.MULTILINE))
        for ours, theirs, block in re.findall(pattern, text, re.MULTILINE | re.DOTALL)
    ]


def with_history() -> tuple[str, str, str]:
    """That of time-travel.md, which has text between its parts."""
    section = TIME_TRAVEL.split("\n## In GDB\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("    ") or not line]
    return parts(re.sub(r"\n\n+", "\n\n", "\n".join(lines)))[0]


def sessions() -> list[tuple[str, str, str]]:
    """All of them."""
    return [*parts(TEXT), with_history()]


def test_there_are_sessions() -> None:
    assert len(sessions()) == 3
    assert all(session.count("(gdb) kill\n") == 1 for _, _, session in sessions())


@pytest.mark.parametrize(("ours", "theirs", "session"), sessions(), ids=lambda text: text[-16:])
def test_a_session(ours: str, theirs: str, session: str) -> None:
    typed = [line.removeprefix(PROMPT) for line in session.splitlines() if line.startswith(PROMPT)]
    _, _, path, *options = shlex.split(ours)
    with server(Path(path), *options, listen="tcp:127.0.0.1:0") as guest:
        result = subprocess.run(
            [GDB, "-nx", *shlex.split(theirs)[1:]],
            input="".join(line.replace(":1234", guest.target) + "\n" for line in typed),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            timeout=SECONDS,
            check=False,
        )
        assert guest.ended() == 0
    # What is typed into a pipe is not echoed: prompts and answers alone.
    said = result.stdout.replace(guest.target, ":1234").replace(OF_THE_CHECKOUT, "")
    answers = [part.rstrip() for part in said.split(PROMPT)[1:]]
    expected = [part.split("\n", 1)[1].rstrip() for part in session.split(PROMPT)[1:]]
    shown = [re.sub(r"[ \t]+$", "", answer, flags=re.MULTILINE) for answer in answers]
    assert shown[: len(expected)] == expected


@needs_lldb
def test_the_session_with_lldb() -> None:
    """What the document shows is what LLDB says, in that order; it says more."""
    block = TEXT.split("\n    lldb\n", 1)[1].split("\nFor a Unix socket", 1)[0]
    shown = [line.strip() for line in block.splitlines() if line.strip()]
    typed = [line.removeprefix("(lldb) ") for line in shown if line.startswith("(lldb) ")]
    with server("queue", listen="tcp:127.0.0.1:0") as guest:
        port = guest.target.rpartition(":")[2]
        commands = [arg for line in typed for arg in ("-o", line.replace("1234", port))]
        result = subprocess.run(
            ["lldb", "--no-lldbinit", "-b", *commands],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            timeout=SECONDS,
            check=False,
        )
        assert guest.ended() == 0, result.stdout
    said = result.stdout.replace(f"gdb-remote {port}", "gdb-remote 1234")
    at = 0
    for line in shown:
        found = said.find(line, at)
        assert found >= 0, (line, said[at:])
        at = found + len(line)
