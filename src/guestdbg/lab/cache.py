"""Where the lab keeps what it downloaded and built, and how two processes share it.

A directory of the cache is either complete or absent: it is filled under a temporary name and then
renamed. A manifest in it holds the SHA-256 of each file, which is checked before every use. The
process that builds holds a lock; others wait for the lock and then find the directory complete.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from guestdbg.lab.errors import LabError

#: The environment variable that moves the cache.
VARIABLE = "GUESTDBG_CACHE"
#: An entry that was not used for so many seconds may be removed.
_KEPT = 7 * 24 * 3600
_MANIFEST = "manifest.json"


def default_root() -> Path:
    """``$GUESTDBG_CACHE/lab``; in a checkout ``.cache/lab``; else the user's cache directory."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).absolute() / "lab"
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "src" / "guestdbg").is_dir():
        return checkout / ".cache" / "lab"
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "guestdbg" / "lab"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(root: Path) -> Iterator[None]:
    """Holds the cache's lock; other processes wait for it.

    Raises LabError if the cache cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = (root / "lock").open("a")
    except OSError as error:
        raise LabError(
            f"the lab's cache {root} cannot be written ({error.strerror}); "
            f"set {VARIABLE} to a directory that can be written"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_complete(directory: Path) -> bool:
    """Whether every file that the manifest names exists with unchanged contents."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text())
        return bool(manifest) and all(
            digest(directory / name) == expected for name, expected in manifest.items()
        )
    except (OSError, ValueError, AttributeError):
        return False


def seal(directory: Path) -> None:
    """Writes the manifest of the files that are in ``directory`` now."""
    files = sorted(p for p in directory.rglob("*") if p.is_file() and p.name != _MANIFEST)
    manifest = {p.relative_to(directory).as_posix(): digest(p) for p in files}
    (directory / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def entry(root: Path, name: str, build: Callable[[Path], None]) -> Path:
    """The complete directory ``name`` of the cache, built by ``build(directory)`` if necessary.

    A damaged one is removed and built again. The caller holds the lock.
    """
    final = root / name
    if is_complete(final):
        os.utime(final)
        return final
    _prune(root)
    root.mkdir(parents=True, exist_ok=True)
    for stale in root.glob(f"{name}.part-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{name}.part-", dir=root))
    try:
        build(partial)
        seal(partial)
        partial.chmod(0o755)
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except OSError as error:
        raise LabError(f"the lab's cache {root}: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return final


def _prune(root: Path) -> None:
    """Removes entries that were not used for a week: each change of the sources adds an entry."""
    for directory in root.glob("*/"):
        with contextlib.suppress(OSError):
            if time.time() - directory.stat().st_mtime > _KEPT:
                shutil.rmtree(directory, ignore_errors=True)
