"""The labs that the measurements use: one for most, and one that also has QEMU and GDB."""

import atexit
import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.host.rivals import layer
from bench.measurement import Unavailable
from guestdbg.lab import Lab, LabError

BENCH = Path(__file__).parents[1]
_running: list[Lab] = []
COMPILER = "aarch64-linux-gnu-gcc"


@functools.cache
def _lab(rivals: bool) -> Lab:
    """A lab that runs until the process ends, or ``close()``. ``rivals``: with QEMU and GDB."""
    lab = Lab(memory=2048, layers=[layer()]) if rivals else Lab()
    try:
        lab.boot()
    except LabError as error:
        raise Unavailable(f"needs the lab: {error}") from error
    _running.append(lab)
    return lab


def close() -> None:
    """Stop the labs that run."""
    _lab.cache_clear()
    while _running:
        _running.pop().close()


atexit.register(close)


def exits_program(directory: Path) -> Path:
    """``exits.c`` compiled for arm64, statically linked."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise Unavailable(f"needs {COMPILER} (Debian: gcc-aarch64-linux-gnu)")
    program = directory / "exits"
    source = Path(__file__).with_name("exits.c")
    subprocess.run([compiler, "-O2", "-static", "-o", program, source], check=True)
    return program


def measure(*words: str, rivals: bool = False) -> Any:
    """Run ``bench.host.in_lab`` with these arguments in the lab; returns its JSON.

    The C program is in the lab as ``./exits``. ``rivals``: in the lab that has QEMU and GDB.
    """
    files: dict[str, bytes | Path] = {
        path.relative_to(BENCH.parent).as_posix(): path for path in BENCH.rglob("*.py")
    }
    argv = ["python3", "-m", "bench.host.in_lab", *words]
    with tempfile.TemporaryDirectory() as directory:
        files["exits"] = exits_program(Path(directory))
        result = _lab(rivals).run(argv, files=files, timeout=300)
    if result.status:
        raise RuntimeError(f"in the lab: {result.stderr.decode(errors='replace')[-1000:]}")
    return json.loads(result.stdout)
