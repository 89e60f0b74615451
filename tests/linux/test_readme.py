"""The README's example for kernel people, its three lines as they are."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .support import linux

pytest.importorskip("guestdbg.cpu.processor", reason="the processor is not compiled")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

README = (Path(__file__).parents[2] / "README.md").read_text()
#: What a person would type at the shell's prompt.
TYPED = r'guest.board.console.answer(b"guest# ", b"ls / | wc -l; poweroff -f\n")'


def test_the_three_lines(tmp_path: Path) -> None:
    section = README.split("## Linux")[1].split("\n## ")[0]
    lines = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    assert len(lines) == 3
    found = linux("sid")
    (tmp_path / "vmlinuz").symlink_to(found.kernel)
    (tmp_path / "initrd.img").symlink_to(found.initrd)
    code = "\n".join(["import guestdbg", lines[0], TYPED, *lines[1:]])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    who = re.findall(r"^(\S+) (\w+)\+0x\w+\r?$", done.stdout, re.MULTILINE)
    assert len(who) > 100
    assert ("kthreadd", "kernel_thread") in who
    assert ("sh", "__do_sys_clone") in who
