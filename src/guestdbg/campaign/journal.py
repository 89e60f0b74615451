"""A file of lines that are whole or not there, also on a full disk and after kill -9.

Room for what is still to come is reserved in the file system: what was computed can be written
even when there is no more. The reserved bytes are zeros after the last line.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from guestdbg.closing import Closing

__all__ = ["Journal", "read_lines"]


class Journal(Closing):
    """A file of lines of JSON that grows.

    Args:
        path: the file; what is in it stays, but for a last line that is not whole.
        reserve: bytes to be reserved for what is still to come.

    Attributes:
        full: why no more could be reserved; None: it could. Then nothing more is to be begun.

    Raises:
        OSError: the file cannot be written, or the disk is full already.
    """

    def __init__(self, path: Path, reserve: int) -> None:
        self._path = path
        self._reserve = reserve
        self.full: OSError | None = None
        end = _whole(path)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.ftruncate(self._descriptor, end)
        self._end = end
        try:
            self._ensure(reserve)
        except OSError:
            self.close()
            raise

    def append(self, value: Any) -> None:
        """Add a line. Raises OSError if it has no room at all, after which it is not there."""
        line = json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        try:
            self._write(line)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise
        self._end += len(line)
        try:
            self._ensure(self._reserve)
        except OSError as error:
            self.full = error

    def _write(self, line: bytes) -> None:
        done = 0
        while done < len(line):
            done += os.pwrite(self._descriptor, line[done:], self._end + done)

    def _ensure(self, size: int) -> None:
        """Have the file system keep room for so many bytes."""
        if os.fstat(self._descriptor).st_size >= self._end + size // 2:
            return
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._descriptor, self._end, size)

    def clear(self) -> None:
        """Remove all lines; the room stays reserved."""
        # The first byte says that there is no line: then it does not matter when the rest goes.
        os.pwrite(self._descriptor, b"\0", 0)
        os.pwrite(self._descriptor, bytes(self._end), 0)
        self._end = 0

    def close(self) -> None:
        """Give back what was reserved. Closing twice does nothing."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            os.close(self._descriptor)
            self._descriptor = -1


def read_lines(path: Path) -> Iterator[Any]:
    """The values of the lines that are whole; none if there is no such file.

    Raises:
        OSError: it cannot be read.
    """
    for line in _lines(path):
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _lines(path: Path) -> Iterator[bytes]:
    with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
        for line in file:
            # Zeros are reserved room; a line without an end was being written.
            if line[:1] == b"\0" or line[-1:] != b"\n":
                return
            yield line


def _whole(path: Path) -> int:
    """How many bytes of whole lines it has."""
    return sum(map(len, _lines(path)))
