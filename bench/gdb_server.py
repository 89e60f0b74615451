"""Our GDB server, started stopped as QEMU is."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def stopped(guest: Path) -> Iterator[Path]:
    """`guestdbg gdb` with an ELF loaded and not yet running; yields the path of its socket."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "gdb"
        process = subprocess.Popen(
            [sys.executable, "-m", "guestdbg", "gdb", str(guest), "--listen", f"unix:{path}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            # Its first line says that it listens.
            said = process.stderr.readline()
            if str(path) not in said:
                raise RuntimeError(f"guestdbg gdb did not start: {said}{process.stderr.read()}")
            yield path
        finally:
            process.kill()
            process.communicate()
