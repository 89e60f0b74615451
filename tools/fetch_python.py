"""Prints the path of a Python VERSION of Debian that runs here without being installed.

    python tools/fetch_python.py 3.14

Its packages are only unpacked, into the lab's cache: neither root nor a Debian of that release is
needed, on amd64 and arm64. The interpreter is started by its own dynamic loader with its own
libraries, so the C library of this machine may be older than it needs. It has the headers to
compile extensions; the C compiler is that of this machine.

Exit status 2: Debian has no such version, or it cannot run here.
"""

import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.image.host_python import ARCHITECTURES, loader_command, unpack

#: Debian's release of each version. Sid has the others, as long as they are the newest.
SUITES = {"3.11": "bookworm", "3.13": "trixie"}

_NAMES = re.compile(r"(usr/)?(bin|lib\d*|include)/(?!.*/config-\d)")


def package_names(python: str, depends: Callable[[str], list[str]]) -> list[str]:
    """The interpreter, its library and headers, and every library that these load."""
    names = [f"python{python}-minimal", f"libpython{python}-minimal", f"libpython{python}-stdlib"]
    for name in names:
        found = (other for other in depends(name) if re.match(r"lib|zlib1g$", other))
        names += [other for other in found if other not in names]
    return [*names, f"libpython{python}-dev"]


def fetch(
    python: str, root: Path, architecture: str | None = None, emulator: Sequence[str] = ()
) -> Path:
    """The interpreter, from the cache ``root``; downloaded if it is not there.

    ``architecture``: Debian's name of another one than this machine's, whose programs ``emulator``
    runs: a command that they are appended to. Raises LabError if that is not possible.
    """
    architecture = architecture or ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        raise LabError(f"Debian's Python does not run on {sys.platform} {platform.machine()}")
    suite = SUITES.get(python, "sid")
    name = "-".join(["whole-python", suite, python, architecture, *emulator])

    def build(to: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="guestdbg-debs-") as debs:
            packages.download(
                suite, architecture, lambda depends: package_names(python, depends), Path(debs)
            )
            for path in sorted(Path(debs).glob("*.deb")):
                unpack(path, to, _NAMES)
        # This header includes the other by a path that only a system's Python has.
        for header in to.glob(f"usr/include/*-linux-gnu/python{python}/pyconfig.h"):
            shutil.copy(header, to / "usr" / "include" / f"python{python}")
        program = to / "usr" / "bin" / f"python{python}"
        program.rename(program.with_name(f"{program.name}.elf"))
        command = [word.replace(str(to), str(root / name)) for word in loader_command(to)]
        elf = root / name / "usr" / "bin" / f"{program.name}.elf"
        program.write_text(starter([*emulator, *command], elf))
        program.chmod(0o755)

    with cache.locked(root):
        found = cache.entry(root, name, build) / "usr" / "bin" / f"python{python}"
    check = subprocess.run(
        [found, "-c", "import bz2, ctypes, lzma, sqlite3, ssl, sys, venv, zlib"],
        capture_output=True,
        text=True,
    )
    if check.returncode:
        raise LabError(f"{found} does not run here: {check.stderr.strip()}")
    return found


def starter(loader: list[str], program: Path) -> str:
    """A script that is as good as the program: as the target of a link and in ``#!`` too.

    The name that it was started by becomes ``sys.executable``, by which a virtual environment is
    found.
    """
    return f'#!/bin/sh\nexec {shlex.join(loader)} --argv0 "$0" {shlex.quote(str(program))} "$@"\n'


def main() -> int:
    if len(sys.argv) != 2 or not re.fullmatch(r"3\.\d+", sys.argv[1]):
        print("usage: fetch_python.py VERSION, for example 3.14", file=sys.stderr)
        return 2
    try:
        print(fetch(sys.argv[1], cache.default_root()))
    except LabError as error:
        print(f"fetch_python: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
