"""The lab as the measurements use it: one boot for all of them."""

import atexit
import functools
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from bench.measurement import Unavailable
from guestdbg.lab import Lab, LabError

BENCH = Path(__file__).parents[1]
COMPILER = "aarch64-linux-gnu-gcc"


@functools.cache
def _lab() -> Lab:
    """It runs until the process ends, or ``close()``."""
    lab = Lab()
    try:
        lab.boot()
    except LabError as error:
        raise Unavailable(f"needs the lab: {error}") from error
    atexit.register(lab.close)
    return lab


def close() -> None:
    """End the lab's machine, if it runs."""
    if _lab.cache_info().currsize:
        _lab().close()
        _lab.cache_clear()


def exits_program(directory: Path) -> Path:
    """``exits.c`` for arm64, in need of nothing."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise Unavailable(f"needs {COMPILER} (Debian: gcc-aarch64-linux-gnu)")
    program = directory / "exits"
    source = Path(__file__).with_name("exits.c")
    subprocess.run([compiler, "-O2", "-static", "-o", program, source], check=True)
    return program


def inside(*words: str) -> Any:
    """What ``bench.host.inside`` measures in the lab; the C program is there as ``./exits``."""
    files: dict[str, bytes | Path] = {
        path.relative_to(BENCH.parent).as_posix(): path for path in BENCH.rglob("*.py")
    }
    argv = ["python3", "-m", "bench.host.inside", *words]
    with tempfile.TemporaryDirectory() as directory:
        files["exits"] = exits_program(Path(directory))
        result = _lab().run(argv, files=files, timeout=300)
    if result.status:
        raise RuntimeError(f"in the lab: {result.stderr.decode(errors='replace')[-1000:]}")
    return json.loads(result.stdout)
