"""Every command has help with an example that works."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from guestdbg.cli.group import Commands
from tests.cli.guests import EXAMPLES, guestdbg


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


def test_the_examples_work(tmp_path: Path) -> None:
    tried = 0
    # In the order in which they can work: `run` makes the file that `replay` reads.
    for example in sorted(examples(), key=lambda text: " replay " in text):
        # Examples that need files of the reader, or another program, are skipped.
        # tests/lab has the lab's.
        if "--provider host" in example:
            continue  # it is for an Arm machine
        if "|" in example or "u-boot" in example or "--log" in example or " lab " in example:
            continue
        if "--coverage queue.json" in example:
            continue  # for a report: see tests/report
        if example.startswith("guestdbg tui "):
            continue  # it needs a terminal: see tests/tui
        if example.startswith(("guestdbg campaign ", "guestdbg faults ")):
            continue  # they make a directory: see test_campaign.py and test_faults.py
        if example.startswith("guestdbg gdb "):
            continue  # it waits for a debugger: see tests/gdb/test_command.py
        if (
            example.startswith(("guestdbg report ", "guestdbg replay ", "guestdbg trace "))
            or "--save" in example
        ):
            continue  # they write files, and read them: see tests/report and test_replay.py
        # A recorded run is written by one of them, and read by others.
        example = example.replace(" queue.guestrun", f" {tmp_path / 'queue.guestrun'}")
        result = guestdbg(*shlex.split(example)[1:])
        assert result.returncode == 0, (example, result.stderr)
        tried += 1
    assert tried >= 3


def test_the_version() -> None:
    result = guestdbg("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("guestdbg, version ")


def imported_by(*command: str) -> set[str]:
    """The modules that a command has imported at its end, in a process of its own."""
    program = "import sys; from guestdbg.cli import main\n"
    program += f"status = main({list(command)}, standalone_mode=False)\nprint()\n"
    program += "print(status, *sys.modules)"
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env=environment,
    )
    status, *imported = done.stdout.splitlines()[-1].split()
    assert int(status) in (0, 124), done.stderr  # 124: a limit
    return set(imported)


#: What a run without points, logs, disks or a network does not use, packages with all in them.
NEEDLESS = {
    *("capstone", "drgn", "elftools", "rich"),
    *("bz2", "difflib", "hashlib", "html", "importlib.metadata", "json", "lzma", "tempfile"),
    *("multiprocessing", "pickle", "pkgutil", "socket", "termios"),
    "guestdbg.arm64.instructions",
    "guestdbg.arm64.iss",
    "guestdbg.arm64.translate",
    "guestdbg.cli.running.log_files",
    "guestdbg.cli.running.terminal_mode",
    "guestdbg.container.file_form",
    "guestdbg.debugger.breakpoints.conditions",
    "guestdbg.debugger.breakpoints.hit",
    "guestdbg.debugger.breakpoints.recording",
    "guestdbg.debugger.guest_file",
    "guestdbg.debugger.program.drgn_program",
    "guestdbg.debugger.program.line_table",
    "guestdbg.debugger.program.resolver",
    "guestdbg.debugger.unwind.unwinder",
    "guestdbg.debugger.vcpu.dispatch",
    "guestdbg.debugger.vcpu.hit_programs",
    "guestdbg.gdb",
    "guestdbg.history",
    "guestdbg.kvm.host.kvm",
    "guestdbg.kvm.soft.snapshot",
    "guestdbg.linux",
    "guestdbg.machine.loading.initrd",
    "guestdbg.machine.serial",
    "guestdbg.machine.usernet",
    "guestdbg.machine.virtio.transport",
    "guestdbg.report",
    "guestdbg.semihosting.calls",
    "guestdbg.semihosting.options",
    "guestdbg.tables",
    "guestdbg.terminal_text",
    "guestdbg.trace",
    "guestdbg.workers",
}


@pytest.mark.parametrize("guest", ["raw", "elf"])
def test_a_run_imports_no_more_than_it_uses(tmp_path: Path, guest: str) -> None:
    """The time until the guest's first instruction is mostly that of imports."""
    image = EXAMPLES / "hello.elf"
    if guest == "raw":
        image = tmp_path / "guest.bin"
        image.write_bytes(bytes.fromhex("000080d200000014"))  # mov x0, #0; b .
    limit = ["--kind", "raw", "--max-instructions", "5"] if guest == "raw" else []
    imported = imported_by("run", str(image), "--provider", "soft", *limit)
    assert {"guestdbg.cli.run", "guestdbg.cpu.processor"} <= imported
    inside = tuple(f"{name}." for name in NEEDLESS)
    assert sorted(n for n in imported if n in NEEDLESS or n.startswith(inside)) == []


def test_what_a_run_does_not_import_exists() -> None:
    """A module that is renamed must not leave this list without a word."""
    names = [name for name in NEEDLESS if name.startswith("guestdbg")]
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


def test_to_load_an_elf_file_takes_no_library() -> None:
    program = "import sys; from guestdbg.machine.loading import elf\n"
    program += "elf.parse(open(sys.argv[1], 'rb').read())\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(EXAMPLES / "hello.elf")],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "elftools" not in done.stdout.split()


def test_the_host_provider_is_imported_where_it_can_be_used() -> None:
    program = "import sys; from guestdbg.kvm import host; host.unusable(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert "guestdbg.kvm.host.kvm" not in done.stdout.split()


@pytest.mark.parametrize("command", sorted(Commands.modules))
def test_help_fits_a_terminal_of_eighty_columns(command: str) -> None:
    lines = guestdbg(command, "--help").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
