"""One file of a Debian package that is read from a stream, no further than that file.

For packages of hundreds of megabytes of which one file is needed.
"""

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Protocol, cast

from guestdbg.lab.errors import LabError

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_PIECE = 1 << 20


class Source(Protocol):
    """Bytes in order, such as the answer to an HTTP request."""

    def read(self, count: int, /) -> bytes: ...


def copy_file(source: Source, matches: Callable[[str], bool], to: IO[bytes], most: int) -> str:
    """Writes the first regular file of the package whose name ``matches`` to ``to``.

    Returns its name, without a leading "./". ``most``: its size, in bytes, at most. Raises LabError
    if the package has no such file, is damaged before the end of the file, or cannot be read.
    """
    try:
        data = _data_member(source)
        with tarfile.open(fileobj=data, mode="r|*") as archive:
            for info in archive:
                name = info.name.removeprefix("./")
                if not info.isreg() or not matches(name):
                    continue
                if info.size > most:
                    raise LabError(f"{name} has {info.size} bytes; the maximum is {most}")
                contents = archive.extractfile(info)
                assert contents is not None
                left = info.size
                while left:
                    piece = contents.read(min(_PIECE, left))
                    if not piece:
                        raise LabError(f"the package ends inside {name}")
                    to.write(piece)
                    left -= len(piece)
                return name
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"the package cannot be read: {error}") from error
    raise LabError("the package does not have the file")


def matching_files(
    source: Source, matches: Callable[[str], bool], most: int
) -> Iterator[tuple[str, bytes]]:
    """The regular files of the package whose names ``matches``, as they come: names and contents.

    Raises LabError for one of more than ``most`` bytes, and for a package that is damaged.
    """
    try:
        with tarfile.open(fileobj=_data_member(source), mode="r|*") as archive:
            for info in archive:
                name = info.name.removeprefix("./")
                if not info.isreg() or not matches(name):
                    continue
                if info.size > most:
                    raise LabError(f"{name} has {info.size} bytes; the maximum is {most}")
                contents = archive.extractfile(info)
                assert contents is not None
                yield name, contents.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise LabError(f"the package cannot be read: {error}") from error


class _Member(io.RawIOBase):
    """The contents of one member of an ar archive."""

    def __init__(self, source: Source, size: int) -> None:
        self._source = source
        self._left = size

    def read(self, count: int = -1, /) -> bytes:
        count = self._left if count < 0 else min(count, self._left)
        data = self._source.read(count) if count else b""
        self._left -= len(data)
        return data


def _data_member(source: Source) -> IO[bytes]:
    """The member ``data.tar.*``; the members before it are skipped."""
    if _exactly(source, len(_AR_MAGIC)) != _AR_MAGIC:
        raise LabError("this is not a Debian package")
    while True:
        header = _exactly(source, _AR_HEADER)
        size = header[48:58].strip()
        if header[58:] != b"`\n" or not size.isdigit():
            raise LabError("this is not a Debian package: an invalid ar header")
        if header.startswith(b"data.tar"):
            return cast("IO[bytes]", _Member(source, int(size)))
        left = int(size) + int(size) % 2
        while left:
            left -= len(_exactly(source, min(left, _PIECE)))


def _exactly(source: Source, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = source.read(count - len(data))
        if not piece:
            raise LabError("the package is truncated")
        data += piece
    return data
