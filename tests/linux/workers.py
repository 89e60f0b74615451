"""A guest with processes of our own: /worker (worker.c), which works when it gets a signal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guestdbg.debugger.program.image import Image
from guestdbg.lab.image.cpio import Cpio

from .shell import Shell, at_prompt
from .support import linux

GCC = "aarch64-linux-gnu-gcc"
NEEDS_GCC = pytest.mark.skipif(
    shutil.which(GCC) is None, reason=f"no {GCC}: tools/setup-tests installs it"
)


class Workers:
    """The guest at its prompt, with the program and its symbols."""

    def __init__(self, shell: Shell, program: Path) -> None:
        self.shell = shell
        self.guest = shell.guest
        self.program = program
        symbols = {symbol.name: symbol.address for symbol in Image(program).symbols}
        self.counter, self.work = symbols["counter"], symbols["work"]

    def start(self, writes: int = 5, program: str = "/worker") -> int:
        """Start a worker that writes so often at each signal; its pid."""
        answer = self.shell.ask(f"{program} {writes} & sleep 0.1; echo $!")
        return int(answer.split()[-1])

    def signal(self, pid: int, name: str = "USR1") -> None:
        """Send a signal, and let the worker do all of its work."""
        self.shell.ask(f"kill -{name} {pid}; sleep 0.2")


def build(directory: Path) -> tuple[Path, bytes]:
    """The program, and an archive with it as /worker, and as /pie, which is moved when it starts.

    The archive is appended to an initial RAM file system.
    """
    program = directory / "worker"
    source = Path(__file__).with_name("worker.c")
    subprocess.run([GCC, "-O1", "-g", "-static", "-o", program, source], check=True)
    pie = directory / "pie"
    subprocess.run([GCC, "-O1", "-g", "-static-pie", "-o", pie, source], check=True)
    archive = Cpio()
    archive.file("pie", pie.read_bytes(), 0o755)
    archive.file("worker", program.read_bytes(), 0o755)
    return program, archive.finish()


@contextmanager
def workers(suite: str, directory: Path, **options: object) -> Iterator[Workers]:
    """Debian's kernel of this suite, booted to its prompt."""
    program, archive = build(directory)
    initrd = linux(suite).initrd.read_bytes() + archive
    with at_prompt(suite, initrd=initrd, **options) as shell:
        yield Workers(shell, program)
