"""A file of named sections, with a digest over everything.

    magic     16 bytes
    u32       version of this form
    sections  u8 length of the name, the name; u8 how it is compressed; u64 its size, u64 its size
              as it is stored; and that many bytes
    digest    a section with the name "digest": the SHA-256 of all bytes before it. The file ends.

Numbers are little-endian. The digest is compared before anything else is looked at: so what was
damaged on its way is found as such. It is no signature: a file may have been made by anybody.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from guestdbg.container.compression import best_method, compress, expand_to
from guestdbg.container.errors import ContainerError
from guestdbg.container.forms import MAGIC_SIZE, SNAPSHOT, form_of
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.container.forms import Form

__all__ = [
    "ContainerFile",
    "Section",
    "container_bytes",
    "write_container",
]


_VERSION: Final = struct.Struct("<I")
_SIZES: Final = struct.Struct("<BQQ")
_DIGEST: Final = "digest"
_DIGEST_SIZE: Final = 32
_START: Final = MAGIC_SIZE + _VERSION.size
#: The name's length and the name, the sizes, the digest.
_END: Final = 1 + len(_DIGEST) + _SIZES.size + _DIGEST_SIZE
#: No section expands to more than that.
SECTION_MAX: Final = 1 << 30


class Section(NamedTuple):
    """A named piece of a file, as it is before it is compressed."""

    name: str
    data: bytes


def write_container(
    path: str | os.PathLike[str], sections: Iterable[Section], form: Form = SNAPSHOT
) -> str:
    """Write a file whole or not at all: until it is complete, an old one stays as it is.

    Returns the digest, as 64 hexadecimal digits.

    Raises:
        ContainerError: it cannot be written (the disk is full, the directory does not exist).
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ContainerError(f"{path}: not a regular file; give the name of a file")
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except (OSError, ValueError) as error:
        raise ContainerError(f"{path}: cannot be written: {_reason(error)}") from error
    try:
        with open(descriptor, "wb") as file:
            digest = hashlib.sha256()
            for piece in _pieces(sections, form):
                digest.update(piece)
                file.write(piece)
            file.write(_header(_DIGEST, 0, _DIGEST_SIZE, _DIGEST_SIZE) + digest.digest())
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        _remove(temporary)
        raise ContainerError(f"{path}: cannot be written: {_reason(error)}") from error
    except BaseException:
        _remove(temporary)
        raise
    return digest.hexdigest()


def container_bytes(sections: Iterable[Section], form: Form = SNAPSHOT) -> bytes:
    """What ``write_container`` would write, for another process of this program."""
    data = b"".join(_pieces(sections, form))
    return data + _header(_DIGEST, 0, _DIGEST_SIZE, _DIGEST_SIZE) + hashlib.sha256(data).digest()


def _pieces(sections: Iterable[Section], form: Form) -> Iterator[bytes]:
    method = best_method()
    yield form.magic + _VERSION.pack(form.version)
    for name, data in sections:
        how, stored = compress(data, method)
        yield _header(name, how, len(data), len(stored))
        yield stored


def _header(name: str, how: int, size: int, stored: int) -> bytes:
    return bytes((len(name),)) + name.encode() + _SIZES.pack(how, size, stored)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)


class ContainerFile:
    """A file that was read, and whose digest is right.

    ``contents`` are the file's bytes if they are known already; ``path`` is for the messages then.

    Attributes:
        path: the file.
        form: what it is.
        digest: of its contents, as 64 hexadecimal digits.

    Raises:
        ContainerError: it cannot be read, is no such file, is truncated or damaged, or is of a
            version that this one does not read.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        contents: bytes | None = None,
        form: Form = SNAPSHOT,
    ) -> None:
        self.path = Path(path)
        self.form = form
        if contents is None:
            try:
                contents = read_regular_file(self.path, what=form.name)
            except UnsuitableFile as error:
                raise ContainerError(str(error)) from error
        self._contents = contents
        self._check()
        self.digest = contents[-_DIGEST_SIZE:].hex()
        self._index = list(self._headers())

    def error(self, text: str) -> ContainerError:
        """A ContainerError that names the file."""
        return ContainerError(f"{self.path}: {text}")

    def _check(self) -> None:
        contents, (magic, known, name) = self._contents, self.form
        if contents[: len(magic)] != magic:
            other = form_of(contents)
            begins = contents[:2] == magic[:2] or contents[1:9] == magic[1:9]
            raise self.error(
                f"a {other.name} of guestdbg, and not a {name}"
                if other is not None
                else f"a {name} that was changed on its way (as text?), or is truncated"
                if begins
                else f"not a {name} of guestdbg"
            )
        if len(contents) < _START:
            raise self.error(f"the {name} is truncated")
        (version,) = _VERSION.unpack_from(contents, len(magic))
        if version != known:
            raise self.error(
                f"a {name} of version {version}; this guestdbg reads version {known}: use the "
                "version of guestdbg that wrote it"
            )
        end = len(contents) - _END
        header = _header(_DIGEST, 0, _DIGEST_SIZE, _DIGEST_SIZE)
        if end < _START or contents[end : end + len(header)] != header:
            raise self.error(f"the {name} is truncated: its end is missing")
        if hashlib.sha256(memoryview(contents)[:end]).digest() != contents[-_DIGEST_SIZE:]:
            raise self.error(f"the {name} is damaged: its digest is not that of its contents")

    def _headers(self) -> Iterator[tuple[str, int, int, int, int]]:
        """(name, how it is compressed, size, where it is stored, stored size) of each section."""
        at, end = _START, len(self._contents) - _END
        while at < end:
            length = self._contents[at]
            name = self._contents[at + 1 : at + 1 + length].decode("ascii", "backslashreplace")
            at += 1 + length
            if at + _SIZES.size > end:
                raise self.error(f"a section of the {self.form.name} is truncated")
            how, size, stored = _SIZES.unpack_from(self._contents, at)
            at += _SIZES.size
            if stored > end - at:
                raise self.error(f"the section {name!r} of the {self.form.name} is truncated")
            if size > SECTION_MAX:
                raise self.error(
                    f"the section {name!r} of the {self.form.name} would have {size} bytes; it "
                    f"may have {SECTION_MAX}"
                )
            yield name, how, size, at, stored
            at += stored

    def expanded_size(self, name: str) -> int:
        """How many bytes the sections of this name have together when they are expanded."""
        return sum(size for each, _, size, *_ in self._index if each == name)

    def sections(self, name: str, most: int = SECTION_MAX) -> Iterator[bytes]:
        """The sections of this name, in their order, each of ``most`` bytes at most.

        Raises:
            ContainerError: one is larger, or cannot be expanded.
        """
        for each, how, size, at, stored in self._index:
            if each != name:
                continue
            if size > most:
                raise self.error(f"the section {name!r} has {size} bytes; it may have {most}")
            try:
                data = expand_to(self._contents[at : at + stored], how, size)
            except (ValueError, MemoryError) as error:
                raise self.error(f"the section {name!r} is damaged: {error}") from error
            yield data

    def section(self, name: str, most: int = SECTION_MAX) -> bytes:
        """The only section of this name.

        Raises:
            ContainerError: there is none, or more than one; see ``sections``.
        """
        count = sum(each == name for each, *_ in self._index)
        if count != 1:
            raise self.error(f"the {self.form.name} has {count} sections {name!r}, and not one")
        return next(self.sections(name, most))
