"""A file that grows, and can be opened at any time."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import BinaryIO

from guestdbg.closing import Closing

__all__ = ["StreamedFile"]


class StreamedFile(Closing):
    """Adds pieces to a file: each is in it as a whole, or not at all.

    Args:
        file: the file, unbuffered; it is closed with this. What cannot be written at a place of
            its own (a pipe, a terminal) gets the tail once, at the end.
        tail: what the file ends with, however long it is.

    Attributes:
        written: bytes that it was given.
    """

    def __init__(self, file: BinaryIO, tail: bytes = b"") -> None:
        self._file = file
        self._tail = tail
        self._regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        self._end = os.fstat(file.fileno()).st_size if self._regular else 0
        self.written = 0

    def add(self, piece: bytes) -> None:
        """Write a piece. Raises OSError; the file then ends with the piece before."""
        if not self._regular:
            self._write_all(piece)
        else:
            # Over the tail of the piece before; its own comes with it.
            self._put(piece + self._tail)
            self._end += len(piece)
        self.written += len(piece)

    def _put(self, data: bytes) -> None:
        fd = self._file.fileno()
        place, left = self._end, memoryview(data)
        try:
            while left:
                count = os.pwrite(fd, left, place)
                place, left = place + count, left[count:]
        except OSError:
            self._restore(fd)
            raise

    def _restore(self, fd: int) -> None:
        """The end as it was: there is room for that, since the blocks are the file's already."""
        with contextlib.suppress(OSError):
            os.ftruncate(fd, self._end)
            if self._tail and self._end:
                os.pwrite(fd, self._tail, self._end)

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._file.fileno(), left) :]

    def close(self) -> None:
        """Complete the file. Raises OSError. Twice is once."""
        if self._file.closed:
            return
        try:
            if self._tail and not self._regular and self.written:
                self._write_all(self._tail)
        finally:
            self._file.close()
