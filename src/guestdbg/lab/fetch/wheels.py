"""What guestdbg needs from PyPI in the lab: pure Python wheels, and wheels for arm64 Linux."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from guestdbg.lab.errors import LabError

_REQUIREMENTS = (
    "bincopy>=20",
    "capstone>=5.0",
    "click>=8.1",
    "cloudpickle>=3",
    "demangle>=0.6",
    "fdt>=0.3.3",
    "lz4>=4",
    "pyelftools>=0.31",
    "rich>=13",
)

# Python 3.14 has this module in its own library (compression.zstd).
_BEFORE_3_14 = ("backports-zstd>=1",)

_PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64")
_SECONDS = 600


def requirements(python: str) -> list[str]:
    """As in pyproject.toml (a test compares them) for CPython ``python`` ("3.11").

    drgn is left out: it has no wheels for arm64. The environment markers of pyproject.toml are
    evaluated here, because pip would evaluate them for the Python that it runs in.
    """
    is_old = int(python.partition(".")[2]) < 14
    return [*(_BEFORE_3_14 if is_old else ()), *_REQUIREMENTS]


def fetch(python: str, directory: Path) -> None:
    """Puts the wheels for CPython ``python`` ("3.11") into ``directory``.

    Raises LabError with pip's own message if that fails or if this Python has no pip.
    """
    command = [
        *(sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"),
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *(word for platform in _PLATFORMS for word in ("--platform", platform)),
        *("--dest", str(directory)),
        *requirements(python),
    ]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"pip download took more than {_SECONDS} seconds") from error
    if done.returncode:
        raise LabError(
            f"pip could not download what guestdbg needs in the lab "
            f"(is there a network?):\n{done.stderr.strip()[-1500:]}"
        )


def read_wheel(path: Path) -> Iterator[tuple[str, bytes, int]]:
    """(path in site-packages, contents, mode) of each file of a wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    executable = (info.external_attr >> 16) & 0o111
                    yield info.filename, archive.read(info), 0o755 if executable else 0o644
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise LabError(f"{path.name} cannot be read: {error}") from error
