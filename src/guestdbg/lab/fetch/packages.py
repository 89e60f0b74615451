"""Which Debian packages the lab is made of, and how to download them."""

from __future__ import annotations

import re
import tempfile
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.lab.errors import LabError
from guestdbg.lab.fetch import apt
from guestdbg.lab.fetch.debian_archive import Archive

if TYPE_CHECKING:
    from guestdbg.lab.fetch.debian_archive import Package

#: The release whose kernel and Python the lab runs.
SUITE = "bookworm"
KERNEL = "linux-image-cloud-arm64"
PYTHON = "python3-minimal"
_KERNEL_PART = r"linux-(base|binary|modules)-.*-arm64"

#: Beside Python itself: what the compiled modules of its library link to, and a shell.
_LIBRARIES = (
    *("libc6", "zlib1g", "libexpat1", "libffi8", "libgcc-s1", "libbz2-1.0", "liblzma5"),
    "busybox-static",
)
#: What the program itself links to.
_MINIMAL_LIBRARIES = ("libc6", "zlib1g", "libexpat1")
# Since Python 3.14 (compression.zstd).
_ZSTD = "libzstd1"


def package_names(depends: Callable[[str], list[str]]) -> list[str]:
    """The names of the packages. ``depends`` says which kernel and Python are current."""

    def dependency(package: str, pattern: str) -> str:
        found = depends(package)
        name = next((name for name in found if re.fullmatch(pattern, name)), None)
        if name is None:
            raise LabError(
                f"Debian's {package} has no dependency that matches {pattern}; it depends on: "
                f"{', '.join(found) or 'nothing; are there package lists for arm64?'}"
            )
        return name

    kernel = dependency(KERNEL, r"linux-image-.*-arm64")
    # Since Debian 14 the package of the image is empty: the packages that it depends on contain
    # the kernel's file, its modules, and the list of built-in modules.
    parts = [name for name in depends(kernel) if re.fullmatch(_KERNEL_PART, name)]
    python = dependency(PYTHON, r"python3\.\d+-minimal").removesuffix("-minimal")
    return [
        kernel,
        *parts,
        f"{python}-minimal",
        f"lib{python}-minimal",
        f"lib{python}-stdlib",
        *_LIBRARIES,
        *([_ZSTD] if int(python.rpartition(".")[2]) >= 14 else []),
    ]


def fetch(suite: str, directory: Path) -> None:
    """Puts the packages' files into ``directory``: by apt if this machine has it, else over HTTPS.

    Raises LabError if they cannot be downloaded.
    """
    download(suite, "arm64", package_names, directory)


def fetch_python(suite: str, python: str, architecture: str, directory: Path) -> None:
    """Puts the packages of a Python ("3.14") that can compile, and no more, into ``directory``.

    ``architecture`` is Debian's name of the processor's. Raises LabError if they cannot be
    downloaded.
    """
    names = [f"python{python}-minimal", f"libpython{python}-minimal", *_MINIMAL_LIBRARIES]
    download(suite, architecture, lambda _: names, directory)


def download(
    suite: str,
    architecture: str,
    names: Callable[[Callable[[str], list[str]]], list[str]],
    directory: Path,
) -> None:
    """Puts the packages' files into ``directory``: by apt if this machine has it, else over HTTPS.

    ``names`` gets a function from a package to those that it depends on, and returns what to
    download. Raises LabError if they cannot be downloaded.
    """
    if not apt.available():
        archive = Archive(suite, architecture=architecture)
        archive.download(names(archive.depends), directory)
        return
    with tempfile.TemporaryDirectory(prefix="guestdbg-apt-") as state:
        debian = apt.Apt(suite, Path(state), architecture)
        debian.update()
        debian.download(names(debian.depends), directory)


def find(suite: str, architecture: str, name: str, version: str | None) -> Package:
    """Where a package is, by Debian's lists: its URL, size and hash.

    ``version``: this one; None: the newest. Raises LabError if the lists do not have it.
    """
    if not apt.available():
        package = Archive(suite, architecture=architecture).find(name)
    else:
        with tempfile.TemporaryDirectory(prefix="guestdbg-apt-") as state:
            debian = apt.Apt(suite, Path(state), architecture)
            debian.update()
            package = debian.find(name, version)
    if version is not None and f"_{version}_" not in urllib.parse.unquote(package.url):
        raise LabError(
            f"Debian's lists have {package.url}, but not {name} {version}: remove the cache's "
            f"debs-{suite} to download the newer kernel too"
        )
    return package
