"""A file that a command writes: it never takes the place of another file unasked."""

import contextlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Literal, Self, cast

from guestdbg.errors import GuestdbgError

Existing = Literal["refuse", "append", "overwrite"]

_STREAM = re.compile(r"/dev/(?:(stdout)|(stderr)|fd/([0-9]{1,6}))\Z")


class OutputFileError(GuestdbgError):
    """A file that is not to be written; the message says what to give instead."""


class OutputFile:
    """Lines that go to a file, a FIFO, a device, or a stream that is open already.

    Opening it changes nothing but to create a missing file, which is removed again if the command
    fails before ``begin``.

    Args:
        path: the file; `-` and /dev/stdout are stdout, /dev/stderr and /dev/fd/N what is open
            there.
        option: what it is called in messages, `--log`.
        existing: what to do with a regular file that exists.
        inputs: files that the command reads, and must not write.
        replace: the option that lets it replace a file, where its name does not follow from
            ``option``.

    Raises OutputFileError for a file that must not be written, OSError for one that cannot be.
    """

    def __init__(
        self,
        path: Path,
        option: str,
        existing: Existing = "refuse",
        inputs: Iterable[Path] = (),
        replace: str | None = None,
    ) -> None:
        self.name = str(path)
        self._replace = replace
        self._created = False
        self._truncate = False
        self._begun = False
        self._fd = self._open(path, option, existing, inputs)
        self._regular = stat.S_ISREG(os.fstat(self._fd).st_mode)

    def _open(self, path: Path, option: str, existing: Existing, inputs: Iterable[Path]) -> int:
        if self.name == "-":
            self.name = "standard output"
            return os.dup(1)
        if (stream := _STREAM.match(self.name)) is not None:
            return os.dup(1 if stream[1] else 2 if stream[2] else int(stream[3]))
        flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NOCTTY
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            pass
        except ValueError as error:  # a NUL character
            raise OutputFileError(f"{option} {self.name!r}: {error}") from error
        else:
            self._created = True
            return fd
        fd = os.open(path, flags | (os.O_APPEND if existing == "append" else 0))
        try:
            self._check(os.fstat(fd), option, existing, inputs)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check(
        self, found: os.stat_result, option: str, existing: Existing, inputs: Iterable[Path]
    ) -> None:
        for path in inputs:
            with contextlib.suppress(OSError, ValueError):
                if os.path.samestat(found, path.stat()):
                    raise OutputFileError(
                        f"{option} {self.name}: this is {path}, which the command reads; give the "
                        "name of a new file"
                    )
        if stat.S_ISBLK(found.st_mode):
            raise OutputFileError(f"{option} {self.name}: this is a disk; give the name of a file")
        if not stat.S_ISREG(found.st_mode):
            return
        if existing == "refuse":
            what = "give the name of a new file"
            if option == "--output":
                what = "add --overwrite to replace it"
            elif self._replace is not None:
                what = f"add {self._replace} to replace it"
            elif option == "--log":
                what = "add --log-append to write at its end, or --log-overwrite to replace it"
            raise OutputFileError(f"{option} {self.name}: the file exists; {what}")
        if os.path.samestat(found, os.fstat(1)):
            raise OutputFileError(
                f"{option} {self.name}: stdout goes there, too; write `{option} -` for stdout"
            )
        self._truncate = existing == "overwrite"

    def begin(self, room: int = 0) -> None:
        """The guest begins to run: now an overwritten file loses its contents.

        Raises OSError if there is no room for `room` bytes; the file is as it was then.
        """
        if room and self._regular:
            self._check_room(room)
        self._begun = True
        if self._truncate:
            os.ftruncate(self._fd, 0)

    def _check_room(self, room: int) -> None:
        size = os.fstat(self._fd).st_size
        try:
            os.posix_fallocate(self._fd, 0, room)
        except OSError as error:
            error.filename = self.name
            raise
        finally:
            os.ftruncate(self._fd, size)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it: what is written begins the file."""
        return not (self._regular and os.fstat(self._fd).st_size)

    def binary(self) -> BinaryIO:
        """The file for bytes, unbuffered. The caller closes it, besides this."""
        return cast(BinaryIO, os.fdopen(os.dup(self._fd), "wb", buffering=0))

    def line(self, text: str) -> None:
        """Write a line at once, so that `tail -f` and `| jq` see it.

        If there is no room for all of it (OSError), a regular file keeps only whole lines.
        """
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        left = memoryview(data)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            written = len(data) - len(left)
            if self._regular and written:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
            error.filename = self.name
            raise

    def close(self) -> None:
        """Close it; a file that was created for nothing is removed."""
        os.close(self._fd)
        if self._created and not self._begun:
            with contextlib.suppress(OSError):
                os.unlink(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
