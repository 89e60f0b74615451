"""Which local files a command names, and where results may be written."""

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from guestdbg.lab.errors import LabError

#: The lab has its own, for another processor: a command that names one means the lab's.
_SYSTEM = (
    *("/bin/", "/sbin/", "/lib/", "/etc/", "/dev/", "/proc/", "/sys/", "/run/", "/lab/"),
    *("/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/lib/python3", "/usr/lib/aarch64"),
)


def _candidates(word: str) -> Iterator[str]:
    """What in a word may be a path: all of it, or what follows or precedes = : @ and ,."""
    yield word
    for mark in "=:@,":
        before, found, after = word.rpartition(mark)
        if found:
            yield before
            yield after
        before, found, after = word.partition(mark)
        if found:
            yield before
            yield after


def named_files(words: Sequence[str], cwd: Path) -> list[str]:
    """The regular files that words of a command name, each once, as they name them.

    Directories are not taken (a command that says "." does not mean all of it), nor are files
    that the lab has itself, such as /bin/sh.
    """
    found: dict[str, str] = {}
    for word in words:
        for candidate in _candidates(word):
            if not candidate or "\0" in candidate:
                continue
            path = os.path.normpath(cwd / candidate)
            if path not in found and not path.startswith(_SYSTEM) and _is_file(path):
                found[path] = candidate
    return list(found.values())


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except (OSError, ValueError):
        return False


def write_results(files: dict[str, bytes], patterns: Sequence[str], cwd: Path) -> list[str]:
    """Writes results under the names they were asked for by, relative to ``cwd``.

    Gives the patterns that nothing came for. Raises LabError for a name that no pattern covers:
    whatever runs in the lab does not choose where to write here.
    """
    for name, data in files.items():
        if not any(_asked_for(name, pattern) for pattern in patterns):
            raise LabError(f"the lab sent a file that was not asked for: {name!r}")
        path = cwd / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise LabError(f"{path} cannot be written: {error.strerror}") from error
    return [p for p in patterns if not any(fnmatch.fnmatchcase(name, p) for name in files)]


def _asked_for(name: str, pattern: str) -> bool:
    """Whether a pattern names a file there: it alone may lead out of the directory."""
    if not fnmatch.fnmatchcase(name, pattern):
        return False
    parts, asked = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    # A "*" of fnmatch takes a leading "/" as well.
    return (".." not in parts or ".." in asked) and os.path.isabs(name) == os.path.isabs(pattern)
