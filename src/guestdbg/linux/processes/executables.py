"""The ELF files that a process has mapped: out of the page cache, or of a folder of the host.

The page cache has what was read of a file: of a program on a disk usually its code, and seldom its
symbol table; of one in an initial RAM file system everything.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from guestdbg.debugger import BadImage, InvalidLocation
from guestdbg.debugger.program.image import Image
from guestdbg.errors import GuestdbgError
from guestdbg.linux.errors import MissingKernelData
from guestdbg.regular_file import UnsuitableFile, read_regular_file

if TYPE_CHECKING:
    from guestdbg.debugger.errors import DebuggerError
    from guestdbg.linux.processes.files import PageCache
    from guestdbg.linux.processes.mappings import Mapping

__all__ = ["Executables", "load_bias"]

#: Files of the guest that are larger are not read.
_MAX_FILE = 64 << 20
_MAX_KEPT = 64
_MAX_HEADERS = 128
_ELF = b"\x7fELF\2\1"
_PT_LOAD, _PT_NOTE = 1, 4
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_NOTE = struct.Struct("<III")
_GNU_BUILD_ID = 3
_MAX_NOTES = 64


def _segments(contents: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(type, file offset, virtual address, size in the file) of the segments."""
    if contents[: len(_ELF)] != _ELF or len(contents) < _HEADER.size:
        return
    header = _HEADER.unpack_from(contents)
    at, size, count = header[5], header[9], min(header[10], _MAX_HEADERS)
    if size != _SEGMENT.size:
        return
    for n in range(count):
        if at + (n + 1) * size > len(contents):
            return
        kind, _, offset, address, _, length, _, _ = _SEGMENT.unpack_from(contents, at + n * size)
        yield kind, offset, address, length


def load_bias(contents: bytes, mapped: Sequence[Mapping], page_size: int) -> int | None:
    """How far a file was moved from where it was linked; None if it is not mapped as an ELF file.

    ``mapped`` are the mappings of the file.
    """
    for kind, offset, address, _ in _segments(contents):
        if kind != _PT_LOAD:
            continue
        for mapping in mapped:
            if mapping.offset == offset & -page_size:
                return mapping.start - (address & -page_size)
    return None


def build_id(contents: bytes) -> bytes:
    """The build ID in the notes of an ELF file; empty if there is none, or it cannot be read."""
    for kind, offset, _, length in _segments(contents):
        if kind != _PT_NOTE:
            continue
        at, end = offset, min(offset + length, len(contents))
        for _ in range(_MAX_NOTES):
            if at + _NOTE.size > end:
                break
            name_size, size, number = _NOTE.unpack_from(contents, at)
            start = at + _NOTE.size + (name_size + 3 & ~3)
            if number == _GNU_BUILD_ID and contents[at + 12 : at + 16] == b"GNU\0":
                return contents[start : start + min(size, 64)]
            at = start + (size + 3 & ~3)
    return b""


class Executables:
    """Finds the ELF files of a guest.

    Attributes:
        sysroot: a folder of the host with the guest's files; None: they come from the page cache.
    """

    def __init__(self, cache: PageCache) -> None:
        self._cache = cache
        self.sysroot: Path | None = None
        self._kept: dict[tuple[str, int, int], Image] = {}
        #: Files that could not be read, with what would have to change for another attempt.
        self._refused: dict[tuple[str, int, int], tuple[int, Path | None, DebuggerError]] = {}

    def contents(self, path: str, file: int) -> tuple[bytes, str]:
        """The bytes of a file, and why some are zeros (empty if none are).

        ``path`` and ``file`` are its path and ``struct file`` in the guest. Raises InvalidLocation
        for a file in ``sysroot`` with another build ID, and what reading the guest does.
        """
        found = b""
        missing: frozenset[int] = frozenset()
        try:
            found, missing = self._cache.read(file, _MAX_FILE)
        except (MissingKernelData, GuestdbgError):
            if self.sysroot is None:
                raise
        own = self._of_sysroot(path)
        if own is None:
            why = (
                f"{len(missing)} of its pages are not in the guest's page cache" if missing else ""
            )
            return found, why
        guest, host = build_id(found), build_id(own)
        if guest and host and guest != host:
            raise InvalidLocation(
                f"{path} in {self.sysroot} is another file than the guest's: its build ID is "
                f"{host.hex()}, and the guest's is {guest.hex()}"
            )
        return own, ""

    def _of_sysroot(self, path: str) -> bytes | None:
        if self.sysroot is None:
            return None
        root = self.sysroot.resolve()
        place = (root / path.lstrip("/")).resolve()
        if not place.is_relative_to(root):
            return None  # the guest has chosen the name
        try:
            return read_regular_file(place, what="program of the guest")
        except (OSError, UnsuitableFile):
            return None

    def image(self, mapped: Sequence[Mapping], page_size: int) -> Image:
        """The ELF file of these mappings, where they have it.

        Raises BadImage and as ``contents``.
        """
        first = mapped[0]
        assert first.path is not None
        key = (first.path, first.file, first.start)
        known = self._kept.get(key)
        if known is not None:
            return known
        present = self._cache.present(first.file)
        refused = self._refused.get(key)
        if refused is not None and refused[:2] == (present, self.sysroot):
            raise refused[2]
        try:
            image = self._read_image(first.path, first.file, mapped, page_size)
        except (BadImage, InvalidLocation) as error:
            if len(self._refused) >= _MAX_KEPT:
                self._refused.clear()
            self._refused[key] = present, self.sysroot, type(error)(str(error))
            raise
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[key] = image
        return image

    def _read_image(self, path: str, file: int, mapped: Sequence[Mapping], page_size: int) -> Image:
        contents, why = self.contents(path, file)
        bias = load_bias(contents, mapped, page_size)
        if bias is None:
            raise BadImage(f"{path} is no ELF file that is mapped")
        try:
            image = Image(path, bias, contents=contents)
        except BadImage as error:
            if not why:
                raise
            raise BadImage(
                f"{error}: {why}. Give a folder with the guest's files: processes.sysroot"
            ) from error
        if why and not len(image.symbols):
            raise BadImage(
                f"{path} has no symbols that can be read: {why}. Give a folder with the guest's "
                "files: processes.sysroot"
            )
        return image
