"""Builds the processor for aarch64, and runs Python with it, under QEMU's user emulation.

    python tools/aarch64.py --prepare
    python tools/aarch64.py -m pytest tests/cpu/test_core.py

For Linux on x86-64, with Debian's cross compiler (gcc-aarch64-linux-gnu) and qemu-user. The
interpreter is Debian's for arm64, unpacked into the lab's cache (fetch_python.py), with the
packages that the processor's tests need. The processor is built by setup.py into build/aarch64,
with its stencils; what has not changed is not compiled again. It shows whether the code is right
for such a host, not how fast it is there.

Exit status: that of the program; 2: something is missing here, which is named.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import fetch_python

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "aarch64"
LIBRARY = BUILD / "lib"
PYTHON = "3.11"
COMPILER = "aarch64-linux-gnu-gcc"
EMULATORS = ("qemu-aarch64", "qemu-aarch64-static")
#: What the processor's tests import, of the project's dependencies.
PACKAGES = ("capstone", "hypothesis", "pyelftools", "pytest", "pytest-timeout")
_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")


class Missing(Exception):
    """What is not here, and what would provide it."""


def emulator() -> str:
    """QEMU's program. Raises Missing if it, the compiler or the right host is not here."""
    if sys.platform != "linux" or platform.machine() == "aarch64":
        raise Missing("this is for Linux on another processor than aarch64")
    if shutil.which(COMPILER) is None:
        raise Missing(f"{COMPILER} is not installed (gcc-aarch64-linux-gnu)")
    for name in EMULATORS:
        if shutil.which(name):
            return name
    raise Missing(f"{EMULATORS[0]} is not installed (qemu-user)")


def interpreter() -> Path:
    """The interpreter, which can be executed like any program. Raises Missing."""
    try:
        return fetch_python.fetch(PYTHON, cache.default_root(), "arm64", [emulator()])
    except LabError as error:
        raise Missing(f"Debian's Python for arm64: {error}") from error


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {name: text for text in listed if (name := re.split(r"[^\w-]", text)[0]) in PACKAGES}
    assert len(names) == len(PACKAGES), names
    return sorted(names.values())


def packages() -> Path:
    """A directory with the packages that the tests import. Raises Missing."""
    requirements = _requirements()
    digest = hashlib.sha256("\n".join([PYTHON, *requirements]).encode()).hexdigest()[:12]

    def build(to: Path) -> None:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        command += ["install", "--no-compile", "--target", str(to), "--only-binary", ":all:"]
        command += ["--implementation", "cp", "--python-version", PYTHON]
        command += [f"--platform={name}" for name in _PLATFORMS]
        done = subprocess.run([*command, *requirements], capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"pip: {done.stderr.strip()[-1000:]}")

    try:
        root = cache.default_root()
        with cache.locked(root):
            return cache.entry(root, f"aarch64-packages-{digest}", build)
    except LabError as error:
        raise Missing(f"packages for aarch64: {error}") from error


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """One process builds; others find that there is nothing to do."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _copy_python_files(source: Path, to: Path) -> None:
    """All that is not compiled; what is not in the sources any more is removed."""
    there = {path.relative_to(source) for path in source.rglob("*.py")}
    for path in list(to.rglob("*.py")):
        if path.relative_to(to) not in there:
            path.unlink()
    for name in there:
        contents = (source / name).read_bytes()
        place = to / name
        if not place.exists() or place.read_bytes() != contents:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(contents)
    for path in list(to.rglob("*.so")):
        if not (source / path.relative_to(to)).with_name(f"{path.name.split('.')[0]}.pyx").exists():
            path.unlink()


def build(python: Path) -> Path:
    """The directory to import guestdbg from. Raises Missing if it does not compile."""
    headers = python.parents[1] / "include" / f"python{PYTHON}"
    # Nothing of the environment that chooses another build.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GUESTDBG_")}
    environment |= {
        "CC": COMPILER,
        "LDSHARED": f"{COMPILER} -shared",
        "CFLAGS": "-DNDEBUG -fwrapv -g0 -w",
        "SETUPTOOLS_EXT_SUFFIX": f".cpython-{PYTHON.replace('.', '')}-aarch64-linux-gnu.so",
        "GUESTDBG_REQUIRE_CPU": "1",
    }
    command = [sys.executable, "setup.py", "--quiet", "build_ext", f"--build-lib={LIBRARY}"]
    command += [f"--build-temp={BUILD / 'temp'}", f"--include-dirs={headers}"]
    command += [f"--parallel={os.cpu_count() or 1}"]
    with _locked():
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        (BUILD / "build.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise Missing(f"the processor does not compile: {done.stderr.strip()[-2000:]}")
        _copy_python_files(ROOT / "src", LIBRARY)
    return LIBRARY


def prepare() -> tuple[Path, dict[str, str]]:
    """The interpreter, and the environment in which it finds guestdbg. Raises Missing."""
    python = interpreter()
    found = packages()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    environment["PYTHONPATH"] = f"{build(python)}{os.pathsep}{found}"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return python, environment


def run(
    arguments: Sequence[str], variables: Mapping[str, str] | None = None, *, capture: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run the interpreter at the root of the checkout. Raises Missing."""
    python, environment = prepare()
    return subprocess.run(
        [python, *arguments],
        env=environment | dict(variables or {}),
        cwd=ROOT,
        capture_output=capture,
        text=True,
        check=False,
    )


def main() -> int:
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        if arguments == ["--prepare"]:
            prepare()
            return 0
        return run(arguments, capture=False).returncode
    except Missing as why:
        print(f"aarch64: {why}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
