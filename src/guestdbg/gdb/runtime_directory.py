"""Where `--listen unix:` without a path puts its socket: a directory that only the user can enter.

$XDG_RUNTIME_DIR (XDG Base Directory Specification), or else a directory in the system's directory
for temporary files. There, another user could have made a directory of that name before: owner and
mode are checked.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile

from guestdbg.gdb.errors import ServerError

__all__ = ["socket_path"]

_numbers = itertools.count(1)


def socket_path() -> str:
    """A path for a new socket, which no other server has. Raises ServerError."""
    directory = _directory()
    number = next(_numbers)
    suffix = "" if number == 1 else f"-{number}"
    return os.path.join(directory, f"guestdbg-{os.getpid()}{suffix}.gdb")


def _directory() -> str:
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and _problem(runtime) is None:
        return runtime
    path = os.path.join(tempfile.gettempdir(), f"guestdbg-{os.getuid()}")
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        problem = _problem(path)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem is not None:
        raise ServerError(
            f"no directory for the socket: {path}: {problem}; set XDG_RUNTIME_DIR to a directory "
            "that is yours alone (mode 0700), or give a path: unix:PATH"
        )
    return path


def _problem(path: str) -> str | None:
    """Why others could get at what is in the directory; None if they cannot."""
    try:
        status = os.lstat(path)
    except OSError as error:
        return error.strerror or str(error)
    if not stat.S_ISDIR(status.st_mode):
        return "it is not a directory"
    if status.st_uid != os.getuid():
        return "it belongs to another user"
    if status.st_mode & 0o077:
        return f"other users have access to it (mode {stat.S_IMODE(status.st_mode):04o})"
    return None
