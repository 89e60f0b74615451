"""Which local files a command line names, and where results may be written."""

import fnmatch
import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from guestdbg.lab.errors import LabError

#: The lab has its own files there, for another processor: a command that names one means the lab's.
_SYSTEM = (
    *("/bin/", "/sbin/", "/lib/", "/etc/", "/dev/", "/proc/", "/sys/", "/run/", "/lab/"),
    *("/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/lib/python3", "/usr/lib/aarch64"),
)


def _candidates(word: str) -> Iterator[str]:
    """The parts of a word that may be paths: all of it, and what is before or after = : @ or ,.

    The value of an option (--drive=disk.img,overlay) is a word of its own.
    """
    yield word
    if word.startswith("--") and "=" in word:
        yield from _candidates(word.partition("=")[2])
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
    """The regular files that the words of a command name, each once, by the name used there.

    Directories are left out (a command with "." does not mean all files in it), and so are files
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


class Written(NamedTuple):
    """What became of the results.

    Attributes:
        missing: the patterns that no file matches.
        renamed: files that were there already, and the names under which the results are.
    """

    missing: list[str]
    renamed: dict[str, str]


def in_the_way(patterns: Sequence[str], cwd: Path) -> list[str]:
    """The files that results of these names or patterns would replace."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if os.path.lexists(cwd / pattern):
            found[pattern] = None
        matches = glob.glob(pattern, root_dir=cwd, recursive=True)
        found |= dict.fromkeys(name for name in matches if os.path.isfile(cwd / name))
    return sorted(found)


def write_results(
    files: dict[str, bytes], patterns: Sequence[str], cwd: Path, *, overwrite: bool = False
) -> Written:
    """Writes result files under their names, relative to ``cwd``.

    A file that exists is not replaced, unless ``overwrite`` is set: the result gets another name.

    Raises LabError for a name that no pattern matches: a program in the lab must not choose where
    to write on the host.
    """
    renamed: dict[str, str] = {}
    for name, data in files.items():
        if not any(_matches(name, pattern) for pattern in patterns):
            raise LabError(f"the lab sent a file that was not requested: {name!r}")
        path = cwd / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not overwrite and os.path.lexists(path):
                path = _free(path)
                renamed[name] = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
            path.write_bytes(data)
        except OSError as error:
            raise LabError(f"{path} cannot be written: {error.strerror}") from error
    missing = [p for p in patterns if not any(fnmatch.fnmatchcase(name, p) for name in files)]
    return Written(missing, renamed)


def _free(path: Path) -> Path:
    """A name beside ``path`` that no file has: ``name.1``, ``name.2``, ..."""
    return next(
        found
        for number in itertools.count(1)
        if not os.path.lexists(found := path.with_name(f"{path.name}.{number}"))
    )


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern permits a name. Only a pattern may lead out of the directory (".." or an
    absolute path), so a name may do so only if its pattern does."""
    if not fnmatch.fnmatchcase(name, pattern):
        return False
    parts, pattern_parts = PurePosixPath(name).parts, PurePosixPath(pattern).parts
    # A "*" of fnmatch also matches a leading "/".
    if os.path.isabs(name) != os.path.isabs(pattern):
        return False
    return ".." not in parts or ".." in pattern_parts
