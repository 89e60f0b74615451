"""The environments of workers: the processor as it is installed, or one that is built with
sanitizers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "SANITIZED", "CannotBuild", "NoSanitizers", "plain", "sanitized"]

ROOT = Path(__file__).parents[1]
SANITIZED = ROOT / "build" / "sanitizer"


class CannotBuild(Exception):
    """The processor cannot be built with sanitizers here; the message gives the reason."""


class NoSanitizers(CannotBuild):
    """The compiler has none."""


def _path(*first: Path) -> str:
    return os.pathsep.join(str(each) for each in (*first, ROOT / "tools", ROOT))


def plain() -> dict[str, str]:
    """Workers that use the processor as it is installed."""
    return {"PYTHONPATH": _path(*([ROOT / "src"] if (ROOT / "src").is_dir() else []))}


def sanitized() -> dict[str, str]:
    """Workers that use one with the address and undefined-behaviour sanitizers.

    It is built if something has changed. Raises CannotBuild.
    """
    library = _runtime("libasan.so")
    environment = os.environ | {
        "GUESTDBG_SANITIZE": "address,undefined",
        "GUESTDBG_REQUIRE_CPU": "1",
    }
    result = subprocess.run(
        [sys.executable, "setup.py", "-q", "build", f"-j{os.cpu_count() or 1}"]
        + ["--build-base", f"{SANITIZED}.tmp", "--build-lib", str(SANITIZED)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        raise CannotBuild(result.stdout[-3000:])
    return {
        "LD_PRELOAD": str(library),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        # so that the sanitizer knows every object
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": _path(SANITIZED),
    }


def _runtime(name: str) -> Path:
    """The path of a sanitizer's shared library, from the compiler; it must be loaded first."""
    compiler = os.environ.get("CC", "gcc").split()[0]
    try:
        answer = subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        raise NoSanitizers(f"{compiler} does not run: {error}") from error
    if not os.path.isabs(answer):
        raise NoSanitizers(f"{compiler} has no {name} (Debian: part of libgcc-12-dev)")
    return Path(answer)
