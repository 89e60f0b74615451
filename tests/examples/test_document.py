"""Every command in docs/examples.md does what the text says."""

import re
import shlex
import subprocess
import sys

import pytest

from tests.machine.guests import EDK2, EXAMPLES, U_BOOT

ROOT = EXAMPLES.parent
TEXT = (ROOT / "docs" / "examples.md").read_text()

# The exit status of a command and a part of its output, by a word that only it has.
EXPECTED = {
    "queue.tail": (0, "in note_worst+0xc (stats.c:15)"),
    "heater.integral": (0, "113.08762041727687 -> nan(0x8000000000000)  in control"),
    "measured != measured": (0, "#1 break control  in control (pid.c:61)"),
    "u-boot.bin": (0, "41000000: 600dcafe"),
    "QEMU_EFI.fd": (124, "it has not returned from a fault at"),
    "spin.elf": (124, "it was at main"),
    "flood.elf": (124, "flood: line 100"),
    "lost.elf": (1, "the guest cannot go on"),
    "fault.elf": (0, "#3 break exception"),
    "mmu.elf": (0, "#3 write syscalls  0 -> 1  in serve"),
}


def commands() -> list[str]:
    """The command lines, with their continuations, without comments."""
    joined = TEXT.replace("\\\n", " ")
    found = re.findall(r"^    (guestdbg run .*)$", joined, re.MULTILINE)
    return [line.split("   #")[0] for line in found]


def shown_below(line: str) -> str:
    """The hits that the page shows after a command, as they are printed; often none."""
    after = TEXT.split(line.split("  ")[0].strip())[1].split("\n    guestdbg run")[0]
    return "".join(re.findall(r"^    (#1 .*\n|     called by .*\n)", after, re.MULTILINE))


def test_hits_are_shown_after_two_commands() -> None:
    shown = [*filter(None, map(shown_below, commands()))]
    assert [each.count("called by") for each in shown] == [5, 2]


def test_every_command_is_checked() -> None:
    found = commands()
    assert len(found) == len(EXPECTED)
    for word in EXPECTED:
        assert len([line for line in found if word in line]) == 1, word


@pytest.mark.parametrize("word", EXPECTED)
def test_command(word: str) -> None:
    (line,) = [line for line in commands() if word in line]
    if "u-boot" in line and not U_BOOT.is_file():
        pytest.skip(f"no {U_BOOT}: install Debian's u-boot-qemu")
    if "QEMU_EFI" in line and not EDK2.is_file():
        pytest.skip(f"no {EDK2}: install Debian's qemu-efi-aarch64")
    status, text = EXPECTED[word]
    result = subprocess.run(
        [sys.executable, "-c", "from guestdbg.cli import main; main()", *shlex.split(line)[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert text in result.stdout + result.stderr
    assert shown_below(line) in result.stderr
    assert result.returncode == status
    assert "Traceback" not in result.stderr


def test_the_python_program_finds_the_wrong_write() -> None:
    """The program in the section about the bug hunt."""
    blocks = re.findall(r"(?:^    .*\n|^\n)+", TEXT, re.MULTILINE)
    (program,) = [block for block in blocks if "    import guestdbg\n" in block]
    result = subprocess.run(
        [sys.executable, "-c", re.sub(r"^    ", "", program, flags=re.MULTILINE)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "note_worst+0xc" in result.stdout
    assert "23 -> 979" in result.stdout
    assert "stats_record" in result.stdout
