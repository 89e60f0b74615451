"""`guestdbg campaign` as a user types it, and the sessions and examples of docs/campaigns.md."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.campaign import Campaign
from tests.cli.guests import GUESTDBG, ROOT
from tests.cli.on_terminal import Terminal

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

PAGE = (ROOT / "docs" / "campaigns.md").read_text()
SESSION = re.compile(r"^```shell-session\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FAULTS = "examples/queue-faults.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder to work in, with the examples, and the campaign of the page."""
    directory = tmp_path_factory.mktemp("page")
    (directory / "examples").symlink_to(ROOT / "examples")
    return directory


def guestdbg(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GUESTDBG, "campaign", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        check=False,
        timeout=120,
    )


def test_the_sessions_of_the_page(folder: Path) -> None:
    """In their order: the second one uses what the first one has made."""
    commands = []
    for block in SESSION.findall(PAGE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            words = shlex.split(command)
            assert words[:2] == ["guestdbg", "campaign"]
            commands.append(words[2])
            assert guestdbg(folder, *words[2:]).stdout == output, command
    assert commands == [FAULTS, "replay"]
    campaign = Campaign(folder / "queue-faults.campaign")
    assert campaign.summary().complete


def test_the_examples_of_the_page(folder: Path) -> None:
    found = PYTHON.findall(PAGE)
    assert len(found) == PAGE.count("```python") == 2
    for code, output in found:
        result = subprocess.run(
            [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
        )
        assert result.stdout == output


def test_the_toml_of_the_page_names_what_there_is() -> None:
    import tomllib

    from guestdbg.guest_campaign import toml_file

    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = tomllib.loads(text)
    assert set(found) == set(toml_file._TOP)
    assert {key for part in found["vary"] for key in part} <= set(toml_file._VARY)


def test_show_and_replay(folder: Path) -> None:
    directory = folder / "shown"
    made = guestdbg(folder, FAULTS, "-o", "shown", "-n", "60", "-j", "0")
    assert made.returncode == 3, made.stdout  # there are failures
    shown = guestdbg(folder, "show", "shown")
    assert shown.returncode == 0
    assert "one flipped bit in the queue of queue.elf" in shown.stdout
    assert made.stdout.splitlines()[:3] == shown.stdout.splitlines()[2:5]
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    failure = Campaign(directory).summary().failures[0]
    case = guestdbg(folder, "show", "shown", str(failure.case)).stdout
    assert f"signature: {failure.signature.partition(' ')[0]}" in case
    assert "variation: after" in case
    for more in ((), ("--minimised",)):
        again = guestdbg(folder, "replay", "shown", str(failure.case), *more)
        assert again.returncode == 0
        assert f"case {failure.case}: {failure.outcome} (a failure)" in again.stdout
    harmless = next(
        n
        for n in range(60)
        if Campaign(directory).result(n)["outcome"] == "no effect"  # type: ignore[index]
    )
    again = guestdbg(folder, "replay", "shown", str(harmless))
    assert f"case {harmless}: no effect (no failure)" in again.stdout
    assert "limit at" in again.stdout


def test_ctrl_c_and_resume(folder: Path) -> None:
    command = [*GUESTDBG, "campaign", FAULTS, "-o", "stopped", "-n", "100000", "-j", "1"]
    with Terminal(command, cwd=folder) as terminal:
        terminal.wait_for(b" left; no effect ")
        terminal.type(b"\x03")
        assert terminal.wait() == 130
        screen = terminal.screen
    assert "cases have results; to go on:" in screen
    assert "guestdbg campaign resume stopped" in screen
    assert "Traceback" not in screen
    done = Campaign(folder / "stopped").summary().done
    assert 0 < done < 100_000
    again = guestdbg(folder, "show", "stopped").stdout
    assert f"{done:,} of 100,000 cases have results" in again


def test_a_variation_that_never_fits_says_why(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "wrong.toml").write_text(
        '[guest]\nfile = "examples/queue.elf"\n[cases]\ncount = 3\n[[vary]]\nmemory = "nosuch"\n'
    )
    result = guestdbg(tmp_path, "wrong.toml", "-j", "0")
    assert result.returncode == 3
    assert "every case is a failure of the same kind: does not fit" in result.stdout
    assert "1 failure:" in result.stdout
    assert "there is no symbol named 'nosuch'" in " ".join(result.stdout.split())
    assert "least" not in result.stdout


def test_a_file_that_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import sys\nsys.exit(0)\n")
    result = guestdbg(tmp_path, "ends.py")
    assert result.returncode == 1
    assert "ends.py, line 2: SystemExit: 0" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "expected"),
    [
        (("none.py",), 1, "none.py: no such file"),
        (("examples/queue.elf",), 1, "ends in .py or .toml"),
        ((), 2, "Usage|Missing"),
        (("show", "none"), 1, "not a campaign: no such directory"),
        (("resume", "examples"), 1, "not a campaign: there is no campaign.json"),
        (("replay", "examples", "3"), 1, "not a campaign"),
        (("replay", "none", "3", "--gdb", "tcp:127.0.0.1:0", "--tui"), 2, "one of them at a time"),
        ((FAULTS, "-o", "none/below", "-n", "1"), 1, "none/below: the campaign cannot be written"),
        ((FAULTS, "--scheduler", "tcp://127.0.0.1:1", "-j", "2"), 2, "not with --scheduler"),
        ((FAULTS, "-n", "0"), 2, "0 is not in the range"),
        ((FAULTS, "-n", "9", "-j", "99999"), 2, "99999 is not in the range"),
    ],
)
def test_bad_command_lines(
    tmp_path: Path, arguments: tuple[str, ...], status: int, expected: str
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    result = guestdbg(tmp_path, *arguments)
    assert result.returncode == status, result.stdout
    assert re.search(expected, result.stdout), result.stdout
    assert "Traceback" not in result.stdout
    assert "defect" not in result.stdout


def test_a_campaign_that_is_there_is_resumed_by_name(folder: Path) -> None:
    assert guestdbg(folder, FAULTS, "-o", "twice", "-n", "2", "-j", "0").returncode in (0, 3)
    again = guestdbg(folder, FAULTS, "-o", "twice")
    assert again.returncode == 1
    assert "guestdbg campaign resume twice" in again.stdout
