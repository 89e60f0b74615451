"""Reading a file that a user names: whole, but only a regular file, and only up to a limit.

A device, a FIFO or a socket may never end, may block, or may do something when it is opened or
read. A file that another program is writing changes while it is read; what is read of it is no
file that ever was.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from guestdbg.errors import GuestdbgError

__all__ = ["FILE_SIZE_MAX", "UnsuitableFile", "open_regular_file", "read_regular_file"]

#: The size of the largest file that is read, in bytes.
FILE_SIZE_MAX = 4 << 30

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


class UnsuitableFile(GuestdbgError):
    """The file cannot be read, or is not one that can be read whole. The text has its name."""


def read_regular_file(path: str | os.PathLike[str], *, what: str = "file") -> bytes:
    """The contents of a regular file of at most 4 GiB. ``what`` describes it in the messages.

    Raises:
        UnsuitableFile: it does not exist or may not be read; it is a directory, a device, a FIFO or
            a socket; it is too large; it changes its size while it is read.
    """
    with open_regular_file(path, what=what) as file, _reasons(path):
        size = os.fstat(file.fileno()).st_size
        contents = file.read(size + 1)
    if len(contents) != size:
        raise UnsuitableFile(
            f"{path}: it had {size} bytes and changed its size while it was read; try "
            "again when the program that writes it has finished"
        )
    return contents


def open_regular_file(path: str | os.PathLike[str], *, what: str = "file") -> BinaryIO:
    """A regular file of at most 4 GiB, open for reading; as ``read_regular_file`` otherwise."""
    with _reasons(path):
        _check(Path(path), os.stat(path), what)
        # Should it have become a FIFO since: O_NONBLOCK opens one without waiting for a writer.
        file = os.fdopen(
            os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb"
        )
        try:
            _check(Path(path), os.fstat(file.fileno()), what)
        except BaseException:
            file.close()
            raise
        return file


@contextmanager
def _reasons(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UnsuitableFile(f"{path}: no such file") from None
    except PermissionError:
        raise UnsuitableFile(f"{path}: may not be read; check its permissions") from None
    except MemoryError:
        raise UnsuitableFile(f"{path}: cannot be read: the host has too little memory") from None
    except OSError as error:
        reason = error.strerror or errno.errorcode.get(error.errno or 0, "unknown error")
        raise UnsuitableFile(f"{path}: cannot be read: {reason}") from error
    except ValueError as error:  # a NUL byte in the name
        raise UnsuitableFile(f"{path}: cannot be read: {error}") from error


def _check(path: Path, status: os.stat_result, what: str) -> None:
    kind = _KINDS.get(stat.S_IFMT(status.st_mode))
    if kind == "a directory":
        raise UnsuitableFile(f"{path}: a directory; give the {what} itself")
    if not stat.S_ISREG(status.st_mode):
        raise UnsuitableFile(
            f"{path}: {kind or 'not a file'}, not a regular file; give the {what} itself"
        )
    if status.st_size > FILE_SIZE_MAX:
        raise UnsuitableFile(
            f"{path}: {status.st_size >> 20} MiB; a {what} has at most {FILE_SIZE_MAX >> 20} MiB "
            "(4 GiB)"
        )
