"""Terminal sessions in the pages (blocks marked `console`): each command prints what is shown."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest

from tests.cli.guests import GUESTDBG, ROOT

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sessions() -> list[tuple[str, str]]:
    """(command, its output) of every session."""
    found = []
    for page in sorted((ROOT / "docs").glob("*.md")):
        for block in _BLOCK.findall(page.read_text()):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                found.append((command, output))
    return found


def steady(text: str) -> str:
    """Without what differs from run to run: the seconds, and the speed."""
    text = re.sub(r"\(\d+\.\d\d s, ", "(N s, ", text)
    return re.sub(r", [\d,]+ MIPS\)", ")", text)


def test_there_are_sessions() -> None:
    assert len(sessions()) >= 6


@pytest.mark.parametrize(("command", "output"), sessions(), ids=lambda text: text[:40])
def test_a_session(command: str, output: str) -> None:
    words = shlex.split(command)
    assert words[0] == "guestdbg"
    if "--watch" in words:
        pytest.importorskip("drgn", reason="drgn, which finds variables, runs on Linux only")
    result = subprocess.run(
        [*GUESTDBG, *words[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,  # as on a terminal
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert steady(result.stdout) == steady(output)
