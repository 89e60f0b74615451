"""Debian's Python of the lab's version, for the host: it compiles the lab's sources.

Its files are only unpacked into the cache, and the dynamic loader among them starts it. So it
needs nothing of the host but Linux and a processor for which Debian has packages.
"""

import platform
import re
import sys
import tempfile
from pathlib import Path, PurePosixPath

from guestdbg.lab import cache
from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import packages
from guestdbg.lab.image import bytecode
from guestdbg.lab.image.deb import read_deb

#: Debian's names of architectures, by the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NAMES = re.compile(r"(usr/)?(bin|lib\d*)/")
_LOADER = re.compile(r"ld-linux-[a-z0-9-]+\.so\.\d+")


def command(root: Path, suite: str, python: str) -> list[str]:
    """How to start a Python ``python`` ("3.14") here, from the cache ``root``.

    It is downloaded if necessary. Empty if that is not possible: the lab works without it, but its
    commands start slowly. The caller holds the cache's lock.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if sys.platform != "linux" or architecture is None:
        return []

    def build(to: Path) -> None:
        with tempfile.TemporaryDirectory(prefix="guestdbg-debs-") as debs:
            packages.fetch_python(suite, python, architecture, Path(debs))
            for path in sorted(Path(debs).glob("*.deb")):
                unpack(path, to)

    try:
        directory = cache.entry(root, f"python-{suite}-{python}-{architecture}", build)
        found = _command(directory, python)
        bytecode.run(found, "import sys, marshal, importlib.util")
    except LabError:
        return []
    return found


def _command(directory: Path, python: str) -> list[str]:
    program = directory / "usr" / "bin" / f"python{python}"
    return [*loader_command(directory), str(program), "-ISB"]


def loader_command(directory: Path) -> list[str]:
    """The dynamic loader among the unpacked files, which finds its libraries there too."""
    files = [path for path in sorted(directory.rglob("ld-linux-*")) if path.is_file()]
    loader = next((path for path in files if _LOADER.fullmatch(path.name)), None)
    if loader is None:
        raise LabError(f"{directory} holds no dynamic loader")
    libraries = ":".join(str(path) for path in sorted(directory.glob("usr/lib/*-linux-gnu")))
    return [str(loader), "--library-path", libraries]


def unpack(deb: Path, to: Path, names: re.Pattern[str] = _NAMES) -> None:
    """Writes the programs and libraries of a package. /bin and /lib become those of /usr.

    ``names`` matches the beginning of the names that are written.
    """
    for info, data in read_deb(deb):
        name = info.name
        if not names.match(name) or ".." in PurePosixPath(name).parts:
            continue
        path = to / (name if name.startswith("usr/") else f"usr/{name}")
        if info.isreg():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o755 if info.mode & 0o111 else 0o644)
        elif info.issym() and "/" not in info.linkname:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(info.linkname)
