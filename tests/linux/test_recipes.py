"""The recipes of docs/linux-recipes.md, run as the page has them, one after the other.

What they print has to answer the question, whichever release is Debian's newest: the patterns
below say what that takes. Of the release that the page shows it is compared with the page by its
words, too; numbers and addresses may differ, and the vCPU on which it happened.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import guestdbg
from guestdbg.lab import LabError
from guestdbg.lab.guests.linux import linux_guest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGE = (Path(__file__).parents[2] / "docs" / "linux-recipes.md").read_text()
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\b(0x[0-9a-f]+|\d+)\b")

BOOT, *SECTIONS = PAGE.split("\n## ")[1:]
RECIPES = {section.partition("\n")[0]: _BLOCK.findall(section) for section in SECTIONS}


#: The guest has two vCPUs, and the first is not shown.
_WHERE = r"(  vcpu 1)?  task"
_SYSCALL = r"cat \(\d+\): {}\((0x[0-9a-f]+, ){{3}}0x[0-9a-f]+\) "
_FUNCTION = r" +\d+ {}"

#: Lines that each answer has, in this order, with others between them.
PATTERNS = {
    "Who changes this sysctl?": [
        r"#1 write vm_swappiness  60 -> 10  in \w+\+0x\w+  pc 0xffff\w+: st\w+ w\d+, \[x\d+.*\]  "
        rf"4 bytes at 0xffff\w+{_WHERE} sh \(\d+\)",
        *(
            rf" +called by {f}  0xffff\w+"
            for f in ("proc_sys_call_handler", "vfs_write", "ksys_write")
        ),
        r" +called by el0t_64_sync  0xffff\w+",
        r"-- stopped after 1 hit \(--count\).*",
    ],
    "The system calls of one process, with arguments and results": [
        _SYSCALL.format("brk") + "= 0x[0-9a-f]+",
        _SYSCALL.format("openat") + "= 0x3",
        _SYSCALL.format("close") + "= 0x0",
        _SYSCALL.format("exit_group") + "did not return",
    ],
    "Why did this task sleep?": [
        rf"#1 break schedule  in schedule  pc 0xffff\w+: \w+ .*{_WHERE} sleep \(\d+\)",
        *(rf" +called by {f}  0xffff\w+" for f in ("do_nanosleep", "__arm64_sys_clock_nanosleep")),
        r" +called by el0t_64_sync  0xffff\w+",
        r"-- stopped after 1 hit \(--count\).*",
    ],
    "Which code ran in this interrupt?": [
        r"\S+ \(\d+\), hardirq in generic_handle_domain_irq",
        _FUNCTION.format("generic_handle_domain_irq"),
        _FUNCTION.format("handle_percpu_devid_irq"),
        _FUNCTION.format("arch_timer_handler_virt"),
        _FUNCTION.format("hrtimer_interrupt"),
        _FUNCTION.format(r"gic_\w*eoi\w*"),
    ],
    "Who takes this spinlock longest?": [
        r"[1-9]\d* times",
        *[r" +[1-9]\d* instructions  \w+ +(sh|ls) \(\d+\)"] * 3,
    ],
    "What writes over a page-table entry?": [
        r"the entry of the stack's page at 0xffff\w+ is 0x[0-9a-f]*[13579bdf]",  # it is valid
        r"cat \(\d+\): 0x[0-9a-f]+ -> 0x0 in \w+( < \w+)* < exit_mmap( < \w+)*",
    ],
    "The first write to a freed slab object": [
        r"ls \(\d+\) frees 0xffff\w+ in put_files_struct",
        r"\w+ \(\d+\) writes to it next:",
        *(rf"#{n} 0xffff\w+ in \w+(\.\w+)*\+0x\w+" for n in range(4)),
    ],
}


class Booted(NamedTuple):
    """Where the page's first program has saved the guest, and whether the page shows its kernel.

    Debian's newest kernel is another one from time to time: its functions may have other names.
    """

    folder: Path
    is_shown: bool


@pytest.fixture(scope="module")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Booted:
    """The guest of the recipes."""
    pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")
    try:
        linux_guest("sid")
    except LabError as error:
        pytest.skip(f"no Linux guest: {error}")
    path = tmp_path_factory.mktemp("recipes")
    ((_, program),) = _BLOCK.findall(BOOT)
    printed_by_program(path, program)
    with guestdbg.load(path / "booted", console=None) as guest:
        release = guest.linux.release.partition("+")[0]
    return Booted(path, f"({release})" in PAGE)


def printed_by_command(folder: Path, arguments: list[str]) -> str:
    """The hits and the summary of ``guestdbg``, run in the folder."""
    done = subprocess.run(
        [sys.executable, "-m", "guestdbg", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def printed_by_program(folder: Path, program: str) -> str:
    """What a program prints, run in the folder."""
    output = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        exec(compile(program, "recipe", "exec"), {})
    return output.getvalue()


def lines_of(text: str) -> list[str]:
    lines = [_NUMBER.sub("N", " ".join(line.split())) for line in text.splitlines()]
    return [line.replace(" vcpu N", "") for line in lines if line]


def assert_has(lines: list[str], expected: list[str]) -> None:
    """The lines begin with those expected, in their order; ``...`` is any lines."""
    at, skip = 0, False
    for line in expected:
        if line == "...":
            skip = True
            continue
        found = [n for n in range(at, len(lines)) if lines[n].startswith(line)]
        assert found, (line, lines[at:])
        assert skip or found[0] == at, (line, lines[at])
        at, skip = found[0] + 1, False
    assert skip or at == len(lines) or expected[-1].startswith("--"), lines[at:]


def assert_answers(title: str, text: str) -> None:
    """The lines of an answer have all that its patterns say."""
    lines = iter(text.splitlines())
    for pattern in PATTERNS[title]:
        assert any(re.fullmatch(pattern, line.rstrip()) for line in lines), (pattern, text)


def test_there_are_seven() -> None:
    assert len(RECIPES) == 7
    assert list(PATTERNS) == list(RECIPES)


@pytest.mark.parametrize("title", list(RECIPES))
def test_the_page_has_answers(title: str) -> None:
    (kind, text), *follows = RECIPES[title]
    assert_answers(title, follows[0][1] if kind == "python" else text)


@pytest.mark.parametrize("title", list(RECIPES))
def test_recipe(title: str, booted: Booted) -> None:
    (kind, text), *follows = RECIPES[title]
    if kind == "python":
        assert len(text.splitlines()) <= 25
        output = printed_by_program(booted.folder, text)
        ((_, expected),) = follows
    else:
        line, _, expected = text.removeprefix("$ guestdbg ").partition("\n")
        output = printed_by_command(booted.folder, shlex.split(line))
    assert_answers(title, output)
    if booted.is_shown:
        assert_has(lines_of(output), lines_of(expected))
