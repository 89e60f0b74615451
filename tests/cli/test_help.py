"""Every command has help with an example that works."""

import re
import shlex

import pytest

from guestdbg.cli.group import Commands
from tests.cli.guests import guestdbg


def test_the_list_of_commands() -> None:
    result = guestdbg("--help")
    assert result.returncode == 0
    for name in Commands.modules:
        assert f"\n  {name} " in result.stdout


@pytest.mark.parametrize("command", sorted(Commands.modules))
def test_help_has_an_example(command: str) -> None:
    result = guestdbg(command, "--help")
    assert result.returncode == 0
    assert "Example" in result.stdout
    assert f"  guestdbg {command} " in result.stdout.split("Example")[-1]


def examples() -> list[str]:
    found = []
    for command in sorted(Commands.modules):
        text = guestdbg(command, "--help").stdout.split("Example")[-1]
        text = re.sub(r"\s*\\\n\s*", " ", text)
        # After two spaces some have a comment.
        found += re.findall(r"^ {4}(guestdbg .*?)(?: {2}.*)?$", text, re.MULTILINE)
    return found


def test_the_examples_work() -> None:
    tried = 0
    for example in examples():
        # Examples that need files of the reader, or another program, are skipped.
        # tests/lab has the lab's.
        if "--provider host" in example:
            continue  # it is for an Arm machine
        if "|" in example or "u-boot" in example or "--log" in example or " lab " in example:
            continue
        if example.startswith("guestdbg gdb "):
            continue  # it waits for a debugger: see tests/gdb/test_command.py
        result = guestdbg(*shlex.split(example)[1:])
        assert result.returncode == 0, (example, result.stderr)
        tried += 1
    assert tried >= 3


def test_the_version() -> None:
    result = guestdbg("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("guestdbg, version ")


@pytest.mark.parametrize("command", sorted(Commands.modules))
def test_help_fits_a_terminal_of_eighty_columns(command: str) -> None:
    lines = guestdbg(command, "--help").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
