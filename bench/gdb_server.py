"""`guestdbg gdb`, started stopped, as QEMU is."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def stopped(guest: Path, *options: str) -> Iterator[Path]:
    """Start `guestdbg gdb` with an ELF file loaded and stopped; yields the path of its socket."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "gdb"
        process = subprocess.Popen(
            [sys.executable, "-m", "guestdbg", "gdb", str(guest), *options]
            + ["--listen", f"unix:{path}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            # The first line of its output says that it listens.
            line = process.stderr.readline()
            if str(path) not in line:
                raise RuntimeError(f"guestdbg gdb did not start: {line}{process.stderr.read()}")
            yield path
        finally:
            process.kill()
            process.communicate()
